"""Query parameters and headers of lists."""

from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from litestar import Request, Response
from litestar.params import Parameter

from stepwire.api.schemas.common import Page, Sequel
from stepwire.errors import Malformed
from stepwire.services.paging import Paging, Part, decode_cursor

Item = TypeVar("Item")
_Page = Annotated[int, Parameter(query="page", ge=1, le=1_000_000, description="Page number, from 1")]
_PerPage = Annotated[int, Parameter(query="per_page", ge=1, le=200, description="Items a page")]
_Cursor = Annotated[
    str | None, Parameter(query="cursor", max_length=200, description="`next_cursor` of the last part; empty to start")
]
After = Annotated[int, Parameter(query="after", ge=0, le=2**31 - 1, description="The last one that you have")]
Limit = Annotated[int, Parameter(query="limit", ge=1, le=1000, description="Items at most")]


_FILTERS = {"per_page", "status", "name", "include", "workflow_id", "trigger_type", "since", "until"}


def provide_paging(
    request: Request[Any, Any, Any], page: _Page = 1, per_page: _PerPage = 50, cursor: _Cursor = None
) -> Paging:
    """By cursor where one is given, an empty one included; else by page.

    Raises:
        Malformed: the cursor is none of ours; or a filter is ``null``, which would be taken for none.
    """
    refuse_nulls(request)
    if cursor is None:
        return Paging(page=page, per_page=per_page)
    return Paging(per_page=per_page, by_cursor=True, after=decode_cursor(cursor))


def refuse_nulls(request: Request[Any, Any, Any]) -> None:
    """Raises: Malformed: a filter is ``null``, which would be taken for none."""
    for name, value in request.query_params.multi_items():
        if value.lower() == "null" and name in _FILTERS - {"name"}:
            raise Malformed(f"{name}={value} is not a value; leave {name} out instead.")


def page_response(
    request: Request[Any, Any, Any], part: Part[Any], items: list[Item], paging: Paging
) -> Response[Page[Item]]:
    """A part of a list with its links to the others. Source: RFC 8288."""
    if paging.by_cursor:
        cursor = part.next.encoded() if part.next is not None else None
        links = {"next": {"cursor": cursor}} if cursor is not None else {}
        return Response(Page(items, next_cursor=cursor), headers=_links(request, links))
    total = part.total or 0
    last = max(1, -(-total // paging.per_page))
    pages = {"first": 1, "prev": paging.page - 1, "next": paging.page + 1, "last": last}
    links = {relation: {"page": str(page)} for relation, page in pages.items() if 1 <= page <= last}
    return Response(
        Page(items, total=total, page=paging.page, per_page=paging.per_page), headers=_links(request, links)
    )  # fmt: skip


def sequel(items: list[Item], last: int | None, limit: int) -> Sequel[Item]:
    """A part that ends at ``last``; a full one may have a successor."""
    return Sequel(items, last if len(items) == limit else None)


def _links(request: Request[Any, Any, Any], relations: dict[str, dict[str, str]]) -> dict[str, str]:
    given: dict[str, list[str]] = {}
    for name, value in dict.fromkeys(request.query_params.multi_items()):
        if name in _FILTERS:
            given.setdefault(name, []).append(value)
    targets = [
        f'<{request.scope["path"]}?{urlencode({**given, **change}, doseq=True)}>; rel="{relation}"'
        for relation, change in relations.items()
    ]
    return {"Link": ", ".join(targets)} if targets else {}
