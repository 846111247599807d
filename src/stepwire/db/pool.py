"""Connections for the hot paths: an asyncpg pool. Those who need no ORM are spared its weight."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg

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
