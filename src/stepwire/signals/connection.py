"""The connection to Redis or Valkey. Anything in it may be lost at any moment, and nothing but time is lost with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

Lost = (RedisError, OSError)  # what every caller takes as "Redis is not there just now"


@asynccontextmanager
async def open_redis(url: str, *, max_connections: int = 50) -> AsyncIterator["Redis"]:
    """A client whose pool is bounded and waits; it connects when first used."""
    pool = BlockingConnectionPool.from_url(
        url, max_connections=max_connections, timeout=5, socket_connect_timeout=5, retry=Retry(NoBackoff(), 0)
    )
    redis = Redis(connection_pool=pool)
    try:
        yield redis
    finally:
        await redis.aclose()
        await pool.disconnect()
