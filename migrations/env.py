"""Alembic's environment: the same URL, driver and tables as the program's own."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text

from stepwire.db.models import Base
from stepwire.db.session import open_database
from stepwire.settings import load_settings

# Any number that all migrating processes agree on: the second one waits, then finds nothing to do.
MIGRATION_LOCK = 7_311_503_114


def migrate(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
    connection.commit()
    context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})


async def main() -> None:
    url = context.config.attributes.get("database_url") or load_settings().database_url
    if not url:
        raise SystemExit("DATABASE_URL is not set.")
    async with open_database(url, pool_size=1) as database, database.engine.connect() as connection:
        await connection.run_sync(migrate)


asyncio.run(main())
