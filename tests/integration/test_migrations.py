"""The migrations make what the models say."""

import asyncio
import sys
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from uuid_utils.compat import uuid7

from stepwire.db.migrate import migrate, newest_revision
from stepwire.db.models import Base
from stepwire.db.pool import open_pool
from stepwire.db.session import open_database


async def empty_database(url: str) -> str:
    name = f"migrations_{uuid7().hex}"
    async with open_pool(url, size=1) as pool:
        await pool.execute(f"CREATE DATABASE {name}")
    return url.replace("/stepwire?", f"/{name}?")


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
    return list(compare_metadata(context, Base.metadata))


async def test_an_upgraded_empty_database_equals_the_models(services: dict[str, str]) -> None:
    url = await empty_database(services["DATABASE_URL"])
    await asyncio.to_thread(migrate, url)
    async with open_database(url) as database, database.engine.connect() as connection:
        found = await connection.run_sync(differences)
        version = await database.pool.fetchval("SELECT version_num FROM alembic_version")

    assert found == []
    assert version == newest_revision()


async def test_many_processes_may_migrate_at_once(services: dict[str, str]) -> None:
    url = await empty_database(services["DATABASE_URL"])
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", f"from stepwire.db.migrate import migrate; migrate({url!r})"
        )
        for _ in range(3)
    ]

    assert [await process.wait() for process in processes] == [0, 0, 0]


async def test_a_downgrade_leaves_nothing(services: dict[str, str]) -> None:
    url = await empty_database(services["DATABASE_URL"])
    await asyncio.to_thread(migrate, url)
    config = Config("alembic.ini")
    config.attributes["database_url"] = url
    await asyncio.to_thread(command.downgrade, config, "base")
    async with open_pool(url) as pool:
        tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")

    assert {row["tablename"] for row in tables} == {"alembic_version"}
