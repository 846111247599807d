"""Connections: SQLAlchemy's engine for the cold paths, an asyncpg pool for the hot ones; one database, one URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
APPLICATION = {"application_name": "stepwire", "jit": "off"}


class Database:
    """Where everything is stored. Both pools connect when first used and replace connections that are lost."""

    def __init__(self, engine: AsyncEngine, pool: Pool) -> None:
        self.engine = engine
        self.pool = pool
        self.sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session in a transaction that is committed at the end, or rolled back where something is raised."""
        async with self.sessions.begin() as session:
            yield session


def dsn(url: str) -> str:
    """A URL as asyncpg takes it; SQLAlchemy's driver names are understood too."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}"


@asynccontextmanager
async def open_database(url: str, *, pool_size: int = 10, session_pool_size: int = 5) -> AsyncIterator[Database]:
    """Open the pools for as long as the context lasts; the first connection is made when it is needed."""

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(dsn(url), server_settings=APPLICATION, timeout=10)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=session_pool_size,
        max_overflow=0,
        pool_timeout=30,
        pool_pre_ping=True,
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
    )
    pool = asyncpg.create_pool(
        dsn(url), min_size=0, max_size=pool_size, server_settings=APPLICATION, timeout=10, command_timeout=60
    )
    await pool
    try:
        yield Database(engine, pool)
    finally:
        await engine.dispose()
        pool.terminate()
