"""Select a part of a list, newest first: by page or by keyset, at a cost that does not grow with the list.

Which rows are in the part is read off an index alone; the rows themselves are read for these only. Where filters leave
columns of the index before its `created_at` open, each mixture of their values is a stretch of the index, and the part
is merged from the stretches' beginnings. Only a page's number costs: what lies before it is read over, from the nearer
end of the list.
"""

import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, Text, cast, func, select, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.base import ExecutableOption

from stepwire.db.models import Run, Schedule, Workflow

Row = TypeVar("Row", Run, Schedule, Workflow)
Choices = Mapping[InstrumentedAttribute[str], Sequence[str]]  # columns of an index, and what each may be


async def select_part(
    session: AsyncSession,
    model: type[Row],
    wanted: Sequence[ColumnElement[bool]],
    *,
    choices: Choices | None = None,
    options: Sequence[ExecutableOption] = (),
    count: Callable[[], Awaitable[int]],
    offset: int | None,
    limit: int,
    after: tuple[Any, Any] | None,
) -> tuple[list[Row], int | None]:
    """The rows of a part, and with ``offset`` (paging by page) how many there are in all, which ``count`` says;
    without, ``limit`` + 1 rows are read, so that the caller sees whether there are more.
    """
    columns: Any = model  # both tables have them, which a type variable cannot say
    place: tuple[Any, Any] = (columns.created_at, columns.id)
    total, start, length, is_far = None, 0, limit + 1, False
    conditions = [*wanted, *([tuple_(*place) < after] if after is not None else [])]
    if offset is not None:
        total = await count()
        length = min(limit, total - offset)
        from_end = total - offset - length
        is_far, start = from_end < offset, min(offset, from_end)
    if length <= 0:
        return [], total
    found = stretches(
        select(*place).where(*conditions).order_by(*_order(place, is_far)).limit(start + length), choices or {}
    ).subquery()
    keys = select(found.c.id).order_by(*_order((found.c.created_at, found.c.id), is_far)).offset(start).limit(length)
    part = keys.subquery()
    rows = select(model).join(part, columns.id == part.c.id).options(*options).order_by(*_order(place, False))
    return list(await session.scalars(rows)), total


def stretches(inner: Select[Any], choices: Choices) -> Select[Any]:
    """The rows of ``inner`` for each mixture of the choices, every one read for itself."""
    if not choices:
        return inner
    mixtures = zip(*itertools.product(*choices.values()), strict=True)
    arrays = [cast(list(values), ARRAY(Text())) for values in mixtures]
    chosen = func.unnest(*arrays).table_valued(*(column.key for column in choices), name="chosen").render_derived()
    stretch = inner.where(*(column == chosen.c[column.key] for column in choices)).lateral("stretch")
    return select(*stretch.c).select_from(chosen).join(stretch, true())


def _order(place: tuple[Any, Any], is_oldest_first: bool) -> list[Any]:
    return [column.asc() if is_oldest_first else column.desc() for column in place]
