"""When a delivery is tried again, and what it is signed with."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from stepwire.auth.signing import new_secret, signed_headers
from stepwire.db.deliveries import Message
from stepwire.runtime.deliveries import PAUSES, payload, verdict

AT = datetime(2030, 1, 1, tzinfo=UTC)


def message(data: str) -> Message:
    return Message(
        id=UUID(int=1), owner_id=UUID(int=2), workflow_id=UUID(int=3), event="run.completed", attempts=1, tries=1, at=AT,
        data=data, run_id=UUID(int=4), workflow_version=1, trigger_type="manual", parent_run_id=None, created_at=AT,
        started_at=AT, url="https://example.com", secret=b"", previous_secret=None,
    )  # fmt: skip


@pytest.mark.parametrize("status", [200, 204, 299])
def test_what_is_answered_with_2xx_is_delivered(status: int) -> None:
    assert verdict(3, status, 60.0) == ("delivered", None)


@given(st.one_of(st.none(), st.integers(100, 199), st.integers(300, 599).filter(lambda status: status != 410)))
def test_anything_else_is_tried_again_for_a_day_then_given_up(status: int | None) -> None:
    verdicts = [verdict(tries, status, None) for tries in range(1, len(PAUSES) + 2)]

    assert [outcome for outcome, _ in verdicts] == ["pending"] * len(PAUSES) + ["failed"]
    assert 23 * 3600 < sum(pause or 0 for _, pause in verdicts) < 25 * 3600


def test_who_says_gone_is_not_asked_again() -> None:
    assert verdict(1, 410, None) == ("failed", None)


@given(st.floats(0, 1e9), st.integers(1, len(PAUSES)))
def test_a_receiver_may_ask_for_a_later_try_but_not_for_never(seconds: float, tries: int) -> None:
    _, pause = verdict(tries, 503, seconds)

    assert pause is not None
    assert PAUSES[tries - 1] <= pause <= PAUSES[-1]
    assert pause >= min(seconds, PAUSES[-1])


@given(st.binary())
def test_the_reference_library_takes_signatures_by_either_secret_and_no_other(body: bytes) -> None:
    new, old, other = new_secret(), new_secret(), new_secret()
    text = json.dumps(body.hex())
    headers = signed_headers([new, old], "msg_1", int(datetime.now(UTC).timestamp()), text.encode())

    assert Webhook(new).verify(text, headers) == Webhook(old).verify(text, headers) == body.hex()
    with pytest.raises(Exception, match="No matching signature found"):
        Webhook(other).verify(text, headers)
    with pytest.raises(Exception, match="No matching signature found"):
        Webhook(new).verify(text + " ", headers)


def test_an_output_that_is_too_large_is_left_out() -> None:
    small, large = (json.loads(payload(message(json.dumps({"output": {"a": "x" * size}})))) for size in (10, 300_000))

    assert small["data"]["output"] == {"a": "x" * 10}
    assert (small["data"]["is_output_left_out"], large["data"]["is_output_left_out"]) == (False, True)
    assert large["data"]["output"] is None
    assert (small["type"], small["timestamp"]) == ("run.completed", "2030-01-01T00:00:00Z")
