"""Bring the database to the newest revision."""

import asyncio
from pathlib import Path

import asyncpg

from stepwire.db.pool import connect
from stepwire.errors import Misconfigured

_PACKAGE = Path(__file__).parent.parent


def migrate(url: str) -> None:
    """Apply what is missing; safe from many processes at once. Quick where nothing is missing.

    Raises:
        Misconfigured: the database cannot be reached.
    """
    if is_newest(url):
        return
    from alembic import command  # noqa: PLC0415 - a third of a second that a start without migrations saves
    from alembic.config import Config  # noqa: PLC0415

    config = Config(_root() / "alembic.ini")
    config.attributes["database_url"] = url
    command.upgrade(config, "head")


def is_newest(url: str) -> bool:
    """Whether no migration is missing.

    Raises:
        Misconfigured: the database cannot be reached.
    """
    return asyncio.run(_revision(url)) == newest_revision()


def newest_revision() -> str:
    """The revision that this version of the program needs: revisions are named so that the newest sorts last."""
    return max(path.stem for path in (_root() / "migrations" / "versions").glob("[0-9]*.py"))


def _root() -> Path:
    """Where the migrations are: beside the package in a checkout, inside it when installed."""
    return _PACKAGE if (_PACKAGE / "alembic.ini").exists() else _PACKAGE.parent.parent


async def _revision(url: str) -> str | None:
    try:
        connection = await connect(url)
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise Misconfigured(f"DATABASE_URL: the database cannot be reached: {error}.") from None
    try:
        is_new = await connection.fetchval("SELECT to_regclass('alembic_version') IS NULL")
        return None if is_new else str(await connection.fetchval("SELECT version_num FROM alembic_version"))
    finally:
        await connection.close()
