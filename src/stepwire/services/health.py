"""Whether this process can do its work."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from redis.asyncio import Redis

from stepwire.db.group_commit import GroupCommit
from stepwire.db.session import Database

CHECK_SECONDS = 3


class HealthService:
    """Looks at what the process depends on; ``tasks`` are those that it cannot do without."""

    def __init__(
        self, database: Database, redis: Redis, tasks: dict[str, asyncio.Task[None]], intake: GroupCommit[Any, Any]
    ) -> None:
        self._database = database
        self._redis = redis
        self._tasks = tasks
        self._intake = intake

    async def checks(self) -> dict[str, str]:
        """Each dependency by name: ``ok``, or what is wrong."""
        database, redis = await asyncio.gather(
            _check(self._database.pool.fetchval("SELECT 1")), _check(self._ping())
        )  # fmt: skip
        tasks = {name: "stopped" if task.done() else "ok" for name, task in self._tasks.items()}
        storing = self._intake.trouble or "ok"  # a disk without room shows when something is written
        return {"database": database, "redis": redis, "storing": storing, **tasks}

    async def _ping(self) -> object:
        return await self._redis.execute_command("PING")  # type: ignore[no-untyped-call]


async def _check(answer: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await answer
    except Exception as error:
        return type(error).__name__
    return "ok"
