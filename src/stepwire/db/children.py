"""Child runs: started once per attempt of the step that wants them, whatever is repeated."""

from typing import Any
from uuid import UUID

import msgspec

from stepwire.db.claims import ClaimedRun
from stepwire.db.control import lock, take_up
from stepwire.db.entries import from_json
from stepwire.db.limits import let_through
from stepwire.db.pool import Pool
from stepwire.points import reach

_KNOWN = """
SELECT id, parent_attempt,
       CASE WHEN cancel_requested_at IS NULL OR completed_at IS NOT NULL THEN status ELSE 'cancelled' END AS status
FROM run WHERE parent_run_id = $1 AND parent_step_id = $2
ORDER BY created_at DESC, id DESC LIMIT 1
"""

_WORKFLOW = "SELECT version, status, input_schema, concurrency_limit FROM workflow WHERE id = $1 AND owner_id = $2"

# The parent is locked until the child is there: whoever cancels it sees all of its children afterwards. Its fence is the
# driver's: a worker that was asleep starts none beside the one that another worker has started for a later attempt.
_START = """
WITH started AS (
    INSERT INTO run (id, owner_id, workflow_id, workflow_version, status, trigger_type, input, seq, wake_at, is_held,
                     priority, parent_run_id, parent_step_id, parent_attempt, is_awaited, root_run_id, depth)
    SELECT $1, $2, $3, $4, 'queued', 'workflow', $5, 1, CASE WHEN workflow.concurrency_limit IS NULL THEN now() END,
           CASE WHEN workflow.concurrency_limit IS NOT NULL THEN true END, workflow.priority, parent.id, $7, $8, $9,
           parent.root_run_id, parent.depth + 1
    FROM run parent JOIN workflow ON workflow.id = $3
    WHERE parent.id = $6 AND parent.fence = $11 AND parent.status IN ('running', 'paused')
        AND parent.cancel_requested_at IS NULL
    FOR SHARE OF parent
    ON CONFLICT (parent_run_id, parent_step_id, parent_attempt) WHERE parent_run_id IS NOT NULL DO NOTHING
    RETURNING id, created_at
)
INSERT INTO run_event (run_id, seq, event, data, at)
SELECT id, 1, 'run.queued', $10, created_at FROM started RETURNING run_id
"""


_LOCK_PARENT = """
SELECT id, fence = $2 AND status IN ('running', 'paused') AND cancel_requested_at IS NULL AS goes_on FROM run
WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE
"""


class KnownChild(msgspec.Struct, frozen=True):
    """The run that was started last for a step, and the attempt that it was started or taken up for.

    One that is about to be cancelled counts as that.
    """

    id: UUID
    status: str
    parent_attempt: int


class ChildWorkflow(msgspec.Struct, frozen=True):
    """What starting a run of a workflow needs to know of it."""

    version: int
    status: str
    input_schema: dict[str, Any] | None
    concurrency_limit: int | None


class NewChild(msgspec.Struct, frozen=True, kw_only=True):
    """A child run to start; ``input`` and ``queued`` (event 1's data) are JSON texts."""

    id: UUID
    owner_id: UUID
    workflow_id: UUID
    workflow_version: int
    parent_run_id: UUID
    parent_fence: int
    parent_step_id: str
    parent_attempt: int
    is_awaited: bool
    is_limited: bool
    input: str
    queued: str


async def known_child(pool: Pool, parent_run_id: UUID, step_id: str) -> KnownChild | None:
    record = await pool.fetchrow(_KNOWN, parent_run_id, step_id)
    return None if record is None else KnownChild(**record)


async def child_workflow(pool: Pool, owner: UUID, workflow_id: UUID) -> ChildWorkflow | None:
    """The owner's workflow; None where there is none."""
    record = await pool.fetchrow(_WORKFLOW, workflow_id, owner)
    if record is None:
        return None
    return ChildWorkflow(**{**record, "input_schema": from_json(record["input_schema"])})


async def start_child(pool: Pool, child: NewChild) -> bool:
    """Store a child run; False where there is one for this attempt already, or its parent has ended or is to, or is
    another driver's by now.
    """
    reach("child.before")
    started = await pool.fetchval(
        _START, child.id, child.owner_id, child.workflow_id, child.workflow_version, child.input, child.parent_run_id,
        child.parent_step_id, child.parent_attempt, child.is_awaited, child.queued, child.parent_fence,
    )  # fmt: skip
    reach("child.after")
    if started is not None and child.is_limited:
        await let_through(pool, [child.workflow_id])
    return started is not None


async def take_child_up(pool: Pool, parent: ClaimedRun, run_id: UUID, parent_attempt: int) -> None:
    """Take a failed child run up again for another attempt of its parent's step; nothing where that is done, or the
    parent has ended or is to, or is another driver's by now.
    """
    async with pool.acquire() as connection, connection.transaction():
        locked = await connection.fetch(_LOCK_PARENT, [run_id, parent.id], parent.fence)
        if not all(record["goes_on"] for record in locked if record["id"] == parent.id):
            return
        run = await lock(connection, parent.owner_id, run_id)
        if run is not None and run.status == "failed":
            await take_up(connection, run_id, run, parent_attempt)
