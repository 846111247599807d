"""Workflows that limit how many of their runs go on at once: the others are held, in order, and let through one by one."""

from collections.abc import Iterable
from uuid import UUID

from stepwire.db.pool import Pool

AT_ONCE = 100  # workflows, of those that have runs held

_WITH_HELD_RUNS = """
WITH RECURSIVE found AS (
    (SELECT workflow_id, 1 AS number FROM run WHERE is_held AND status IN ('queued', 'running', 'paused')
     ORDER BY workflow_id LIMIT 1)
    UNION ALL
    SELECT (SELECT run.workflow_id FROM run WHERE is_held AND status IN ('queued', 'running', 'paused')
                AND run.workflow_id > found.workflow_id ORDER BY run.workflow_id LIMIT 1), found.number + 1
    FROM found WHERE found.workflow_id IS NOT NULL AND found.number < $1
)
SELECT workflow_id FROM found WHERE workflow_id IS NOT NULL
"""

# One at a time for each workflow: two that count at once would both find the same room.
_LOCK = "SELECT pg_advisory_xact_lock(7311503, hashtext($1::uuid::text))"
_LET_THROUGH = """
WITH room AS (
    SELECT workflow.concurrency_limit - (
        SELECT count(*) FROM run
        WHERE workflow_id = workflow.id AND NOT is_held AND status IN ('queued', 'running', 'paused')
    ) AS runs FROM workflow WHERE id = $1
), next AS MATERIALIZED (
    SELECT id FROM run WHERE workflow_id = $1 AND is_held AND status IN ('queued', 'running', 'paused')
    ORDER BY priority DESC, created_at, id LIMIT greatest((SELECT runs FROM room), 0) FOR UPDATE SKIP LOCKED
)
UPDATE run SET is_held = false, wake_at = now() FROM next WHERE run.id = next.id RETURNING run.id
"""


async def let_through(pool: Pool, workflow_ids: Iterable[UUID]) -> int:
    """Let as many held runs of these workflows go on as their limits allow; how many these are."""
    count = 0
    for workflow_id in workflow_ids:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(_LOCK, workflow_id)
            count += len(await connection.fetch(_LET_THROUGH, workflow_id))
    return count


async def with_held_runs(pool: Pool) -> list[UUID]:
    """Workflows that have runs held, `AT_ONCE` at most."""
    return [record["workflow_id"] for record in await pool.fetch(_WITH_HELD_RUNS, AT_ONCE)]
