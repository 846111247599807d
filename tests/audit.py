"""What must be true of a whole database, and of what the world saw, when the dust has settled."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

import asyncpg
import msgspec
from redis import Redis

from stepwire.db.journal import load
from stepwire.db.pool import open_pool
from stepwire.engine.events import revive
from stepwire.engine.fold import apply
from stepwire.engine.model import RunState, StepError

FINISHED = ("completed", "failed", "cancelled")
LEFT_OVER = """
SELECT id, status, leased_by, lease_until, wake_at FROM run
WHERE status NOT IN ('completed', 'failed', 'cancelled') OR leased_by IS NOT NULL OR lease_until IS NOT NULL
    OR wake_at IS NOT NULL
"""


async def left_over(database: asyncpg.Connection) -> list[dict[str, Any]]:
    """The runs that have not ended, or that somebody holds, or that something is still to happen to."""
    return [dict(record) for record in await database.fetch(LEFT_OVER)]


def left_jobs(redis: Redis) -> list[str]:
    """The names of the functions of the jobs that wait, without the one that comes every second.

    Those that a killed worker had in hand are taken from it within a minute; they carry nothing.
    """
    stored = [redis.get(name) for name in redis.zrange("saq:stepwire:incomplete", 0, -1)]
    jobs = [msgspec.json.decode(job) for job in stored if job is not None]
    return [job["function"] for job in jobs if job["function"] != "sweep" and job["status"] != "active"]


async def audit(
    url: str, ends: Mapping[str, Iterable[str]], calls: Iterable[str], effects: Mapping[str, Iterable[str]]
) -> Counter[str]:
    """Check every run there is.

    ``ends``: each accepted run's id, and the statuses that are right for it. ``calls``: the idempotency keys of the
    requests that the world saw. ``effects``: run id to the steps whose calls must be among them when it is completed.

    Returns:
        How many runs there are of each status.
    """
    seen = Counter(calls)
    found: Counter[str] = Counter()
    async with open_pool(url, size=1) as pool, pool.acquire() as database:
        assert await left_over(database) == []
        runs = await database.fetch("SELECT * FROM run")
        assert set(ends) <= {str(run["id"]) for run in runs}, "an accepted run is lost"
        for run in runs:
            started = await _check_run(database, run)
            for path, attempts in started.items():
                assert seen.pop(f"{run['id']}:{path}", 0) <= attempts, f"{run['id']}:{path} was called in secret"
            found[run["status"]] += 1
            if (right := ends.get(str(run["id"]))) is not None:
                assert run["status"] in right, (run["id"], run["status"], run["error"])
            if run["status"] == "completed":
                missing = [step for step in effects.get(str(run["id"]), ()) if step not in started]
                assert not missing, f"{run['id']} is completed without {missing}"
    assert not seen, f"calls that no run has ordered: {seen}"
    return found


async def _check_run(database: asyncpg.Connection, run: asyncpg.Record) -> Counter[str]:
    """The events are 1, 2, 3 …, and they come to what is stored. Gives the attempts that were begun, by path."""
    rows = await database.fetch(
        "SELECT seq, event, step_id, data, at FROM run_event WHERE run_id = $1 ORDER BY seq", run["id"]
    )
    assert [row["seq"] for row in rows] == list(range(1, run["seq"] + 1)), run["id"]
    events = [revive(row["event"], row["step_id"], msgspec.json.decode(row["data"]), row["at"]) for row in rows]
    folded = reduce(apply, events, RunState())
    stored = await load(database, run["id"], run["status"], run["started_at"])
    error = None if run["error"] is None else msgspec.convert(msgspec.json.decode(run["error"]), StepError)
    output = None if run["output"] is None else msgspec.json.decode(run["output"])
    stored = msgspec.structs.replace(stored, output=output, error=error, completed_at=run["completed_at"])
    for field in RunState.__struct_fields__:
        assert getattr(folded, field) == getattr(stored, field), (run["id"], field)
    return Counter(row["step_id"] for row in rows if row["event"] == "step.started")
