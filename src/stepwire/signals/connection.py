"""The connection to Redis or Valkey. Anything in it may be lost at any moment, and nothing but time is lost with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from stepwire.errors import Misconfigured

ANSWER_SECONDS = 5  # then Redis is taken for lost; what blocks on purpose has to take less
Lost = (RedisError, OSError)  # what every caller takes as "Redis is not there just now"


@asynccontextmanager
async def open_redis(url: str, *, max_connections: int = 50) -> AsyncIterator["Redis"]:
    """A client whose pool is bounded and waits; it connects when first used.

    Raises:
        Misconfigured: the URL is none of Redis.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url, max_connections=max_connections, timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0),
        )  # fmt: skip
    except ValueError as error:  # which may quote the URL, and the password in it
        raise Misconfigured(
            "REDIS_URL cannot be used: it looks like redis://host:6379, rediss:// or unix://."
        ) from error
    redis = Redis(connection_pool=pool)
    try:
        yield redis
    finally:
        await redis.aclose()
        await pool.disconnect()


async def next_message(pubsub: PubSub) -> dict[str, Any] | None:
    """What comes next on a subscription; None after a silence of some seconds, in which a ping was answered.

    Raises:
        Lost: the connection broke, or it is silent although it was asked. Nothing else shows that Redis, or the way
            to it, is gone without a word.
    """
    if (message := await pubsub.get_message(timeout=ANSWER_SECONDS)) is not None:
        return message if message["type"] != "pong" else None
    await pubsub.ping()
    if (message := await pubsub.get_message(timeout=ANSWER_SECONDS)) is None:
        raise ConnectionLost("The subscription is silent, and a ping is not answered")
    return message if message["type"] != "pong" else None
