"""What has become of an owner's runs: which of them have moved on, and the events that say how. Rows, no steps."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from stepwire.db.pool import Pool

# Each part is a stretch of an index: active runs are few, recent ones too, and the others are named.
_MOVING = """
SELECT id, workflow_id, status, seq, now() AS at FROM run
WHERE owner_id = $1 AND status IN ('queued', 'running', 'paused')
UNION SELECT id, workflow_id, status, seq, now() FROM run WHERE owner_id = $1 AND created_at >= $2
UNION SELECT id, workflow_id, status, seq, now() FROM run WHERE id = ANY($3::uuid[]) AND owner_id = $1
"""

_NAMED = "SELECT id, workflow_id, status, seq, now() AS at FROM run WHERE id = ANY($2::uuid[]) AND owner_id = $1"

_RUN_EVENTS = """
SELECT run_event.run_id, seq, event, step_id, data, run_event.at
FROM unnest($1::uuid[], $2::int[], $3::int[], $4::timestamptz[]) AS wanted(run_id, after, upto, since)
JOIN run_event ON run_event.run_id = wanted.run_id AND seq > wanted.after AND seq <= wanted.upto
    AND event LIKE 'run.%' AND run_event.at >= wanted.since
ORDER BY run_event.run_id, seq
"""


class Moved(msgspec.Struct, frozen=True):
    """How far a run is; ``at`` is the database's time."""

    id: UUID
    workflow_id: UUID
    status: str
    seq: int
    at: datetime


class Span(msgspec.Struct, frozen=True):
    """A run's events after ``after`` up to ``upto``, from ``since`` on."""

    run_id: UUID
    after: int
    upto: int
    since: datetime


async def moving_runs(pool: Pool, owner: UUID, created_since: datetime, run_ids: Sequence[UUID]) -> list[Moved]:
    """The owner's runs that are not over, those created since, and the named ones."""
    return [Moved(**record) for record in await pool.fetch(_MOVING, owner, created_since, run_ids)]


async def named_runs(pool: Pool, owner: UUID, run_ids: Sequence[UUID]) -> list[Moved]:
    """The owner's among these runs."""
    return [Moved(**record) for record in await pool.fetch(_NAMED, owner, run_ids)]


async def run_events(pool: Pool, spans: Sequence[Span]) -> list[Any]:
    """Rows of the journal about whole runs, run by run and in order."""
    columns = zip(*((each.run_id, each.after, each.upto, each.since) for each in spans), strict=True)
    return list(await pool.fetch(_RUN_EVENTS, *columns)) if spans else []
