"""Who drives a run: claims, their renewal and their return. A claim is a lease in time and a fence against whoever had one."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from stepwire.db.entries import from_json
from stepwire.db.pool import Pool
from stepwire.definition.plan import TriggerType
from stepwire.engine.model import RunStatus
from stepwire.points import reach

NOBODY = UUID(int=0)

# What has begun goes on first, but takes three quarters of the places at most. Of what is queued, owners have their turns:
# `run_queued` is asked for one owner after another, from the one behind $4 on and round to it again. So no claim costs
# more for how much is queued, or is to go on later. Where ids are joined with, they also stand in an array: a plan made
# when the table was nearly empty would otherwise go along all of it.
CLAIM = """
WITH RECURSIVE turn AS (
    SELECT first.owner_id, first.owner_id AS began, 1 AS number FROM (
        SELECT coalesce(
            (SELECT owner_id FROM run WHERE wake_at IS NOT NULL AND status = 'queued' AND owner_id > $4
             ORDER BY owner_id LIMIT 1),
            (SELECT owner_id FROM run WHERE wake_at IS NOT NULL AND status = 'queued' ORDER BY owner_id LIMIT 1)
        ) AS owner_id
    ) AS first WHERE first.owner_id IS NOT NULL
    UNION ALL
    SELECT next.owner_id, turn.began, turn.number + 1 FROM turn CROSS JOIN LATERAL (
        SELECT coalesce(
            (SELECT owner_id FROM run WHERE wake_at IS NOT NULL AND status = 'queued' AND owner_id > turn.owner_id
             ORDER BY owner_id LIMIT 1),
            (SELECT owner_id FROM run WHERE wake_at IS NOT NULL AND status = 'queued' ORDER BY owner_id LIMIT 1)
        ) AS owner_id
    ) AS next WHERE turn.number < $2 AND next.owner_id <> turn.began
), begun AS MATERIALIZED (
    SELECT id, lease_until FROM run
    WHERE wake_at <= now() AND status IN ('running', 'paused') AND (lease_until IS NULL OR lease_until < now())
    ORDER BY wake_at LIMIT $5 FOR UPDATE SKIP LOCKED
), queued AS MATERIALIZED (
    SELECT own.id, own.lease_until FROM turn CROSS JOIN LATERAL (
        SELECT id, lease_until FROM run
        WHERE owner_id = turn.owner_id AND wake_at <= now() AND status = 'queued'
            AND (lease_until IS NULL OR lease_until < now())
        ORDER BY priority DESC, wake_at LIMIT greatest(0, least($2, $8 - coalesce((
            SELECT runs FROM unnest($6::uuid[], $7::int[]) AS held(owner_id, runs) WHERE held.owner_id = turn.owner_id
        ), 0))) FOR UPDATE SKIP LOCKED
    ) AS own
    LIMIT $2 - (SELECT count(*) FROM begun)
), due AS (
    SELECT id, lease_until IS NOT NULL AS is_taken_over FROM (SELECT * FROM begun UNION ALL SELECT * FROM queued) AS free
)
UPDATE run SET fence = fence + 1, leased_by = $1, lease_until = now() + $3
FROM due WHERE run.id = ANY(ARRAY(SELECT id FROM due)) AND run.id = due.id
RETURNING run.id, owner_id, workflow_id, workflow_version, status, trigger_type, trigger, input, seq, fence, created_at,
          started_at, nudges, parent_run_id, root_run_id, depth, is_held IS NOT NULL AS is_limited, is_taken_over
"""

# Whoever changes several runs locks them in the order of their ids, so that no two of them wait for each other.
RENEW = """
WITH held AS MATERIALIZED (
    SELECT run.id, run.nudges, run.lease_until FROM run JOIN unnest($1::uuid[], $2::int[]) AS known(id, fence)
        ON run.id = ANY($1::uuid[]) AND run.id = known.id AND run.fence = known.fence
    ORDER BY run.id FOR NO KEY UPDATE OF run
), renewed AS (
    UPDATE run SET lease_until = now() + $3 FROM held
    WHERE run.id = ANY($1::uuid[]) AND run.id = held.id AND held.lease_until IS NOT NULL
)
SELECT id, nudges FROM held
"""

RELEASE = """
UPDATE run SET lease_until = NULL, leased_by = NULL FROM unnest($1::uuid[], $2::int[]) AS held(id, fence)
WHERE run.id = ANY($1::uuid[]) AND run.id = held.id AND run.fence = held.fence
"""


class ClaimedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run under this worker's lease, as it was stored; ``is_taken_over`` from a worker whose lease lapsed.

    ``is_limited``: its end may let another run of its workflow begin.
    """

    id: UUID
    owner_id: UUID
    workflow_id: UUID
    workflow_version: int
    status: RunStatus
    trigger_type: TriggerType
    trigger: Any
    input: Any
    seq: int
    fence: int
    created_at: datetime
    started_at: datetime | None
    nudges: int = 0
    parent_run_id: UUID | None = None
    root_run_id: UUID | None = None
    depth: int = 0
    is_limited: bool = False
    is_taken_over: bool = False


async def claim(
    pool: Pool,
    *,
    worker: str,
    limit: int,
    lease: timedelta,
    after: UUID = NOBODY,
    held: Mapping[UUID, int] | None = None,
    most: int = 10_000,
) -> list[ClaimedRun]:
    """Take up to ``limit`` runs that are due and that nobody holds; their fences rise, so nobody else writes to them.

    Of what is queued, the owner that comes behind ``after`` has the first turn. None gets more than ``most`` runs,
    those included that the worker has in hand of it (``held``).
    """
    reach("claim.before")
    records = await pool.fetch(
        CLAIM, worker, limit, lease, after, -(-limit * 3 // 4), list(held or {}), list((held or {}).values()), most
    )
    if records:
        reach("claim.after")
    return [
        ClaimedRun(**{**record, "trigger": from_json(record["trigger"]), "input": from_json(record["input"])})
        for record in records
    ]


async def renew(pool: Pool, held: Sequence[tuple[UUID, int]], lease: timedelta) -> dict[UUID, int]:
    """Prolong leases, given as (run id, fence), in one statement. One that was just given back stays so.

    Returns:
        Run id to nudges, of those that nobody else has claimed since.
    """
    ids, fences = [run_id for run_id, _ in held], [fence for _, fence in held]
    reach("renew.before")
    kept = {record["id"]: record["nudges"] for record in await pool.fetch(RENEW, ids, fences, lease)}
    reach("renew.after")
    return kept


async def release(pool: Pool, held: Sequence[tuple[UUID, int]]) -> None:
    """Hand leases back at once, so that another worker need not wait for them to lapse."""
    reach("release.before")
    await pool.execute(RELEASE, [run_id for run_id, _ in held], [fence for _, fence in held])
    reach("release.after")
