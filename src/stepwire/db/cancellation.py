"""A cancellation, stored: of a run and of all the runs that it waits for, and who carries it out.

Whoever changes several runs locks them in the order of their ids, so that no two of them wait for each other.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from stepwire.db.claims import ClaimedRun
from stepwire.db.entries import from_json
from stepwire.db.pool import Connection, Pool, for_a_client
from stepwire.points import reach

AT_ONCE = 50  # runs that are claimed to be ended by whoever was asked to cancel them

_FAMILY = """
WITH RECURSIVE family AS (
    SELECT id, 0 AS level FROM run WHERE id = $1 AND owner_id = $2 AND status IN ('queued', 'running', 'paused')
    UNION ALL
    SELECT run.id, family.level + 1 FROM family JOIN run ON run.parent_run_id = family.id
    WHERE run.is_awaited AND run.status IN ('queued', 'running', 'paused')
)
SELECT id FROM family ORDER BY level DESC
"""

_MARK = """
WITH locked AS MATERIALIZED (
    SELECT id FROM run WHERE id = ANY($1::uuid[]) AND status IN ('queued', 'running', 'paused')
    ORDER BY id FOR NO KEY UPDATE
)
UPDATE run SET cancel_requested_at = coalesce(cancel_requested_at, now()), nudges = nudges + 1, wake_at = now()
FROM locked WHERE run.id = ANY($1::uuid[]) AND run.id = locked.id
RETURNING run.id
"""

# A claim as a worker's: nobody who had the run before writes to it any more.
_CLAIM = """
WITH free AS MATERIALIZED (
    SELECT free.id FROM unnest($1::uuid[]) WITH ORDINALITY AS wanted(id, number) CROSS JOIN LATERAL (
        SELECT id FROM run
        WHERE id = wanted.id AND cancel_requested_at IS NOT NULL AND status IN ('queued', 'running', 'paused')
            AND (lease_until IS NULL OR lease_until < now())
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS free
    ORDER BY wanted.number LIMIT $4
)
UPDATE run SET fence = fence + 1, leased_by = $2, lease_until = now() + $3
FROM free WHERE run.id = ANY($1::uuid[]) AND run.id = free.id
RETURNING run.id, owner_id, workflow_id, workflow_version, status, trigger_type, trigger, input, seq, fence, created_at,
          started_at, nudges, parent_run_id, root_run_id, depth, is_held IS NOT NULL AS is_limited
"""

_CANCEL_CHILDREN = """
WITH active AS MATERIALIZED (
    SELECT id, cancel_requested_at IS NOT NULL AS is_told FROM run
    WHERE parent_run_id = $1 AND is_awaited AND status IN ('queued', 'running', 'paused')
    ORDER BY id FOR NO KEY UPDATE
), told AS (
    UPDATE run SET cancel_requested_at = now(), nudges = nudges + 1, wake_at = now()
    FROM active WHERE run.id = ANY(ARRAY(SELECT id FROM active)) AND run.id = active.id AND NOT active.is_told
)
SELECT id, is_told FROM active
"""


class Requested(msgspec.Struct, frozen=True):
    """The runs that are to end, a child before its parent, and those of them that were claimed for that."""

    run_ids: list[UUID]
    claimed: list[ClaimedRun]


async def request_cancel(pool: Pool, owner: UUID, run_id: UUID, by: str, lease: timedelta) -> Requested | None:
    """Have a run, and those that it waits for, cancelled; None where it is over, or not the owner's.

    What nobody drives just now is claimed ``by`` the caller, `AT_ONCE` at most; the others have a driver, or get one.
    """
    reach("cancel.before")
    with for_a_client():
        async with pool.acquire() as connection, connection.transaction():
            family = [record["id"] for record in await connection.fetch(_FAMILY, run_id, owner)]
            marked = {record["id"] for record in await connection.fetch(_MARK, family)} if family else set()
            if run_id not in marked:
                return None
            run_ids = [each for each in family if each in marked]
            claimed = await _claim(connection, run_ids, by, lease)
    reach("cancel.after")
    return Requested(run_ids, claimed)


async def claim_cancelled(pool: Pool, run_ids: Sequence[UUID], by: str, lease: timedelta) -> list[ClaimedRun]:
    """Those of the runs that are to be cancelled and that nobody holds, the first `AT_ONCE` of them; now the caller's."""
    return await _claim(pool, run_ids, by, lease)


async def _claim(
    connection: "Pool | Connection", run_ids: Sequence[UUID], by: str, lease: timedelta
) -> list[ClaimedRun]:
    records = await connection.fetch(_CLAIM, run_ids, by, lease, AT_ONCE)
    return [
        ClaimedRun(**{**record, "trigger": from_json(record["trigger"]), "input": from_json(record["input"])})
        for record in records
    ]


async def cancel_children(pool: Pool, run_id: UUID) -> tuple[bool, list[UUID]]:
    """Have the runs cancelled that a cancelled run waits for. Whether there are any that have not ended, and those that
    did not know of it.

    None is added after that: a run that is to be cancelled starts no others.
    """
    active = await pool.fetch(_CANCEL_CHILDREN, run_id)
    return bool(active), [record["id"] for record in active if not record["is_told"]]
