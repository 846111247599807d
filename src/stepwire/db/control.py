"""What an owner orders about a run: each order is one statement, so that two of them, or one and a driver, never mix."""

from uuid import UUID

from stepwire.db.pool import Pool, for_a_client

_CANCEL = """
UPDATE run SET cancel_requested_at = coalesce(cancel_requested_at, now()), wake_at = now()
WHERE id = $1 AND owner_id = $2 AND status IN ('queued', 'running', 'paused')
RETURNING id
"""

# The fence rises, so that a driver which has not noticed the run's end writes nothing into its new stretch.
_RETRY = """
WITH retried AS (
    UPDATE run SET status = CASE WHEN started_at IS NULL THEN 'queued' ELSE 'running' END, seq = seq + 1,
        fence = fence + 1, leased_by = NULL, lease_until = NULL, wake_at = now(), cancel_requested_at = NULL,
        output = NULL, error = NULL, completed_at = NULL
    WHERE id = $1 AND owner_id = $2 AND status = 'failed'
    RETURNING id, seq
), renewed AS (
    DELETE FROM step_run USING retried WHERE step_run.run_id = retried.id
        AND (step_run.status = 'cancelled' OR (step_run.status = 'failed' AND json_array_length(step_run.handles) = 0))
    RETURNING step_run.step_id
)
INSERT INTO run_event (run_id, seq, event, data, at)
SELECT id, seq, 'run.retried',
    json_build_object('step_ids', (SELECT coalesce(json_agg(step_id ORDER BY step_id), '[]') FROM renewed)), now()
FROM retried RETURNING seq
"""


async def request_cancel(pool: Pool, owner: UUID, run_id: UUID) -> bool:
    """Have a run cancelled by its driver, or by whoever claims it next; False where it is over, or not the owner's."""
    with for_a_client():
        return await pool.fetchval(_CANCEL, run_id, owner) is not None


async def retry(pool: Pool, owner: UUID, run_id: UUID) -> bool:
    """Take a failed run up again: the steps that failed it, and those that were cancelled for it, are as new.

    Returns:
        False where it is not failed, or not the owner's.
    """
    with for_a_client():
        return await pool.fetchval(_RETRY, run_id, owner) is not None
