"""Errors to RFC 9457 problem documents, here and nowhere else."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, SerializationException, ValidationException
from litestar.types import ExceptionHandlersMap

from stepwire import errors
from stepwire.api.schemas.common import Problem
from stepwire.auth.tokens import InvalidToken
from stepwire.definition.graph import json_pointer
from stepwire.errors import Issue, StepwireError

log = logging.getLogger(__name__)
PROBLEM_JSON = "application/problem+json"

STATUSES: dict[type[StepwireError], int] = {
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Stale: 412,
    errors.TooLarge: 413,
    errors.Unacceptable: 422,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
}
_FAMILIES: dict[int, type[StepwireError]] = {
    400: errors.Malformed,
    404: errors.NotFound,
    413: errors.TooLarge,
    429: errors.TooManyRequests,
}

_ADVICE = {
    404: "There is nothing at this address; /docs/openapi.json says what there is.",
    405: "This address has other methods; the Allow header names them.",
    413: "The body is larger than any request of this API may be.",
}


def of_error(error: StepwireError, path: str) -> Problem:
    """The problem that an error of ours makes; one of no family is a fault of the server."""
    status = next((STATUSES[family] for family in type(error).__mro__ if family in STATUSES), 500)
    return Problem(
        type=f"/problems/{error.kind}",
        title=error.title,
        status=status,
        detail=error.detail,
        instance=path,
        errors=list(error.issues),
    )


def _answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response[Problem]:
    return Response(problem, status_code=problem.status, media_type=PROBLEM_JSON, headers=dict(headers or {}))


def _ours(request: Request[Any, Any, Any], error: StepwireError) -> Response[Problem]:
    headers = dict(error.headers)
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"' if isinstance(error, InvalidToken) else "Bearer"
    return _answer(of_error(error, _path(request)), headers)


def _malformed(request: Request[Any, Any, Any], error: ValidationException) -> Response[Problem]:
    extra = error.extra if isinstance(error.extra, list) else []
    return _unfit(request, [_issue(each) for each in extra if isinstance(each, dict)], error.detail)


def _unfit(request: Request[Any, Any, Any], issues: list[Issue], otherwise: str = "") -> Response[Problem]:
    said = "; ".join(f"{issue.message}{f' at {issue.path}' if issue.path else ''}" for issue in issues)
    detail = f"The request does not have the right form: {said or otherwise}."
    return _answer(_problem(request, 400, detail, issues))


def _issue(extra: Mapping[str, Any]) -> Issue:
    """One of Litestar's findings; ``data`` is its name for the body as a whole."""
    key, message = str(extra.get("key", "")), str(extra.get("message", ""))
    if key == "data":
        return Issue(code="malformed", message="a JSON body is needed" if message == "'data'" else message, path="")
    return Issue(code="malformed", message=message, path=json_pointer(f".{key}"))


def _undecodable(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """What msgspec says, with the place after it: ``… - at `$.name```."""
    message, _, place = str(error).partition(" - at `")
    if "out of range" in message:  # msgspec's word for a number that no type of ours holds
        return _ours(request, errors.Unacceptable(f"A number cannot be kept as it is: {message}."))
    return _unfit(request, [Issue(code="malformed", message=message, path=json_pointer(place.rstrip("`")))])


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    if isinstance(error.__cause__, SerializationException):
        return _undecodable(request, error.__cause__)
    if isinstance(error, InternalServerException) and "disconnected" in error.detail:
        return _answer(_problem(request, 400, "The request ended before its body did."))  # nobody is there to read it
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _crash(request, error)
    detail = _ADVICE.get(error.status_code, str(error.detail))
    return _answer(_problem(request, error.status_code, detail), error.headers)


def not_found(request: Request[Any, Any, Any]) -> Response[Problem]:
    return _answer(_problem(request, 404, _ADVICE[404]))


def _too_deep(request: Request[Any, Any, Any], _: RecursionError) -> Response[Problem]:
    return _answer(_problem(request, 400, "The request is nested too deeply."))


def _not_text(request: Request[Any, Any, Any], _: UnicodeDecodeError) -> Response[Problem]:
    return _answer(_problem(request, 400, "The request is not UTF-8."))


def _crash(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    log.error("%s %s failed", request.method, _path(request), exc_info=error)
    return _answer(_problem(request, 500, "The server failed; the request id leads to what it logged."))


def _path(request: Request[Any, Any, Any]) -> str:
    """As a URI has it. ``request.url`` would be made with the ``Host`` header, which is the client's to choose."""
    return quote(request.scope["path"], safe="/:@!$&'()*+,;=~")


def _problem(request: Request[Any, Any, Any], status: int, detail: str, issues: list[Issue] | None = None) -> Problem:
    family, phrase = _FAMILIES.get(status), HTTPStatus(status).phrase
    kind, title = (family.kind, family.title) if family is not None else (phrase.lower().replace(" ", "-"), phrase)
    return Problem(
        type=f"/problems/{kind}", title=title, status=status, detail=detail, instance=_path(request), errors=issues or []
    )  # fmt: skip


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    StepwireError: _ours,
    ValidationException: _malformed,
    HTTPException: _http,
    RecursionError: _too_deep,
    UnicodeDecodeError: _not_text,
    Exception: _crash,
}
