"""The SAQ queue that wakes the workers."""

import asyncio

from redis.asyncio import Redis
from saq import Job
from saq.queue.redis import RedisQueue

from stepwire.signals.connection import Lost

QUEUE_NAME = "stepwire"
DRIVE, SWEEP = "drive", "sweep"
RETRY_SECONDS = 0.5


class WakeQueue(RedisQueue):
    """SAQ's queue, patient while Redis is away: SAQ asks again at once, which would burn a core until it is back."""

    async def notify(self, job: Job) -> None:
        """Nobody listens for the states of jobs; each would be a round trip."""

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:
        try:
            return await super().dequeue(timeout, poll_interval)
        except Lost:
            await asyncio.sleep(RETRY_SECONDS)
            return None


def open_queue(redis: Redis) -> WakeQueue:
    return WakeQueue(redis, name=QUEUE_NAME)
