"""Say that there is something to do: a SAQ job for any worker, unless one is queued that nobody has taken yet."""

import asyncio
import logging
from collections.abc import Awaitable

from stepwire.points import reach
from stepwire.signals.connection import Lost
from stepwire.signals.queue import WakeQueue

log = logging.getLogger(__name__)


class Waker:
    """Wakes workers. A wake may be lost; the sweeper finds what it was for."""

    def __init__(self, queue: WakeQueue) -> None:
        self._queue = queue
        self._waking: set[asyncio.Task[None]] = set()

    def wake_soon(self, first: Awaitable[object] | None = None) -> None:
        """As `wake`, without waiting for it; after ``first``, which makes something due. The sweeper repeats that too."""
        task = asyncio.create_task(self.wake() if first is None else self._wake_after(first))
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    async def _wake_after(self, first: Awaitable[object]) -> None:
        try:
            await first
        except Exception:
            log.exception("What was to be due is not; the sweeper makes up for it")
        await self.wake()

    async def wake(self) -> None:
        """Tell the workers that something is due. Call after the commit that made it so."""
        reach("wake.before")
        try:
            await self._queue.wake()
        except Lost as error:
            log.warning("A wake was lost, the sweeper will make up for it: %s", error)
        reach("wake.after")
