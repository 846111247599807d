"""What the repositories have in common."""

from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from stepwire.db.models import Base

Row = TypeVar("Row", bound=Base)


class Repository(Generic[Row]):
    """Rows of one table, in a session, whose transaction the caller ends."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, row: Row) -> None:
        """Store a new row, and read what the database has filled in."""
        self.session.add(row)
        await self.session.flush()
        await self.session.refresh(row)

    async def delete(self, row: Row) -> None:
        await self.session.delete(row)
        await self.session.flush()
