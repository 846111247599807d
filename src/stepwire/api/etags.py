"""Entity tags: a workflow's revision in quotes. Source: RFC 9110 sections 8.8.3 and 13.1."""

import re
from typing import Annotated, Any

from litestar import Response
from litestar.params import Parameter
from litestar.status_codes import HTTP_304_NOT_MODIFIED

IfMatch = Annotated[
    str | None,
    Parameter(header="If-Match", description="Only if the workflow is still the one with this `ETag`, else 412"),
]
IfNoneMatch = Annotated[
    str | None,
    Parameter(header="If-None-Match", description="An `ETag` that you have: 304 without a body if it still holds"),
]
_TAG = re.compile(r'(W/)?"(\d{1,9})"')


def etag(revision: int) -> dict[str, str]:
    return {"ETag": f'"{revision}"'}


def revisions(if_match: str | None) -> set[int] | None:
    """The revisions that ``If-Match`` names, those that are none of ours left out; None for any.

    Weak tags never match: the comparison is the strong one.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    return {int(digits) for weak, digits in _TAG.findall(if_match) if not weak}


def is_known(if_none_match: str | None, revision: int) -> bool:
    """Whether the client has this revision; the comparison is the weak one."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or any(int(digits) == revision for _, digits in _TAG.findall(if_none_match))


def not_modified(revision: int) -> Response[Any]:
    """304: the client has it."""
    return Response(None, status_code=HTTP_304_NOT_MODIFIED, headers=etag(revision))
