"""What an owner orders about a run that was started: cancel it, go on, take it up again, and wait for it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from stepwire.db import control
from stepwire.db.limits import let_through
from stepwire.db.models import Run, StepRun
from stepwire.db.pool import Connection
from stepwire.db.runs import is_resting
from stepwire.db.session import Database
from stepwire.definition.input_schema import InputSchema
from stepwire.engine.model import FINISHED
from stepwire.errors import RunFinished, RunNotFailed, RunNotFound, RunNotPaused, StepNotWaiting
from stepwire.points import reach
from stepwire.services.feeds import Feeds
from stepwire.services.idempotency import request_hash
from stepwire.services.limits import check_json, check_text
from stepwire.services.runs import RunService
from stepwire.signals.live import Announcer, RunChange

LOOK_SECONDS = 1.0  # how long an end that no message told of can go unnoticed
ACTIVE = ("queued", "running", "paused")


@dataclass(frozen=True, slots=True)
class Ordered:
    """The run as it is now, and whether this order changed anything; it was given after event ``seq``."""

    run: Run
    steps: Sequence[StepRun]
    is_new: bool
    seq: int = 0


class RunControl:
    """Orders about an owner's runs; each is stored before it returns, and the workers are told."""

    def __init__(
        self,
        database: Database,
        runs: RunService,
        feeds: Feeds,
        cancel: Callable[[UUID, UUID], Awaitable[bool]],
        wake: Callable[[], Awaitable[None]],
        announce_nudge: Callable[[Sequence[UUID]], Awaitable[None]],
        announcer: Announcer,
        max_input_bytes: int,
    ) -> None:
        self._database = database
        self._runs = runs
        self._feeds = feeds
        self._cancel = cancel
        self._wake = wake
        self._announce_nudge = announce_nudge
        self._announcer = announcer
        self._max_input_bytes = max_input_bytes

    async def cancel(self, owner: UUID, run_id: UUID) -> Ordered:
        """Have a run cancelled: one that nobody drives has ended when this returns; of another, what is in flight is
        stopped, not awaited. Of a cancelled one, nothing.

        Raises:
            RunNotFound, RunFinished.
        """
        is_new = await self._cancel(owner, run_id)
        run, steps = await self._runs.get(owner, run_id)
        if not is_new and run.status not in FINISHED:  # it had failed, and was taken up again since
            return await self.cancel(owner, run_id)
        if not is_new and run.status != "cancelled":
            raise RunFinished(f"The run has {run.status} already; there is nothing left to cancel.")
        return Ordered(run, steps, is_new)

    async def retry(self, owner: UUID, run_id: UUID) -> Ordered:
        """Take a failed run up again from the steps that failed it; finished ones are not run again.

        Raises:
            RunNotFound, RunNotFailed.
        """
        async with self._database.transaction() as connection:
            locked = await control.lock(connection, owner, run_id)
            if locked is not None and locked.status == "failed":
                await control.take_up(connection, run_id, locked)
        reach("retry.after")
        if locked is not None and locked.is_limited:
            await let_through(self._database.pool, [locked.workflow_id])
        run, steps = await self._runs.get(owner, run_id)
        if locked is None or locked.status != "failed":
            raise RunNotFailed(f"The run is {run.status}; only failed runs can be taken up again.")
        self._announcer.soon([(owner, RunChange(run_id, run.workflow_id))])
        await self._wake()
        return Ordered(run, steps, is_new=True)

    async def resume(self, owner: UUID, run_id: UUID, step_id: str, data: dict[str, Any]) -> Ordered:
        """Answer a step that waits for a person; the run goes on. Of the same answer again, nothing.

        Raises:
            RunNotFound, RunNotPaused, StepNotWaiting, InvalidInput, TooLarge, Unacceptable.
        """
        check_json(data, "data", self._max_input_bytes)
        check_text(step_id, "step_id")
        async with self._database.transaction() as connection:
            seq, is_new = await self._answer(connection, owner, run_id, step_id, data)
        reach("answer.after")
        if is_new:
            await asyncio.gather(self._announce_nudge([run_id]), self._wake())
        run, steps = await self._runs.get(owner, run_id)
        return Ordered(run, steps, is_new, seq if is_new else 0)

    async def _answer(
        self, connection: Connection, owner: UUID, run_id: UUID, step_id: str, data: dict[str, Any]
    ) -> tuple[int, bool]:
        """Keep an answer. The event that the run was at, and whether the answer was not given before."""
        locked = await control.lock(connection, owner, run_id)
        if locked is None:
            raise RunNotFound(f"There is no run {run_id}.")
        step = await control.waiting_step(connection, run_id, step_id)
        is_waiting = step is not None and step.status == "waiting" and step.waits_for == "person"
        if step is not None and is_waiting and locked.status in ACTIVE:
            schema = (step.input or {}).get("schema")
            if schema is not None:
                InputSchema(schema).check(data, "/data")
            if await control.answer(connection, run_id, step_id, step.attempt, data):
                return locked.seq, True
        known = await control.last_answer(connection, run_id, step_id)
        if known is not None and request_hash(known) == request_hash(data):
            return locked.seq, False
        if is_waiting:
            raise StepNotWaiting(f"The step {step_id[:100]!r} was answered already, with other data.")
        if locked.status != "paused":
            raise RunNotPaused(f"The run is {locked.status}, and the step {step_id[:100]!r} waits for nobody.")
        raise StepNotWaiting(f"The step {step_id[:100]!r} waits for nobody.")

    async def settled(self, owner: UUID, run_id: UUID, seconds: float, after: int = 0) -> tuple[Run, Sequence[StepRun]]:
        """The run once it is finished, or paused after event ``after``, or as it is after ``seconds``.

        Raises:
            RunNotFound.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        async with self._feeds.watch(run_id) as feed:
            while True:
                last = feed.last
                is_at_rest = await is_resting(self._database.pool, owner, run_id, after)
                left = deadline - loop.time()
                if is_at_rest or left <= 0:
                    break
                await feed.changed(min(left, LOOK_SECONDS), since=last)
        return await self._runs.get(owner, run_id)
