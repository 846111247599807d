"""Many workers look at the same schedules, and die while they do: each instant starts exactly one run."""

import random
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import libfaketime
import pytest

from factories import chain, node
from fleet import Fleet
from stack import until

SCHEDULES, ROUNDS = 200, 6
CLOCKS = {"worker-0": "+3600", "worker-1": "-3600", "worker-2": "+90", "worker-3": "+0"}  # seconds
SOON = timedelta(seconds=2)
LATE_SCHEDULES, MISSED = 4, 300
PLACES = ["fire.before:1", "fire.before:2", "fire.after:1", "accept.before:1", "accept.after:1", "claim.after:3"]
_MANY = """
INSERT INTO schedule (id, owner_id, workflow_id, name, cron, timezone, input, enabled, overlap, catch_up, jitter)
SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', $1, number::text, '0 0 1 1 *', 'UTC', '{}', true, 'allow',
       'none', 0
FROM generate_series(1, $2) AS number
"""
_DUE = "UPDATE schedule SET next_fire_at = date_trunc('milliseconds', now()), due_at = now()"
_SOON = "UPDATE schedule SET next_fire_at = $1, due_at = $1"
_LATE = """
UPDATE schedule SET cron = '* * * * *', catch_up = 'all', input = json_build_object('n', repeat('x', 40000)),
    next_fire_at = date_trunc('minute', now()) - $1::float * interval '1 minute', due_at = now() - $1::float * interval '1 minute'
"""
_LEFT = "SELECT id FROM schedule WHERE due_at <= now()"
_FOUND = "SELECT trigger->>'schedule_id' AS schedule, trigger->>'fired_at' AS instant FROM run WHERE trigger_type = 'schedule'"


def test_each_instant_starts_one_run_whoever_dies(
    services: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fleet = Fleet(services, tmp_path, apis=1, workers=4, number=6)
    request.addfinalizer(fleet.kill)
    chance = random.Random(7)
    workflow_id = fleet.apis[0].publish(chain(node("done", "core.transform", {"values": {"n": 1}})))
    fleet.execute(_MANY, workflow_id, SCHEDULES)
    for _ in range(ROUNDS):
        for name in fleet.names:
            if fleet.has_died(name):
                fleet.replace(name)
        fleet.replace(f"worker-{chance.randrange(4)}", chance.choice(PLACES))
        fleet.execute(_DUE)
        until(lambda: not fleet.fetch(_LEFT), "every schedule being looked at")

    found = [(each["schedule"], each["instant"]) for each in fleet.fetch(_FOUND)]

    assert len(found) == len(set(found)) == SCHEDULES * ROUNDS
    for name in fleet.names:
        fleet.replace(name)
    until(lambda: not fleet.fetch("SELECT 1 FROM run WHERE status <> 'completed' LIMIT 1"), "every run's end")
    fleet.close()


def test_whatever_clocks_the_workers_have_the_databases_decides(
    services: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    preload = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
    own = {
        name: {"LD_PRELOAD": str(preload), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        for name, shift in CLOCKS.items()
    }
    fleet = Fleet(services, tmp_path, apis=1, workers=4, number=6, own=own)
    request.addfinalizer(fleet.kill)
    workflow_id = fleet.apis[0].publish(chain(node("done", "core.transform", {"values": {"n": 1}})))
    fleet.execute(_MANY, workflow_id, SCHEDULES)
    for _ in range(3):
        [(now,)] = fleet.fetch("SELECT now()")
        fleet.execute(_SOON, now.replace(microsecond=0) + SOON)
        until(
            lambda: not fleet.fetch("SELECT 1 FROM schedule WHERE due_at < now() + interval '1 day'"),
            "all",
        )

    found = fleet.fetch(_FOUND + " AND created_at >= (trigger->>'fired_at')::timestamptz")
    pairs = {(each["schedule"], each["instant"]) for each in found}

    assert len(found) == len(pairs) == SCHEDULES * 3, "each once, and none before its time"
    hours = {name: (tmp_path / f"{name}.log").read_text()[:13] for name in CLOCKS}
    assert len({hours[name] for name in ("worker-0", "worker-1", "worker-3")}) == 3, "the clocks differ"
    fleet.close()


def test_what_was_missed_is_made_up_for_once_whoever_dies(
    services: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """It takes two transactions for each schedule, and workers die before, between and after them."""
    fleet = Fleet(services, tmp_path, apis=1, workers=4, number=6)
    request.addfinalizer(fleet.kill)
    chance = random.Random(11)
    workflow_id = fleet.apis[0].publish(chain(node("done", "core.transform", {"values": {"n": 1}})))
    for number in range(4):
        fleet.replace(f"worker-{number}", chance.choice(PLACES))
    fleet.execute(_MANY, workflow_id, LATE_SCHEDULES)
    fleet.execute(_LATE, MISSED)

    def is_made_up_for() -> bool:
        for name in fleet.names:
            if fleet.has_died(name):
                fleet.replace(name, chance.choice([*PLACES, ""]))
        return not fleet.fetch(_LEFT)

    until(is_made_up_for, "every schedule being up to date")

    found = [(each["schedule"], each["instant"]) for each in fleet.fetch(_FOUND)]
    instants = Counter(instant for _, instant in found)
    missed = sorted(instants)[:MISSED]

    assert len(found) == len(set(found))
    assert {instants[each] for each in missed} == {LATE_SCHEDULES}, "each has each"
    assert [datetime.fromisoformat(later) - datetime.fromisoformat(earlier) for earlier, later in pairwise(missed)] == [
        timedelta(minutes=1)
    ] * (MISSED - 1)
    fleet.close(is_armed=True)
