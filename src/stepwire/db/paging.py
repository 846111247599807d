"""Select a part of a list, newest first: by page or by keyset."""

from typing import Any, TypeVar

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session

from stepwire.db.models import Run, Workflow

Row = TypeVar("Row", Run, Workflow)


async def select_part(
    session: AsyncSession | async_scoped_session[AsyncSession],
    statement: Select[Row],
    model: type[Row],
    *,
    offset: int | None,
    limit: int,
    after: tuple[Any, Any] | None,
) -> tuple[list[Row], int | None]:
    """The rows of a part, and with ``offset`` (paging by page) how many there are in all; without, ``limit`` + 1 rows
    are read, so that the caller sees whether there are more.
    """
    newest_first = statement.order_by(model.created_at.desc(), model.id.desc())
    if offset is not None:
        total = await session.scalar(select(func.count()).select_from(statement.order_by(None).subquery()))
        return list(await session.scalars(newest_first.offset(offset).limit(limit))), total
    if after is not None:
        newest_first = newest_first.where(tuple_(model.created_at, model.id) < after)
    return list(await session.scalars(newest_first.limit(limit + 1))), None
