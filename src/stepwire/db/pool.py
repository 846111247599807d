"""Connections for the hot paths: an asyncpg pool. Those who need no ORM are spared its weight."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import asyncpg

from stepwire.errors import Unavailable

log = logging.getLogger(__name__)
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
CONNECT_SECONDS, COMMAND_SECONDS = 10, 60
AWAY = (  # what is raised when the database cannot be reached just now
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
)
_SERVER_SETTINGS = {"application_name": "stepwire", "jit": "off"}


def dsn(url: str) -> str:
    """A URL as asyncpg takes it; SQLAlchemy's driver names are understood too."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}"


async def connect(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(dsn(url), server_settings=_SERVER_SETTINGS, timeout=CONNECT_SECONDS)


@contextmanager
def for_a_client() -> Iterator[None]:
    """Around a statement whose client is told at once when it cannot be made.

    Raises:
        Unavailable: the database is away, or has no connection left.
    """
    try:
        yield
    except AWAY as error:
        if isinstance(error, ValueError):  # asyncpg's of a value that does not fit its column
            raise
        raise unavailable(error) from error


def unavailable(error: Exception) -> Unavailable:
    log.warning("The database is away: %s", error.__cause__ or error)
    return Unavailable("The database cannot be reached just now; try again.")


@asynccontextmanager
async def open_pool(url: str, *, size: int = 10) -> AsyncIterator[Pool]:
    """A pool for as long as the context lasts. It connects when first used, and replaces connections that are lost."""
    pool = asyncpg.create_pool(
        dsn(url),
        min_size=0,
        max_size=size,
        server_settings=_SERVER_SETTINGS,
        timeout=CONNECT_SECONDS,
        command_timeout=COMMAND_SECONDS,
    )
    await pool
    try:
        yield pool
    finally:
        pool.terminate()
