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
CONNECT_SECONDS = 10
AWAY = (  # what is raised when the database cannot be reached, or cannot store anything, just now
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,  # no room on its disk, no connection left, no memory
    asyncpg.PostgresSystemError,
)
_SERVER_SETTINGS = {"application_name": "stepwire", "jit": "off"}
# The pool's statements follow indexes, and their order. A plan is kept for as long as nobody analyses the table: one that
# was made while it was nearly empty, or nothing was queued, would read, or sort, all of it at every claim when 100,000 runs
# are queued at once.
_POOL_SETTINGS = _SERVER_SETTINGS | {"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_sort": "off"}


def dsn(url: str) -> str:
    """A URL as asyncpg takes it; SQLAlchemy's driver names are understood too."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}"


async def connect(url: str, timeout: float | None = None) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection; it may take ``timeout`` seconds to be made, and each of its statements too."""
    return await asyncpg.connect(
        dsn(url), server_settings=_SERVER_SETTINGS, timeout=timeout or CONNECT_SECONDS, command_timeout=timeout
    )


def is_away(error: BaseException) -> bool:
    """Whether the same statement may well work in a moment. Not so a value that does not fit its column, which asyncpg
    reports as an error of its interface.
    """
    return isinstance(error, AWAY) and not isinstance(error, ValueError)


@contextmanager
def for_a_client() -> Iterator[None]:
    """Around a statement whose client is told at once when it cannot be made.

    Raises:
        Unavailable: the database is away, or has no connection left.
    """
    try:
        yield
    except AWAY as error:
        if not is_away(error):
            raise
        raise unavailable(error) from error


def unavailable(error: Exception) -> Unavailable:
    log.warning("The database is away: %r", error.__cause__ or error)
    if isinstance(error.__cause__ or error, asyncpg.DiskFullError):
        return Unavailable("The database has no room left to store anything; try again.")
    return Unavailable("The database cannot be reached just now; try again.")


async def _as_it_is(_: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Give a connection back, after open transactions were rolled back. No statement here changes its session, and undoing
    that all the same, as asyncpg does by itself, is a second round trip before any of them returns.
    """


@asynccontextmanager
async def open_pool(url: str, *, size: int = 10, timeout: float = 10.0) -> AsyncIterator[Pool]:
    """A pool for as long as the context lasts. It connects when first used, and replaces connections that are lost.

    A statement that is not answered within ``timeout`` seconds is given up; within as many more, the connection is
    usable again or is replaced. Without that, a server that vanishes without a word is waited for until the kernel gives up.
    """
    pool = asyncpg.create_pool(
        dsn(url),
        min_size=0,
        max_size=size,
        server_settings=_POOL_SETTINGS,
        timeout=timeout,
        command_timeout=timeout,
        reset=_as_it_is,
    )
    await pool
    try:
        yield pool
    finally:
        pool.terminate()
