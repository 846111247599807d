"""Starts the runs that ``core.workflow`` asks for, once per step, and again only where the one before has failed."""

from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from stepwire.db.children import NewChild, child_workflow, known_child, start_child, take_child_up
from stepwire.db.claims import ClaimedRun
from stepwire.db.pool import Pool
from stepwire.definition.input_schema import InputSchema
from stepwire.engine.events import RunQueued, data_of
from stepwire.errors import InvalidInput
from stepwire.runtime.patience import patiently
from stepwire.signals.wake import Waker
from stepwire.steps.base import StepFailed

MAX_DEPTH = 8


class Children:
    """The child runs of the runs that this worker drives."""

    def __init__(self, pool: Pool, waker: Waker) -> None:
        self._pool = pool
        self._waker = waker

    async def start(
        self, parent: ClaimedRun, step_id: str, attempt: int, workflow_id: UUID, value: dict[str, Any], wait: bool
    ) -> UUID:
        """The run for this attempt of a step; it is stored when this returns. While the database is away this waits.

        A repeat finds the run that the first call has started. The next attempt after a failure takes the failed run
        up again from its failed steps; after a cancellation it starts another one. What becomes of a run that is not
        waited for is none of its parent's business.

        Raises:
            StepFailed: the workflow is missing or not published, or the input does not fit it, or it is too deep.
        """
        return await patiently(partial(self._start, parent, step_id, attempt, workflow_id, value, wait))

    async def _start(
        self, parent: ClaimedRun, step_id: str, attempt: int, workflow_id: UUID, value: dict[str, Any], wait: bool
    ) -> UUID:
        known = await known_child(self._pool, parent.id, step_id)
        if known is not None:
            is_this_attempts = known.parent_attempt == attempt
            if not wait or is_this_attempts or known.status not in ("failed", "cancelled"):
                return known.id
        if known is not None and known.status == "failed":
            await take_child_up(self._pool, parent, known.id, attempt)
            await self._waker.wake()
            return known.id
        child = await self._new(parent, step_id, attempt, workflow_id, value, wait)
        if await start_child(self._pool, child):
            await self._waker.wake()
            return child.id
        known = await known_child(self._pool, parent.id, step_id)
        if known is None or known.parent_attempt != attempt:
            raise StepFailed("parent-ended", "The run has ended, or another worker drives it.")
        return known.id

    async def _new(
        self, parent: ClaimedRun, step_id: str, attempt: int, workflow_id: UUID, value: dict[str, Any], wait: bool
    ) -> NewChild:
        if parent.depth >= MAX_DEPTH:
            raise StepFailed("too-deep", f"Runs start runs at most {MAX_DEPTH} levels deep.")
        workflow = await child_workflow(self._pool, parent.owner_id, workflow_id)
        if workflow is None:
            raise StepFailed("workflow-not-found", f"There is no workflow {workflow_id}.")
        if workflow.status != "published":
            raise StepFailed("workflow-not-published", f"The workflow {workflow_id} is {workflow.status}.")
        if workflow.input_schema is not None:
            try:
                InputSchema(workflow.input_schema).check(value)
            except InvalidInput as error:
                details = {"issues": msgspec.to_builtins(error.issues)}
                raise StepFailed("invalid-input", error.detail, details=details) from None
        queued = RunQueued(
            at=datetime.now(UTC), workflow_id=workflow_id, workflow_version=workflow.version, trigger_type="workflow",
            input=value,
        )  # fmt: skip
        return NewChild(
            id=uuid7(),
            owner_id=parent.owner_id,
            workflow_id=workflow_id,
            workflow_version=workflow.version,
            parent_run_id=parent.id,
            parent_fence=parent.fence,
            parent_step_id=step_id,
            parent_attempt=attempt,
            is_awaited=wait,
            is_limited=workflow.concurrency_limit is not None,
            input=msgspec.json.encode(value).decode(),
            queued=msgspec.json.encode(data_of(queued)).decode(),
        )
