"""Which tokens are believed: each that is not differs from a good one in one thing."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jose import jws

from jwks import PATH, EcKey, Jwks, RsaKey, encoded, hs256, token
from stack import until
from stepwire.auth import keys as keys_module
from stepwire.auth.keys import Keys
from stepwire.auth.tokens import LEEWAY_SECONDS, InvalidToken, TokenVerifier, mint
from stepwire.errors import Misconfigured, Unavailable

OWNER = UUID(int=7)
SECRET = "a secret of more than thirty-two characters"
NOW = 1_900_000_000.0
EC, RSA, OTHER_EC = EcKey("ec"), RsaKey("rsa"), EcKey("ec")
HEADER = {"alg": "HS256", "typ": "JWT", "kid": "any"}


@pytest.fixture
def endpoint() -> Iterator[Jwks]:
    with contextlib.closing(Jwks([EC.jwk, RSA.jwk])) as served:
        yield served


@pytest.fixture
def elsewhere() -> Iterator[Jwks]:
    with contextlib.closing(Jwks([OTHER_EC.jwk])) as served:
        yield served


@pytest.fixture
def verifier(endpoint: Jwks) -> TokenVerifier:
    return TokenVerifier(SECRET, endpoint.url, clock=lambda: NOW)


@pytest.fixture
def claims(endpoint: Jwks) -> dict[str, Any]:
    return {
        "sub": str(OWNER), "aud": "authenticated", "role": "authenticated", "exp": NOW + 3600,
        "iss": f"{endpoint.url}/auth/v1",
    }  # fmt: skip


def by_secret(claims: Any, **header: Any) -> str:
    return token(HEADER | header, claims, hs256(SECRET.encode()))


def by_key(key: EcKey | RsaKey, claims: Any, **header: Any) -> str:
    return token({"alg": key.algorithm, "typ": "JWT", "kid": key.key_id} | header, claims, key.sign)


async def refused(verifier: TokenVerifier, text: str) -> bool:
    with pytest.raises(InvalidToken):
        await verifier.verify(text)
    return True


async def test_the_secret_and_both_kinds_of_keys_vouch_for_tokens(
    verifier: TokenVerifier, claims: dict[str, Any]
) -> None:
    good = [by_secret(claims), by_key(EC, claims), by_key(RSA, claims)]

    assert {(await verifier.verify(each)).owner for each in good} == {OWNER}


@pytest.mark.parametrize(
    "change",
    [
        {"aud": ["other", "authenticated"]}, {"exp": NOW - 59}, {"exp": NOW + 0.5}, {"nbf": NOW + 59}, {"nbf": 0},
        {"sub": str(OWNER).upper()}, {"user_metadata": {"role": "service_role"}}, {"aal": "aal1", "is_anonymous": True},
    ],
)  # fmt: skip
async def test_claims_that_are_good(verifier: TokenVerifier, claims: dict[str, Any], change: dict[str, Any]) -> None:
    assert (await verifier.verify(by_secret(claims | change))).owner == OWNER


BAD_CLAIMS: list[dict[str, Any]] = [
    {"exp": NOW - 61}, {"exp": str(int(NOW) + 100)}, {"exp": None}, {"exp": True}, {"exp": -1}, {"exp": 10**400},
    {"exp": 2**53}, {"exp": [NOW + 100]}, {"nbf": NOW + 61}, {"nbf": str(int(NOW))}, {"nbf": 10**300}, {"nbf": -5},
    {"aud": "other"}, {"aud": ["other"]}, {"aud": []}, {"aud": None}, {"aud": "authenticated "}, {"aud": {"a": 1}},
    {"role": "anon"}, {"role": "service_role"}, {"role": None}, {"role": ["authenticated"]}, {"role": "Authenticated"},
    {"role": "anon", "user_metadata": {"role": "authenticated"}, "app_metadata": {"role": "authenticated"}},
    {"iss": "https://evil.example/auth/v1"}, {"iss": None}, {"iss": ""},
    {"sub": "nobody"}, {"sub": ""}, {"sub": None}, {"sub": 7}, {"sub": f"{{{OWNER}}}"}, {"sub": f"urn:uuid:{OWNER}"},
    {"sub": OWNER.hex}, {"sub": f" {OWNER}"}, {"sub": f"{OWNER}\n"}, {"sub": str(OWNER).replace("0", "\u0660", 1)},
]  # fmt: skip


@pytest.mark.parametrize("change", BAD_CLAIMS)
async def test_claims_that_are_not(verifier: TokenVerifier, claims: dict[str, Any], change: dict[str, Any]) -> None:
    assert await refused(verifier, by_secret(claims | change))
    assert await refused(verifier, by_key(EC, claims | change))


@pytest.mark.parametrize("name", ["exp", "aud", "role", "sub", "iss"])
async def test_no_claim_is_dispensable(verifier: TokenVerifier, claims: dict[str, Any], name: str) -> None:
    del claims[name]

    assert await refused(verifier, by_secret(claims))


@pytest.mark.parametrize("text", ["1e400", "NaN", "Infinity", "-Infinity", "9" * 5000])
async def test_a_time_that_is_no_number_of_this_world(
    verifier: TokenVerifier, claims: dict[str, Any], text: str
) -> None:
    raw = json.dumps(claims).replace(str(claims["exp"]), text).encode()

    assert text.encode() in raw
    assert await refused(verifier, by_secret(raw))


async def test_json_has_no_constants_of_its_own(verifier: TokenVerifier, claims: dict[str, Any]) -> None:
    assert await refused(verifier, by_secret(claims | {"user_metadata": {"x": float("nan")}}))


@pytest.mark.parametrize("part", ["header", "claims", "nested"])
async def test_a_name_that_occurs_twice(verifier: TokenVerifier, claims: dict[str, Any], part: str) -> None:
    header, body = json.dumps(HEADER).encode(), json.dumps(claims).encode()
    if part == "header":
        header = header[:-1] + b', "alg": "HS256"}'
    elif part == "claims":
        body = body[:-1] + b', "role": "authenticated"}'
    else:
        body = body[:-1] + b', "x": {"a": 1, "a": 1}}'

    assert await refused(verifier, token(header, body, hs256(SECRET.encode())))


BAD_HEADERS: list[dict[str, Any]] = [
    {"alg": "none"}, {"alg": "None"}, {"alg": "NONE"}, {"alg": ""}, {"alg": None}, {"alg": ["HS256"]}, {"alg": "hs256"},
    {"alg": "HS384"}, {"alg": "HS512"}, {"alg": "PS256"}, {"alg": "EdDSA"}, {"alg": "dir"}, {"alg": "RSA-OAEP"},
    {"crit": ["exp"]}, {"crit": []}, {"b64": False}, {"b64": True}, {"zip": "DEF"}, {"enc": "A256GCM"}, {"typ": "JWE"},
    {"jwk": EC.jwk}, {"jku": "https://evil.example/jwks.json"}, {"x5u": "https://evil.example"}, {"x5c": ["MII"]},
    {"kid": {"a": 1}}, {"kid": 7}, {"kid": "x" * 257}, {"kid": ["ec"]}, {"typ": 1},
]  # fmt: skip


@pytest.mark.parametrize("change", BAD_HEADERS)
async def test_headers_that_are_refused(
    verifier: TokenVerifier, claims: dict[str, Any], change: dict[str, Any]
) -> None:
    assert await refused(verifier, by_secret(claims, **change))
    assert await refused(verifier, by_key(EC, claims, **change))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_a_good_signature_of_another_algorithm(
    verifier: TokenVerifier, claims: dict[str, Any], algorithm: str
) -> None:
    assert (await verifier.verify(jws.sign(claims, SECRET, algorithm="HS256"))).owner == OWNER
    assert await refused(verifier, jws.sign(claims, SECRET, algorithm=algorithm))


async def test_a_good_signature_of_another_kind(verifier: TokenVerifier, claims: dict[str, Any]) -> None:
    def pss(data: bytes) -> bytes:
        return RSA.private.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())

    def der(data: bytes) -> bytes:
        return EC.private.sign(data, ec.ECDSA(hashes.SHA256()))

    assert await refused(verifier, token({"alg": "RS256", "kid": "rsa"}, claims, pss))
    assert await refused(verifier, token({"alg": "PS256", "kid": "rsa"}, claims, pss))
    assert await refused(verifier, token({"alg": "ES256", "kid": "ec"}, claims, der))
    assert await refused(verifier, token({"alg": "ES256", "kid": "ec"}, claims, lambda _: bytes(64)))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-le", "utf-8-sig"])
async def test_json_that_is_not_utf_8(verifier: TokenVerifier, claims: dict[str, Any], encoding: str) -> None:
    body = json.dumps(claims)

    assert (await verifier.verify(token(HEADER, body.encode(), hs256(SECRET.encode())))).owner == OWNER
    assert await refused(verifier, token(HEADER, body.encode(encoding), hs256(SECRET.encode())))


async def test_a_good_token_that_is_too_long(verifier: TokenVerifier, claims: dict[str, Any]) -> None:
    assert (await verifier.verify(by_secret(claims | {"user_metadata": "x" * 5000}))).owner == OWNER
    assert await refused(verifier, by_secret(claims | {"user_metadata": "x" * 6000}))


async def test_an_unsigned_token(verifier: TokenVerifier, claims: dict[str, Any]) -> None:
    for algorithm in ("none", "HS256", "ES256"):
        text = token({"alg": algorithm, "kid": "ec"}, claims, lambda _: b"")
        assert await refused(verifier, text)
        assert await refused(verifier, text.rstrip("."))


@pytest.mark.parametrize("key", [EC, RSA])
@pytest.mark.parametrize("form", ["pem", "der", "jwk"])
async def test_a_public_key_is_no_secret_to_sign_with(
    endpoint: Jwks, claims: dict[str, Any], key: EcKey | RsaKey, form: str
) -> None:
    """The known confusion: HS256 with what everybody knows. Refused with a secret beside the keys and without."""
    text = json.dumps(key.jwk).encode() if form == "jwk" else key.public(form)
    for secret in (SECRET, None):
        verifier = TokenVerifier(secret, endpoint.url, clock=lambda: NOW)
        for candidate in (text, text.strip(), encoded(text).encode()):
            assert await refused(verifier, token({"alg": "HS256", "kid": key.key_id}, claims, hs256(candidate)))


async def test_a_key_is_good_for_its_own_algorithm_alone(verifier: TokenVerifier, claims: dict[str, Any]) -> None:
    assert await refused(verifier, by_key(EC, claims, alg="RS256"))
    assert await refused(verifier, by_key(RSA, claims, alg="ES256"))
    assert await refused(verifier, by_key(EC, claims, kid="rsa"))
    assert await refused(verifier, by_secret(claims, alg="ES256", kid="ec"))


async def test_a_key_of_the_same_id_that_is_not_the_projects(verifier: TokenVerifier, claims: dict[str, Any]) -> None:
    assert await refused(verifier, by_key(OTHER_EC, claims))


@pytest.mark.parametrize(
    "mangle",
    [
        lambda text: "",
        lambda text: "x",
        lambda text: "a.b.c",
        lambda text: "\u00e9.\u00e9.\u00e9",
        lambda text: text + ".",
        lambda text: text + ".x",
        lambda text: text + "=",
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text.replace(".", "..", 1),
        lambda text: text.replace(".", "=.", 1),
        lambda text: text[:-1] + ("B" if text[-1] == "A" else "A"),
        lambda text: text + "AAAA",
        lambda text: text.rpartition(".")[0] + "." + text.rpartition(".")[2].replace("-", "+").replace("_", "/") + "+",
        lambda text: text + "A" * 9000,
        lambda text: ".".join([*text.split("."), "a", "b"]),
    ],
)
async def test_a_token_that_is_not_written_as_tokens_are(
    verifier: TokenVerifier, claims: dict[str, Any], mangle: Any
) -> None:
    assert await refused(verifier, mangle(by_secret(claims)))


async def test_a_signature_has_one_way_to_be_written(verifier: TokenVerifier, claims: dict[str, Any]) -> None:
    """The last character of 32 bytes in base64 has two bits to spare; only zeros are taken."""
    text = by_secret(claims)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(text[-1])

    for spare in range(1, 4):
        assert await refused(verifier, text[:-1] + alphabet[last | spare])


async def test_json_that_is_deep_or_no_object(verifier: TokenVerifier, claims: dict[str, Any]) -> None:
    sign = hs256(SECRET.encode())

    for body in (b"[" * 3000, b"[]", b'"x"', b"", b"\xff", b"{}{}"):
        assert await refused(verifier, token(HEADER, body, sign))
        assert await refused(verifier, token(body, claims, sign))


async def test_a_token_that_was_believed_once_still_expires(endpoint: Jwks) -> None:
    now = [NOW]
    keeping = TokenVerifier(SECRET, None, clock=lambda: now[0])
    text = mint(SECRET, OWNER, lifetime_seconds=100, now=NOW)
    await keeping.verify(text)
    now[0] += 100 + LEEWAY_SECONDS - 1
    await keeping.verify(text)
    now[0] += 1

    assert await refused(keeping, text)


async def test_no_more_tokens_are_remembered_than_fit() -> None:
    keeping = TokenVerifier(SECRET, None, clock=lambda: NOW, cached_tokens=20)
    for number in range(30):
        await keeping.verify(mint(SECRET, UUID(int=number), lifetime_seconds=100, now=NOW))

    assert len(keeping._verified) == 20


async def test_tokens_that_are_refused_push_none_out() -> None:
    keeping = TokenVerifier(SECRET, None, clock=lambda: NOW, cached_tokens=1)
    await keeping.verify(mint(SECRET, OWNER, lifetime_seconds=100, now=NOW))
    kept = dict(keeping._verified)

    assert await refused(keeping, mint(SECRET, OWNER, lifetime_seconds=100, now=NOW - 1000))
    assert keeping._verified == kept


@pytest.mark.parametrize(
    "secret",
    [
        EC.public("pem").decode(), RSA.public("pem").decode().strip(), json.dumps(EC.jwk), json.dumps({"keys": [], **RSA.jwk}),
        mint(SECRET, OWNER, lifetime_seconds=100, now=NOW), "sb_publishable_0123456789012345678901234567",
    ],
)  # fmt: skip
def test_what_others_know_is_no_secret(secret: str) -> None:
    with pytest.raises(Misconfigured, match="SUPABASE_JWT_SECRET"):
        TokenVerifier(secret, None)


@pytest.mark.parametrize("secret", ["{not.a.jwk.but.a.password}x" * 2, "three.words.together" * 2, '"quoted"' * 5])
async def test_a_secret_may_look_odd(secret: str, caplog: pytest.LogCaptureFixture) -> None:
    odd = TokenVerifier(secret, None, clock=lambda: NOW)

    assert (await odd.verify(mint(secret, OWNER, lifetime_seconds=100, now=NOW))).owner == OWNER
    assert caplog.text == ""


def test_a_short_secret_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    TokenVerifier("x" * 32, None)
    assert caplog.text == ""
    TokenVerifier("x" * 31, None)

    assert "SUPABASE_JWT_SECRET" in caplog.text
    assert "xxx" not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "x", "project.supabase.co", "ftp://a.example", "https://", "https://a.example?x=1", "https://a.example/#x",
        "https://user:password@a.example", "http://project.supabase.co", "http://8.8.8.8", "http://[2001:4860:4860::8888]",
        "file:///etc/passwd", "https://xn--/",
    ],
)  # fmt: skip
def test_keys_come_from_a_url_that_can_be_trusted(url: str) -> None:
    with pytest.raises(Misconfigured, match="SUPABASE_URL") as refusal:
        Keys(url)

    assert "password" not in refusal.value.detail


@pytest.mark.parametrize(
    "url", ["https://p.supabase.co/", "http://localhost:54321", "http://kong:8000", "http://[::1]", "http://10.1.2.3"]
)
def test_keys_may_come_from_near_without_tls(url: str) -> None:
    Keys(url)


async def test_without_an_endpoint_no_key_vouches_and_without_a_secret_none_does(
    endpoint: Jwks, claims: dict[str, Any]
) -> None:
    assert await refused(TokenVerifier(SECRET, None, clock=lambda: NOW), by_key(EC, claims))
    assert await refused(TokenVerifier(None, endpoint.url, clock=lambda: NOW), by_secret(claims))
    with pytest.raises(Misconfigured):
        TokenVerifier(None, None)


# The endpoint


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keyed(endpoint: Jwks, clock: Clock) -> TokenVerifier:
    return TokenVerifier(None, endpoint.url, clock=lambda: NOW, keys=Keys(endpoint.url, clock))


async def at_once(verified: Awaitable[Any]) -> None:
    """Much sooner than an endpoint that is held."""
    async with asyncio.timeout(2):
        await verified


async def gone(verify: Callable[[], Awaitable[Any]]) -> None:
    """Wait until a token is refused."""
    async with asyncio.timeout(10):
        with contextlib.suppress(InvalidToken):
            while True:
                await verify()
                await asyncio.sleep(0.01)


def numbered(claims: dict[str, Any], number: int) -> dict[str, Any]:
    return claims | {"sub": str(UUID(int=number))}


async def test_many_tokens_at_once_are_one_fetch_and_known_keys_none(
    keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any]
) -> None:
    await asyncio.gather(*(keyed.verify(by_key(EC, numbered(claims, number))) for number in range(30)))

    assert endpoint.asked == 1


async def test_a_new_key_is_fetched_when_a_token_names_it(
    keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any]
) -> None:
    await keyed.verify(by_key(EC, claims))
    new = EcKey("new")
    endpoint.keys = [EC.jwk, new.jwk]

    assert (await keyed.verify(by_key(new, claims))).owner == OWNER
    assert endpoint.asked == 2


async def test_a_flood_of_unknown_keys_is_one_fetch_per_cool_down(
    keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any], clock: Clock
) -> None:
    await keyed.verify(by_key(EC, claims))
    for number in range(50):
        assert await refused(keyed, by_key(EC, claims, kid=f"../../{number}"))
    assert endpoint.asked == 2
    clock.now += 11
    for number in range(50):
        assert await refused(keyed, by_key(EC, claims, kid=f"http://evil.example/{number}"))

    assert endpoint.asked == 3
    assert (await keyed.verify(by_key(RSA, claims))).owner == OWNER


async def test_all_who_bring_a_new_key_wait_for_the_same_fetch(
    keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any]
) -> None:
    await keyed.verify(by_key(EC, claims))
    new = EcKey("new")
    endpoint.keys = [new.jwk]
    endpoint.hold()
    early = [asyncio.create_task(keyed.verify(by_key(new, numbered(claims, number)))) for number in range(5)]
    await asyncio.to_thread(until, lambda: endpoint.asked == 2, "the fetch")
    late = [asyncio.create_task(keyed.verify(by_key(new, numbered(claims, number)))) for number in range(5, 10)]
    early[0].cancel()
    await asyncio.sleep(0)
    endpoint.let_go()

    owners = [session.owner for session in await asyncio.gather(*early[1:], *late)]
    assert owners == [UUID(int=number) for number in range(1, 10)]
    assert endpoint.asked == 2


async def test_a_key_that_is_withdrawn_vouches_no_longer_for_tokens_that_were_believed(
    keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any], clock: Clock
) -> None:
    """At once where another token, or this one, had the keys fetched; after ten minutes at the latest."""
    text = by_key(EC, claims)
    await keyed.verify(text)
    endpoint.keys = [RSA.jwk]
    clock.now += 299
    await keyed.verify(text)
    assert endpoint.asked == 1
    clock.now += 302

    assert await refused(keyed, text)
    assert endpoint.asked == 2


async def test_keys_are_fetched_anew_beside_the_requests(
    keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any], clock: Clock
) -> None:
    text = by_key(EC, claims)
    await keyed.verify(text)
    endpoint.keys = [RSA.jwk]
    endpoint.hold()
    clock.now += 301
    await at_once(keyed.verify(text))
    await asyncio.to_thread(until, lambda: endpoint.asked == 2, "the fetch")
    await at_once(keyed.verify(by_key(EC, numbered(claims, 8))))
    endpoint.let_go()

    await gone(lambda: keyed.verify(text))


async def test_a_known_key_waits_for_no_endpoint_that_hangs(
    keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first, after a stretch in which nobody asked, gives it a moment."""
    monkeypatch.setattr(keys_module, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(keys_module, "FETCH_SECONDS", 60)
    await keyed.verify(by_key(EC, claims))
    endpoint.hold()
    clock.now += 1200
    await at_once(keyed.verify(by_key(EC, claims)))
    endpoint.status = 500
    endpoint.let_go()
    with pytest.raises(Unavailable):
        await keyed.verify(by_key(EC, claims, kid="unknown"))
    endpoint.hold()
    monkeypatch.setattr(keys_module, "PATIENCE_SECONDS", 60)
    clock.now += 11

    await at_once(keyed.verify(by_key(EC, claims)))
    await at_once(keyed.verify(by_key(EC, numbered(claims, 8))))
    await asyncio.to_thread(until, lambda: endpoint.asked == 3, "another try, beside")


async def test_an_endpoint_that_hangs_is_given_up(
    keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "FETCH_SECONDS", 0.1)
    endpoint.hold()

    with pytest.raises(Unavailable) as refusal:
        await at_once(keyed.verify(by_key(EC, claims)))
    assert refusal.value.headers == {"Retry-After": "10"}


@pytest.mark.parametrize("fault", ["status", "garbage", "huge", "redirect", "list"])
async def test_known_keys_are_good_for_an_hour_while_the_endpoint_is_out_of_order(
    keyed: TokenVerifier, endpoint: Jwks, elsewhere: Jwks, claims: dict[str, Any], clock: Clock, fault: str
) -> None:
    await keyed.verify(by_key(EC, claims))
    match fault:
        case "status":
            endpoint.status = 500
        case "garbage":
            endpoint.body = b"<html>"
        case "huge":
            endpoint.body = b'{"keys": []}' + b" " * (300 << 10)
        case "redirect":
            endpoint.status, endpoint.headers = 302, {"location": elsewhere.url + PATH}
        case _:
            endpoint.body = b'[{"keys": []}]'
    clock.now += 3000

    assert (await keyed.verify(by_key(EC, numbered(claims, 8)))).owner == UUID(int=8)
    asked = endpoint.asked
    assert (await keyed.verify(by_key(EC, numbered(claims, 9)))).owner == UUID(int=9)
    assert endpoint.asked == asked, "it is left alone for a while"
    with pytest.raises(Unavailable):
        await keyed.verify(by_key(EC, claims, kid="unknown"))
    clock.now += 700
    with pytest.raises(Unavailable):
        await keyed.verify(by_key(EC, numbered(claims, 10)))
    assert elsewhere.asked == 0


async def test_an_endpoint_that_never_answered_is_no_verdict_on_the_token(
    keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any], clock: Clock
) -> None:
    endpoint.status = 503
    for _ in range(5):
        with pytest.raises(Unavailable):
            await keyed.verify(by_key(EC, claims))
    assert endpoint.asked == 1
    endpoint.status = 200
    clock.now += 11

    assert (await keyed.verify(by_key(EC, claims))).owner == OWNER


async def test_a_project_without_keys_has_none(keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any]) -> None:
    endpoint.keys = []

    assert await refused(keyed, by_key(EC, claims))


WEAK = RsaKey("weak", 1024)


@pytest.mark.parametrize(
    ("key", "change"),
    [
        (EC, {"use": "enc"}), (EC, {"alg": "ES384"}), (EC, {"alg": "HS256"}), (EC, {"crv": "P-384"}), (EC, {"crv": None}),
        (EC, {"key_ops": ["sign"]}), (EC, {"y": EC.jwk["x"]}), (EC, {"x": 7}), (EC, {"kty": "oct", "k": "eA"}), (EC, {"kid": 7}),
        (RSA, {"use": "enc"}), (RSA, {"alg": "RS512"}), (RSA, {"alg": "PS256"}), (RSA, {"n": None}), (RSA, {"e": "AQ"}),
        (WEAK, {}),
    ],
)  # fmt: skip
async def test_a_key_that_does_not_fit_is_left_out(
    keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any], key: EcKey | RsaKey, change: dict[str, Any]
) -> None:
    fitting = RSA if key is EC else EC
    endpoint.keys = [key.jwk | change, fitting.jwk]

    assert await refused(keyed, by_key(key, claims))
    assert await refused(keyed, by_key(key, claims, kid=None))
    assert (await keyed.verify(by_key(fitting, claims))).owner == OWNER


async def test_a_key_of_another_curve_is_left_out(keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any]) -> None:
    """python-jose would verify ES256 with it."""
    private = ec.generate_private_key(ec.SECP384R1())
    numbers = private.public_key().public_numbers()
    x, y = (encoded(number.to_bytes(48, "big")) for number in (numbers.x, numbers.y))
    key = {"kty": "EC", "crv": "P-384", "x": x, "y": y, "kid": "wide"}
    endpoint.keys = [key]

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(48, "big") + s.to_bytes(48, "big")

    text = token({"alg": "ES256", "kid": "wide"}, claims, sign)
    assert jws.verify(text, key, ["ES256"])
    assert await refused(keyed, text)


async def test_a_key_that_is_no_public_key_signs_nothing(
    keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any]
) -> None:
    endpoint.keys = [{"kty": "oct", "k": encoded(SECRET.encode()), "kid": "oct", "alg": "HS256", "use": "sig"}]

    assert await refused(keyed, token({"alg": "HS256", "kid": "oct"}, claims, hs256(SECRET.encode())))
    assert await refused(TokenVerifier("x" * 40, endpoint.url, lambda: NOW), by_secret(claims, kid="oct"))


async def test_keys_among_rubbish_are_found_and_their_private_parts_are_not_kept(
    endpoint: Jwks, claims: dict[str, Any]
) -> None:
    keys = Keys(endpoint.url)
    private = encoded(EC.private.private_numbers().private_value.to_bytes(32, "big"))
    off_curve = EC.jwk | {"kid": "off", "y": EC.jwk["x"]}
    rubbish: list[Any] = [None, 7, "x", [], {}, {"kty": []}, {"kty": "EC", "crv": {}}, off_curve]
    endpoint.keys = [*rubbish, EC.jwk | {"d": private}]
    verifier = TokenVerifier(None, endpoint.url, lambda: NOW, keys)

    assert (await verifier.verify(by_key(EC, claims))).owner == OWNER
    assert (await verifier.verify(by_key(EC, claims, kid=None))).owner == OWNER, "there is one key only"
    assert [set(key) for key in await keys.find("ES256", "ec")] == [{"kty", "crv", "x", "y", "alg"}]


async def test_two_keys_of_one_id_are_both_good(keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any]) -> None:
    endpoint.keys = [OTHER_EC.jwk, EC.jwk]

    assert (await keyed.verify(by_key(EC, claims))).owner == OWNER
    assert (await keyed.verify(by_key(OTHER_EC, claims))).owner == OWNER


async def test_a_token_without_a_key_id_needs_an_only_key(
    keyed: TokenVerifier, endpoint: Jwks, claims: dict[str, Any], clock: Clock
) -> None:
    header = {"alg": "ES256", "typ": "JWT"}
    text = token(header, claims, EC.sign)

    assert (await keyed.verify(text)).owner == OWNER
    endpoint.keys = [EC.jwk, EcKey("second").jwk]
    clock.now += 601
    assert await refused(keyed, token(header, numbered(claims, 8), EC.sign))
