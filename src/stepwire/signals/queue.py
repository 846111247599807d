"""The SAQ queue that wakes the workers."""

import asyncio
from uuid import uuid4

from redis.asyncio import Redis
from saq import Job, Status
from saq.queue.redis import RedisQueue

from stepwire.signals.connection import Lost

QUEUE_NAME = "stepwire"
DRIVE, SWEEP = "drive", "sweep"
RETRY_SECONDS = 0.5
DRIVE_JOB_SECONDS = 60

# Whoever takes what is queued will see all that was committed before.
_WAKE = "if redis.call('LLEN', KEYS[1]) == 0 then redis.call('RPUSH', KEYS[1], ARGV[1]) end"


class WakeQueue(RedisQueue):
    """SAQ's queue. A job to drive what is due carries nothing, so its name in the queue is all there is of it: neither
    reading nor marking it costs a round trip before the worker begins.
    """

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis, name=QUEUE_NAME)
        self._wake_script = redis.register_script(_WAKE)

    async def wake(self) -> None:
        """Have a worker drive what is due, unless a job is queued that nobody has taken yet."""
        await self._wake_script(keys=[self._queued], args=[self.job_id(f"{DRIVE}:{uuid4().hex}")])

    async def notify(self, job: Job) -> None:
        """Nobody listens for the states of jobs; each would be a round trip."""

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:
        """As SAQ's, patient while Redis is away: SAQ asks again at once, which would burn a core until it is back."""
        try:
            return await super().dequeue(timeout, poll_interval)
        except Lost:
            await asyncio.sleep(RETRY_SECONDS)
            return None

    async def _get_job_by_id(self, job_id: bytes | str) -> Job | None:
        key = self.job_key_from_id(job_id.decode() if isinstance(job_id, bytes) else job_id)
        if key.startswith(DRIVE):
            return Job(DRIVE, key=key, queue=self, timeout=DRIVE_JOB_SECONDS, ttl=-1, status=Status.QUEUED)
        return await super()._get_job_by_id(job_id)

    async def _update(self, job: Job, status: Status | None = None, **kwargs: object) -> None:
        if job.function != DRIVE:
            await super()._update(job, status, **kwargs)


def open_queue(redis: Redis) -> WakeQueue:
    return WakeQueue(redis)
