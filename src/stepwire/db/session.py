"""Sessions for the cold paths, on SQLAlchemy, beside the pool for the hot ones; one database, one URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from stepwire.db.pool import AWAY, Connection, Pool, connect, for_a_client, is_away, open_pool, unavailable


class Database:
    """Where everything is stored."""

    def __init__(self, engine: AsyncEngine, pool: Pool) -> None:
        self.engine = engine
        self.pool = pool
        self.sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session in a transaction that is committed at the end, or rolled back where something is raised.

        Raises:
            Unavailable: the database is away, or has no connection left.
        """
        try:
            async with self.sessions.begin() as session:
                yield session
        except (*AWAY, PoolTimeout) as error:
            raise unavailable(error) from error
        except DBAPIError as error:
            if _is_away(error):
                raise unavailable(error) from error
            raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection of the pool in a transaction, committed or rolled back as `session` does.

        Raises:
            Unavailable: as above.
        """
        with for_a_client():
            async with self.pool.acquire() as connection, connection.transaction():
                yield connection


def _is_away(error: BaseException | None) -> bool:
    """Whether the driver found nobody there; SQLAlchemy wraps what it says twice."""
    while error is not None:
        if is_away(error):
            return True
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        error = error.__cause__
    return False


@asynccontextmanager
async def open_database(
    url: str, *, pool_size: int = 10, session_pool_size: int = 5, timeout: float = 10.0
) -> AsyncIterator[Database]:
    """Open engine and pool for as long as the context lasts; the first connection is made when it is needed.

    ``timeout``: seconds for each statement.
    """
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect(url, timeout),
        pool_size=session_pool_size,
        max_overflow=0,
        pool_timeout=30,
        pool_pre_ping=True,
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
    )
    try:
        async with open_pool(url, size=pool_size, timeout=timeout) as pool:
            yield Database(engine, pool)
    finally:
        await engine.dispose()
