"""A part of a list: by page with a total, or by cursor without, newest first."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from stepwire.errors import Malformed

Item = TypeVar("Item")
_FOREIGN = "The cursor is not one that this API gave out."


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ends: the last item's instant and id."""

    created_at: datetime
    id: UUID

    def encoded(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """What part is wanted. ``by_cursor`` with no ``after`` is the first part."""

    page: int = 1
    per_page: int = 50
    by_cursor: bool = False
    after: Position | None = None


class Part(msgspec.Struct, Generic[Item], frozen=True):
    """A part of a list; ``total`` by page, ``next`` by cursor."""

    items: list[Item]
    total: int | None = None
    next: Position | None = None


def decode_cursor(text: str) -> Position | None:
    """The position that a cursor stands for.

    Raises:
        Malformed: it is none of ours.
    """
    if not text:
        return None
    try:
        position = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Position)
    except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError):
        raise Malformed(_FOREIGN) from None
    if position.created_at.utcoffset() != timedelta(0):
        raise Malformed(_FOREIGN)
    return position


def instant(text: str | None, name: str) -> datetime | None:
    """An RFC 3339 instant in UTC, as the database takes it.

    Raises:
        Malformed: it is none, has no offset from UTC, or lies outside of the years 1 to 9999 in UTC.
    """
    if text is None:
        return None
    try:
        moment: datetime = msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
        return moment.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        raise Malformed(f"{name} is not an instant as RFC 3339 has it, such as 2030-01-31T12:00:00Z.") from None


def part_of(paging: Paging) -> dict[str, Any]:
    """Paging as `select_part` takes it."""
    return {
        "offset": None if paging.by_cursor else (paging.page - 1) * paging.per_page,
        "limit": paging.per_page,
        "after": None if paging.after is None else (paging.after.created_at, paging.after.id),
    }


def cut(rows: list[Any], total: int | None, paging: Paging) -> Part[Any]:
    """Make a part of rows; by cursor, one row more than wanted says that there is a next part."""
    if not paging.by_cursor:
        return Part(rows, total=total)
    items = rows[: paging.per_page]
    has_more = len(rows) > paging.per_page
    return Part(items, next=Position(items[-1].created_at, items[-1].id) if has_more else None)
