"""What may be used once."""

from redis.asyncio import Redis

_PREFIX = "stepwire:once:"


async def use_once(redis: Redis, name: str, *, remembered_seconds: int) -> bool:
    """Whether this is the first use, of all processes'. Raises: signals.connection.Lost."""
    return bool(await redis.set(_PREFIX + name, b"", nx=True, ex=max(1, remembered_seconds)))
