"""Many workers look at the same schedules, and die while they do: each instant starts exactly one run."""

import asyncio
import random
from pathlib import Path

import pytest

from factories import chain, node
from fleet import Fleet
from stack import until

SCHEDULES, ROUNDS = 400, 8
PLACES = ["fire.before:1", "fire.before:2", "fire.after:1", "accept.before:1", "accept.after:1", "claim.after:3"]
_MANY = """
INSERT INTO schedule (id, owner_id, workflow_id, name, cron, timezone, input, enabled, overlap, catch_up, jitter)
SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', $1, number::text, '0 0 1 1 *', 'UTC', '{}', true, 'allow',
       'none', 0
FROM generate_series(1, $2) AS number
"""
_DUE = "UPDATE schedule SET next_fire_at = date_trunc('milliseconds', now()), due_at = now()"
_LEFT = "SELECT id FROM schedule WHERE due_at <= now()"
_FOUND = "SELECT trigger->>'schedule_id' AS schedule, trigger->>'fired_at' AS instant FROM run WHERE trigger_type = 'schedule'"


def test_each_instant_starts_one_run_whoever_dies(
    services: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fleet = Fleet(services, tmp_path, apis=1, workers=4, number=6)
    request.addfinalizer(fleet.kill)
    chance = random.Random(7)
    workflow_id = fleet.apis[0].publish(chain(node("done", "core.transform", {"values": {"n": 1}})))
    asyncio.run(fleet.execute(_MANY, workflow_id, SCHEDULES))
    for _ in range(ROUNDS):
        for name in fleet.names:
            if fleet.has_died(name):
                fleet.replace(name)
        fleet.replace(f"worker-{chance.randrange(4)}", chance.choice(PLACES))
        asyncio.run(fleet.execute(_DUE))
        until(lambda: not asyncio.run(fleet.fetch(_LEFT)), "every schedule being looked at")

    found = [(each["schedule"], each["instant"]) for each in asyncio.run(fleet.fetch(_FOUND))]

    assert len(found) == len(set(found)) == SCHEDULES * ROUNDS
    for name in fleet.names:
        fleet.replace(name)
    until(
        lambda: not asyncio.run(fleet.fetch("SELECT 1 FROM run WHERE status <> 'completed' LIMIT 1")), "every run's end"
    )
    fleet.close()
