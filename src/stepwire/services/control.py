"""What an owner orders about a run that was started: cancel it, go on, take it up again, and wait for it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from stepwire.db import control
from stepwire.db.models import Run, StepRun
from stepwire.db.pool import Pool
from stepwire.db.runs import status_of
from stepwire.engine.model import FINISHED
from stepwire.errors import RunFinished, RunNotFailed, RunNotPaused, StepNotWaiting
from stepwire.services.runs import RunService
from stepwire.signals.live import LiveHub

LOOK_SECONDS = 1.0  # how long an end that no message told of can go unnoticed
RESTING = FINISHED | {"paused"}


@dataclass(frozen=True, slots=True)
class Ordered:
    """The run as it is now, and whether this order changed anything."""

    run: Run
    steps: Sequence[StepRun]
    is_new: bool


class RunControl:
    """Orders about an owner's runs; each is stored before it returns, and the workers are told."""

    def __init__(
        self,
        pool: Pool,
        runs: RunService,
        hub: LiveHub,
        wake: Callable[[], Awaitable[None]],
        announce_cancel: Callable[[UUID], Awaitable[None]],
    ) -> None:
        self._pool = pool
        self._runs = runs
        self._hub = hub
        self._wake = wake
        self._announce_cancel = announce_cancel

    async def cancel(self, owner: UUID, run_id: UUID) -> Ordered:
        """Have a run cancelled: what it has in flight is stopped, not awaited. Of a cancelled one, nothing.

        Raises:
            RunNotFound, RunFinished.
        """
        is_new = await control.request_cancel(self._pool, owner, run_id)
        if is_new:
            await asyncio.gather(self._announce_cancel(run_id), self._wake())
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
        is_new = await control.retry(self._pool, owner, run_id)
        if is_new:
            await self._wake()
        run, steps = await self._runs.get(owner, run_id)
        if not is_new:
            raise RunNotFailed(f"The run is {run.status}; only failed runs can be taken up again.")
        return Ordered(run, steps, is_new)

    async def resume(self, owner: UUID, run_id: UUID, step_id: str, data: dict[str, Any]) -> Ordered:
        """Complete a step that waits for a person.

        Raises:
            RunNotFound, RunNotPaused, StepNotWaiting.
        """
        run, _ = await self._runs.get(owner, run_id)
        if run.status != "paused":
            raise RunNotPaused(f"The run is {run.status}; it waits for nobody.")
        raise StepNotWaiting(f"The step {step_id[:100]!r} does not wait for anybody.")

    async def settled(self, owner: UUID, run_id: UUID, seconds: float) -> tuple[Run, Sequence[StepRun]]:
        """The run once it is finished or paused, or as it is after ``seconds``. Raises: RunNotFound."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        async with self._hub.subscribe(run_id) as subscription:
            while await status_of(self._pool, owner, run_id) not in RESTING:
                left = deadline - loop.time()
                if left <= 0:
                    break
                await subscription.next(min(left, LOOK_SECONDS))
        return await self._runs.get(owner, run_id)
