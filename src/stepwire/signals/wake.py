"""Say that there is something to do: a SAQ job for any worker, unless one is queued that nobody has taken yet."""

import asyncio
import logging
from collections.abc import Awaitable

from redis.asyncio import Redis

from stepwire.points import reach
from stepwire.signals.connection import Lost
from stepwire.signals.queue import DRIVE, WakeQueue

log = logging.getLogger(__name__)
_FLAG = "stepwire:wake"
_FLAG_MILLISECONDS = 1000  # a job that was lost with its worker blocks no wake for longer
_JOB_SECONDS = 60


class Waker:
    """Wakes workers. A wake may be lost; the sweeper finds what it was for."""

    def __init__(self, redis: Redis, queue: WakeQueue) -> None:
        self._redis = redis
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
        """Tell the workers that something is due. Call after the commit that made it so.

        While the flag stands, a job is queued and not taken: it will see what was committed just now.
        """
        reach("wake.before")
        try:
            if await self._redis.set(_FLAG, 1, nx=True, px=_FLAG_MILLISECONDS):
                await self._queue.enqueue(DRIVE, timeout=_JOB_SECONDS, ttl=-1)
        except Lost as error:
            log.warning("A wake was lost, the sweeper will make up for it: %s", error)
        reach("wake.after")

    async def taken(self) -> None:
        """Say that a drive job begins. To be called before it looks for what is due: later commits wake anew."""
        try:
            await self._redis.delete(_FLAG)
        except Lost as error:
            log.warning("The wake flag could not be taken down, it lapses within a second: %s", error)
