"""What PostgreSQL does for the statements that the program really sends."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from stepwire.db.session import Database

Statement = tuple[str, Any]


@contextmanager
def recorded(database: Database) -> Iterator[list[Statement]]:
    """The statements that sessions send meanwhile, with their parameters."""
    statements: list[Statement] = []

    def record(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)


async def explain(database: Database, statement: Statement, options: str = "COSTS OFF") -> str:
    """The plan of a statement, as text."""
    sql, parameters = statement
    async with database.engine.connect() as connection:
        lines = await connection.exec_driver_sql(f"EXPLAIN ({options}) {sql}", parameters)
        return "\n".join(row[0] for row in lines)
