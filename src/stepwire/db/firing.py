"""Schedules that are due, for whoever starts their runs: claimed, fired and moved on in one transaction."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from stepwire.db.entries import from_json
from stepwire.db.journal import NewRun, accept
from stepwire.db.pool import Connection, Pool
from stepwire.definition.firing import CatchUp, Overlap
from stepwire.points import reach

# Somebody else may have some of those that are due in hand: they are passed over. The database's clock decides.
_DUE = """
SELECT schedule.id, schedule.owner_id, schedule.workflow_id, schedule.name, schedule.cron, schedule.timezone, schedule.input,
       octet_length(schedule.input::text) AS input_bytes, schedule.overlap, schedule.catch_up, schedule.jitter, schedule.next_fire_at, schedule.due_at, workflow.status,
       workflow.version, workflow.concurrency_limit IS NOT NULL AS is_limited, now() AS now,
       EXISTS (SELECT FROM run WHERE run.id = schedule.last_run_id AND run.status IN ('queued', 'running', 'paused'))
           AS is_running
FROM schedule JOIN workflow ON workflow.id = schedule.workflow_id
WHERE schedule.due_at <= now() ORDER BY schedule.due_at LIMIT $1 FOR UPDATE OF schedule SKIP LOCKED
"""

_MOVE_ON = """
UPDATE schedule SET next_fire_at = moved.next_fire_at, due_at = moved.due_at,
    last_fired_at = coalesce(moved.fired_at, last_fired_at), last_run_id = coalesce(moved.run_id, last_run_id),
    last_skipped_at = coalesce(moved.skipped_at, last_skipped_at)
FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::uuid[], $6::timestamptz[])
    AS moved(id, next_fire_at, due_at, fired_at, run_id, skipped_at)
WHERE schedule.id = ANY($1::uuid[]) AND schedule.id = moved.id
"""

_SECONDS_LEFT = "SELECT extract(epoch FROM min(due_at) - now())::float FROM schedule WHERE due_at IS NOT NULL"


class DueSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule whose instant ``next_fire_at`` has come, with what its workflow says; ``now`` is the database's."""

    id: UUID
    owner_id: UUID
    workflow_id: UUID
    name: str
    cron: str
    timezone: str
    input: Any
    input_bytes: int
    overlap: Overlap
    catch_up: CatchUp
    jitter: int
    next_fire_at: datetime
    due_at: datetime
    status: str
    version: int
    is_limited: bool
    now: datetime
    is_running: bool


class Moved(msgspec.Struct, frozen=True):
    """What a schedule is to be after it was looked at; ``fired_at`` and ``run_id`` are those of the last run to be started."""

    id: UUID
    next_fire_at: datetime | None = None
    due_at: datetime | None = None
    fired_at: datetime | None = None
    run_id: UUID | None = None
    skipped_at: datetime | None = None


@asynccontextmanager
async def due(pool: Pool, limit: int) -> AsyncIterator[tuple[Connection, list[DueSchedule]]]:
    """Schedules that are due, in this process's hands until the transaction ends, which it does with the context."""
    async with pool.acquire() as connection, connection.transaction():
        reach("fire.before")
        records = await connection.fetch(_DUE, limit)
        yield connection, [DueSchedule(**{**each, "input": from_json(each["input"])}) for each in records]
    if records:
        reach("fire.after")


async def move_on(connection: Connection, runs: Sequence[NewRun], moved: Sequence[Moved]) -> dict[UUID, datetime]:
    """Store the runs that schedules start, and when these are due next. Which runs are new, and their instants.

    One that is not stored, since its workflow was archived just now or the instant has its run, is no schedule's last run.
    """
    accepted = await accept(connection, runs) if runs else {}
    started = [each.run_id in accepted for each in moved]
    await connection.execute(
        _MOVE_ON, [each.id for each in moved], [each.next_fire_at for each in moved], [each.due_at for each in moved],
        [each.fired_at if is_new else None for each, is_new in zip(moved, started, strict=True)],
        [each.run_id if is_new else None for each, is_new in zip(moved, started, strict=True)],
        [each.skipped_at for each in moved],
    )  # fmt: skip
    return accepted


async def seconds_left(pool: Pool) -> float | None:
    """Until the next schedule is due, by the database's clock; None where there is none."""
    left: float | None = await pool.fetchval(_SECONDS_LEFT)
    return left
