"""What a schedule does when it is looked at: how much it starts of what has come, and when it is due next."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwire.db.firing import DueSchedule
from stepwire.definition.cron import next_due
from stepwire.definition.firing import MOST, Firing, due_at, fire
from stepwire.runtime.schedules import RUNS_AT_ONCE, _decide

UTC_ZONE = ZoneInfo("UTC")
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OVERLAPS, CATCH_UPS = ("skip", "allow", "queue"), ("none", "last", "all")


def looked_at(late: timedelta, cron: str = "* * * * *", **more: Any) -> Firing:
    """At noon and somewhat ``late``, when nobody has looked since noon."""
    known = {"overlap": "allow", "catch_up": "none", "is_running": False, "due": NOON, "looked_for_at": NOON}
    return fire(cron, UTC_ZONE, now=NOON + late, **(known | more))


def minutes(firing: Firing) -> list[int]:
    return [round((each - NOON) / MINUTE) for each in firing.instants]


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("catch_up", CATCH_UPS)
def test_what_is_looked_at_in_time_starts_one_run(overlap: str, catch_up: str) -> None:
    firing = looked_at(timedelta(milliseconds=20), overlap=overlap, catch_up=catch_up)

    assert firing == Firing([NOON], NOON + MINUTE)


@pytest.mark.parametrize(
    ("catch_up", "overlap", "started", "following"),
    [
        ("none", "allow", [10], 11), ("last", "allow", [10], 11), ("all", "allow", list(range(11)), 11),
        ("none", "skip", [10], 11), ("last", "skip", [10], 11), ("all", "skip", [10], 11),
        ("none", "queue", [10], 11), ("last", "queue", [10], 11), ("all", "queue", [0], 1),
    ],
)  # fmt: skip
def test_after_a_downtime_what_was_missed_is_made_up_for_as_wanted(
    catch_up: str, overlap: str, started: list[int], following: int
) -> None:
    firing = looked_at(10 * MINUTE, catch_up=catch_up, overlap=overlap)

    assert (minutes(firing), firing.next_at) == (started, NOON + following * MINUTE)


def test_what_was_missed_an_hour_ago_is_not_started_without_catch_up() -> None:
    assert looked_at(30 * MINUTE, "0 * * * *") == Firing([], NOON + 60 * MINUTE)


@pytest.mark.parametrize("catch_up", CATCH_UPS)
def test_no_more_than_a_thousand_are_made_up_for(catch_up: str) -> None:
    firing = looked_at(timedelta(days=400), catch_up=catch_up)

    assert len(firing.instants) == {"none": 1, "last": 1, "all": MOST}[catch_up]
    assert firing.instants[-1] == NOON + timedelta(days=400)


def test_while_a_run_goes_on_none_is_started_or_one_waits() -> None:
    assert looked_at(timedelta(0), overlap="skip", is_running=True) == Firing([], NOON + MINUTE, skipped=NOON)
    assert looked_at(timedelta(0), overlap="allow", is_running=True) == Firing([NOON], NOON + MINUTE)
    assert looked_at(timedelta(0), overlap="queue", is_running=True) == Firing([], NOON, waits=True)


@pytest.mark.parametrize(("catch_up", "following"), [("none", 31), ("last", 31), ("all", 1)])
def test_one_that_has_waited_is_started_however_late_and_of_the_others_only_all_are(
    catch_up: str, following: int
) -> None:
    late = 30 * MINUTE
    firing = looked_at(late, overlap="queue", catch_up=catch_up, looked_for_at=NOON + late - timedelta(seconds=1))

    assert (minutes(firing), firing.next_at) == ([0], NOON + following * MINUTE)


@given(
    st.sampled_from(["* * * * *", "*/7 * * * *", "0 * * * *", "15 3 * * *", "0 0 1 * *"]), st.sampled_from(OVERLAPS),
    st.sampled_from(CATCH_UPS), st.booleans(), st.integers(0, 10_000_000), st.integers(0, 10_000_000),
)  # fmt: skip
def test_whatever_happens_no_instant_is_started_twice_or_before_it_comes(
    cron: str, overlap: str, catch_up: str, is_running: bool, late: int, unseen: int
) -> None:
    due = next_due(cron, UTC_ZONE, NOON)
    assert due is not None
    now = due + timedelta(seconds=late)
    looked_for_at = now - timedelta(seconds=min(late, unseen))
    firing = fire(
        cron, UTC_ZONE, due=due, looked_for_at=looked_for_at, now=now, overlap=overlap, catch_up=catch_up,  # type: ignore[arg-type]
        is_running=is_running,
    )  # fmt: skip

    assert firing.next_at is not None
    assert firing.instants == sorted(set(firing.instants))
    assert all(due <= each <= now for each in firing.instants)
    assert all(each < firing.next_at for each in firing.instants)
    assert firing.next_at > now or firing.waits
    assert len(firing.instants) <= (MOST if overlap == "allow" else 1)


@given(st.uuids(), st.integers(0, 3600), st.integers(0, 1000))
def test_jitter_is_bounded_and_the_same_each_time(schedule_id: UUID, jitter: int, number: int) -> None:
    instant = NOON + number * MINUTE

    due = due_at(schedule_id, instant, jitter, cron="* * * * *", tz=UTC_ZONE)

    assert instant <= due <= instant + timedelta(seconds=jitter)
    assert due < instant + MINUTE, "the next instant is looked at by itself"
    assert due_at(schedule_id, instant, jitter, cron="* * * * *", tz=UTC_ZONE) == due


def test_jitter_spreads() -> None:
    found = {due_at(UUID(int=number), NOON, 3600, cron="0 12 * * *", tz=UTC_ZONE) for number in range(100)}

    assert len(found) > 90
    assert max(found) - min(found) > timedelta(minutes=50)


def test_what_is_too_much_at_once_goes_on_where_it_stopped() -> None:
    found, due = [], NOON
    while True:
        firing = looked_at(
            300 * MINUTE,
            catch_up="all",
            due=due,
            looked_for_at=NOON if due == NOON else NOON + 300 * MINUTE,
            at_once=70,
        )
        found += minutes(firing)
        assert firing.next_at is not None
        assert len(firing.instants) <= 70
        if not firing.goes_on:
            break
        due = firing.next_at

    assert (found, firing.next_at) == (list(range(301)), NOON + 301 * MINUTE)


@pytest.mark.parametrize(("input_bytes", "most"), [(2, 2 * RUNS_AT_ONCE), (262_144, 80), (50_000_000, 1)])
def test_one_transaction_stores_so_many_runs_and_no_more(input_bytes: int, most: int) -> None:
    due = [
        DueSchedule(
            id=UUID(int=number), owner_id=UUID(int=1), workflow_id=UUID(int=2), name="default", cron="* * * * *",
            timezone="UTC", input={}, input_bytes=input_bytes, overlap="allow", catch_up="all", jitter=0,
            next_fire_at=NOON, due_at=NOON, status="published", version=1, is_limited=False,
            now=NOON + 998 * MINUTE, is_running=False,
        )
        for number in range(200)
    ]  # fmt: skip
    decided = _decide(due)
    runs = [run for _, started in decided for run in started]

    assert 1 <= len(runs) <= most
    assert [moved.id for moved, _ in decided] == [each.id for each in due[: len(decided)]], "in order"
