"""Select a part of a list, newest first: by page or by keyset, at a cost that does not grow with the list.

Which rows are in the part is read off an index alone; the rows themselves are read for these only.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, func, or_, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.sql.base import ExecutableOption

from stepwire.db.models import Run, Workflow

Row = TypeVar("Row", Run, Workflow)
Session = AsyncSession | async_scoped_session[AsyncSession]


async def select_part(
    session: Session,
    model: type[Row],
    wanted: Sequence[ColumnElement[bool]],
    *,
    one_of: Sequence[ColumnElement[bool]] = (),
    options: Sequence[ExecutableOption] = (),
    offset: int | None,
    limit: int,
    after: tuple[Any, Any] | None,
) -> tuple[list[Row], int | None]:
    """The rows of a part, and with ``offset`` (paging by page) how many there are in all; without, ``limit`` + 1 rows
    are read, so that the caller sees whether there are more.

    Rows fulfil all of ``wanted`` and, where there are some, one of ``one_of``, which exclude each other: each is a
    stretch of an index of its own, and the part is merged from them.
    """
    columns: Any = model  # both tables have them, which a type variable cannot say
    created_at: Any = columns.created_at
    key: Any = columns.id
    newest_first = (created_at.desc(), key.desc())
    total = None
    if offset is not None:
        total = await session.scalar(
            select(func.count()).select_from(model).where(*wanted, *([or_(*one_of)] if one_of else []))
        )
    conditions = [*wanted, *([tuple_(created_at, key) < after] if after is not None else [])]
    start, count = offset or 0, limit if offset is not None else limit + 1
    stretches = [
        select(created_at, key).where(*conditions, *choice).order_by(*newest_first).limit(start + count)
        for choice in ([[each] for each in one_of] or [[]])
    ]
    merged = (
        union_all(*(each.subquery().select() for each in stretches)) if len(stretches) > 1 else stretches[0]
    ).subquery()
    keys = (
        select(merged.c.id)
        .order_by(merged.c.created_at.desc(), merged.c.id.desc())
        .offset(start)
        .limit(count)
        .subquery()
    )  # fmt: skip
    rows = select(model).join(keys, key == keys.c.id).options(*options).order_by(*newest_first)
    return list(await session.scalars(rows)), total
