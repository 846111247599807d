"""What several resources share: lists, problems."""

from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from stepwire.errors import Issue

Item = TypeVar("Item")
Instant = Annotated[datetime, Meta(tz=True, examples=["2030-01-01T00:00:00Z"])]


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What went wrong. Source: RFC 9457."""

    type: Annotated[str, Meta(description="Stable, one per kind", examples=["/problems/workflow-not-published"])]
    title: str
    status: int
    detail: Annotated[str, Meta(description="A sentence that a person can act on")]
    instance: Annotated[str, Meta(description="The path that was asked for")]
    errors: Annotated[list[Issue], Meta(description="Each thing that is wrong, at its place")] = []


class Page(msgspec.Struct, Generic[Item]):
    """A part of a list: by page with `total`, `page` and `per_page`, or by cursor with `next_cursor`."""

    items: list[Item]
    total: int | UnsetType = UNSET
    page: int | UnsetType = UNSET
    per_page: int | UnsetType = UNSET
    next_cursor: str | UnsetType | None = UNSET


class Sequel(msgspec.Struct, Generic[Item]):
    """A part of an ordered list; `next_after` is the `after` of the next part, null at the end."""

    items: list[Item]
    next_after: int | None
