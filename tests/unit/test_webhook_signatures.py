"""Signatures of senders: the examples that they publish, what their own libraries make, and what attackers try."""

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from stepwire.auth.signing import new_secret
from stepwire.auth.webhooks import TOLERANCE_SECONDS, Mode, is_genuine

NOW = 1_900_000_000
SIGNED: tuple[Mode, ...] = ("standard", "github", "stripe", "slack", "token")


def hexed(secret: str, *parts: bytes) -> str:
    return hmac.new(secret.encode(), b"".join(parts), hashlib.sha256).hexdigest()


def request(mode: Mode, secret: str, body: bytes = b'{"a":1}', at: int = NOW) -> dict[str, list[str]]:
    """The headers that a sender of this kind makes."""
    instant = str(at).encode()
    match mode:
        case "standard":
            signature = Webhook(secret).sign("msg_1", datetime.fromtimestamp(at, UTC), body.decode())
            return {"webhook-id": ["msg_1"], "webhook-timestamp": [str(at)], "webhook-signature": [signature]}
        case "github":
            return {"x-hub-signature-256": [f"sha256={hexed(secret, body)}"]}
        case "stripe":
            return {"stripe-signature": [f"t={at},v0=old,v1={hexed(secret, instant, b'.', body)}"]}
        case "slack":
            signature = hexed(secret, b"v0:", instant, b":", body)
            return {"x-slack-request-timestamp": [str(at)], "x-slack-signature": [f"v0={signature}"]}
        case _:
            return {"x-webhook-token": [secret]}


def check(mode: Mode, secrets: list[str], headers: Any, body: bytes = b'{"a":1}', now: float = NOW) -> bool:
    return is_genuine(mode, secrets, headers, body, now=now, token_header="X-Webhook-Token")


def test_githubs_published_example() -> None:
    headers = {"x-hub-signature-256": ["sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"]}

    assert check("github", ["It's a Secret to Everybody"], headers, b"Hello, World!")


def test_slacks_published_example() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
        b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
        b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "x-slack-request-timestamp": ["1531420618"],
        "x-slack-signature": ["v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"],
    }

    assert check("slack", ["8f742231b10e8888abcd99yyyzzz85a5"], headers, body, now=1531420618)


def test_the_published_example_of_standard_webhooks() -> None:
    headers = {
        "webhook-id": ["msg_p5jXN8AQM9LWM0D4loKWxJek"],
        "webhook-timestamp": ["1614265330"],
        "webhook-signature": ["v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="],
    }

    assert check(
        "standard", ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], headers, b'{"test": 2432232314}', now=1614265330
    )


@pytest.mark.parametrize("mode", SIGNED)
def test_what_the_secret_signs_is_genuine_and_nothing_else_is(mode: Mode) -> None:
    secret, other = new_secret(), new_secret()
    headers = request(mode, secret)

    assert check(mode, [secret], headers)
    assert check(mode, [other, secret], headers), "while the secret changes, either"
    assert not check(mode, [other], headers)
    assert not check(mode, [], headers)
    assert not check(mode, [secret], {})
    for name, values in headers.items():
        assert not check(mode, [secret], headers | {name: []})
        assert not check(mode, [secret], headers | {name: values * 2}), "nobody knows which of them was meant"
        assert not check(mode, [secret], headers | {name: [values[0] + "x"]})
        assert not check(mode, [secret], headers | {name: [values[0][:-1]]})


@pytest.mark.parametrize("mode", [mode for mode in SIGNED if mode != "token"])
@given(st.binary(max_size=40), st.integers(0, 39), st.integers(1, 255))
def test_a_body_that_was_changed_is_not_genuine(mode: Mode, body: bytes, place: int, by: int) -> None:
    secret, body = new_secret(), json.dumps(body.hex()).encode()
    changed = bytearray(body)
    changed[place % len(body)] ^= by
    headers = request(mode, secret, body)

    assert check(mode, [secret], headers, body)
    assert not check(mode, [secret], headers, bytes(changed))


@pytest.mark.parametrize("mode", ["standard", "stripe", "slack"])
def test_what_is_old_or_comes_from_the_future_is_not_genuine(mode: Mode) -> None:
    secret = new_secret()
    ages = {age: check(mode, [secret], request(mode, secret, at=NOW - age)) for age in (-301, -300, 0, 300, 301, NOW)}

    assert ages == {age: abs(age) <= TOLERANCE_SECONDS for age in ages}


@pytest.mark.parametrize(
    "instant", ["", "x", "-1", "1e9", " 1900000000", "1900000000 ", "٣", "9" * 400, "1900000000.0"]
)
def test_an_instant_that_is_none_is_not_genuine_even_if_it_was_signed(instant: str) -> None:
    secret = new_secret()
    raw = instant.encode("latin-1", "replace")
    stripe = {"stripe-signature": [f"t={instant},v1={hexed(secret, raw, b'.', b'{}')}"]}
    slack = {
        "x-slack-request-timestamp": [instant],
        "x-slack-signature": [f"v0={hexed(secret, b'v0:', raw, b':', b'{}')}"],
    }

    assert not check("stripe", [secret], stripe, b"{}")
    assert not check("slack", [secret], slack, b"{}")


def test_while_the_sender_changes_its_secret_it_signs_with_both() -> None:
    old, new = new_secret(), new_secret()
    standard, stripe = request("standard", old), request("stripe", old)
    standard["webhook-signature"] = [
        f"v1a,xyz {request('standard', new)['webhook-signature'][0]} {standard['webhook-signature'][0]}"
    ]
    stripe["stripe-signature"] = [
        f"{request('stripe', new)['stripe-signature'][0]},v1={stripe['stripe-signature'][0].split('v1=')[1][:64]}"
    ]

    assert check("standard", [old], standard)
    assert check("stripe", [old], stripe)


@pytest.mark.parametrize("mode", SIGNED)
@given(st.dictionaries(st.sampled_from([
    "webhook-id", "webhook-timestamp", "webhook-signature", "x-hub-signature-256", "stripe-signature", "x-slack-signature",
    "x-slack-request-timestamp", "x-webhook-token",
]), st.lists(st.text(max_size=50), max_size=3)), st.binary(max_size=50))  # fmt: skip
def test_no_header_makes_the_check_stumble(mode: Mode, headers: dict[str, list[str]], body: bytes) -> None:
    assert not check(mode, ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], headers, body)


@pytest.mark.parametrize("given", ["tökén-of-mine", "Bearer tökén-of-mine"])
def test_a_token_may_come_as_a_bearer(given: str) -> None:
    assert not check("token", ["token-of-mine"], {"x-webhook-token": [given]})
    assert check("token", ["token-of-mine"], {"x-webhook-token": [given.replace("ö", "o").replace("é", "e")]})


def test_a_token_takes_as_long_as_a_signature() -> None:
    modes: tuple[Mode, ...] = ("token", "github")
    body, took = bytes(8 << 20), {}
    for mode in modes:
        began = time.process_time()
        assert not is_genuine(mode, ["a secret"], {}, body, now=0, token_header="x-token")
        took[mode] = time.process_time() - began

    assert took["token"] > took["github"] / 3
