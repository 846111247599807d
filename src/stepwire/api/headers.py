"""The headers of every answer, those of unknown paths and preflights included; and ``HEAD``, wherever there is a GET."""

import re
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

request_id: ContextVar[str] = ContextVar("request_id", default="-")
_ACCEPTED = re.compile(rb"[\x21-\x7e]{1,128}")
_EXTRA = "stepwire.headers"
_LISTS = (b"accept", b"accept-encoding", b"if-match", b"if-none-match", b"prefer")

_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
# A webhook's answer may be a page of its workflow's owner: it is to be of no origin, and to ask nobody for a password.
_DATA = (
    b"content-security-policy",
    b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox",
)
_STUDIO = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'{supabase}; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_DOCUMENTS = (
    b"content-security-policy",
    b"; ".join(
        [
            b"default-src 'self'",
            b"script-src 'self' 'unsafe-inline'",
            b"style-src 'self' 'unsafe-inline'",
            b"img-src 'self' data:",
            b"frame-ancestors 'none'",
            b"base-uri 'none'",
            b"form-action 'self'",
        ]
    ),
)
_HSTS = (b"strict-transport-security", b"max-age=31536000")


def add_header(scope: Any, name: str, value: str) -> None:
    """Have the answer to this request carry a header, whoever makes it."""
    scope[_EXTRA].append((name.lower().encode(), value.encode()))


def with_headers(app: ASGIApp, supabase_url: str | None = None) -> ASGIApp:
    """Wrap the whole application; the studio may ask Supabase for tokens."""
    parts = urlsplit(supabase_url or "")
    supabase = f" {parts.scheme}://{parts.netloc}" if parts.netloc else ""
    studio = (b"content-security-policy", _STUDIO.format(supabase=supabase).encode())

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        chosen = sent.decode() if _ACCEPTED.fullmatch(sent) else uuid4().hex
        extra = [(b"x-request-id", chosen.encode())]
        token = request_id.set(chosen)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _complete(scope, [*message["headers"], *extra], studio)
                await send(message)
                if scope["method"] == "HEAD":  # done: a stream would hold the connection as long as it lasts
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif scope["method"] != "HEAD":
                await send(message)

        try:
            await app(_inner(scope, extra), receive, send_with_headers)
        finally:
            request_id.reset(token)

    return wrapped


def _inner(scope: HTTPScope, extra: list[tuple[bytes, bytes]]) -> Scope:
    """A HEAD is a GET whose body the server keeps to itself, and a list may be in several lines: RFC 9110, 9.3.2 and 5.3."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    return {**scope, "method": method, "headers": _joined(scope["headers"]), _EXTRA: extra}  # type: ignore[return-value]


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Lists in one line each: what reads a header sees one of its lines."""
    joined = list(headers)
    lines = [name for name, _ in joined if name in _LISTS]
    if len(lines) == len(set(lines)):
        return joined
    lists = {name: b", ".join(value for each, value in joined if each == name) for name in lines}
    return [(name, value) for name, value in joined if name not in lists] + list(lists.items())


def _complete(
    scope: HTTPScope, headers: list[tuple[bytes, bytes]], studio: tuple[bytes, bytes]
) -> list[tuple[bytes, bytes]]:
    """Answers depend on the origin, belong to nobody's cache, and run nothing in a browser."""
    said = {name.lower() for name, _ in headers}
    varies = [value for name, value in headers if name.lower() == b"vary"]
    if not any(b"origin" in value.lower() for value in varies):
        headers.append((b"vary", b"Origin"))
    path = scope["path"]
    if b"cache-control" not in said and not path.startswith("/docs"):
        headers.append((b"cache-control", b"private, no-cache" if b"etag" in said else b"no-store"))
    headers.extend(_ALWAYS)
    if path.startswith("/docs"):
        headers.append(_DOCUMENTS)
    else:
        headers.append(studio if f"{path}/".startswith("/studio/") else _DATA)
    if scope["scheme"] == "https":
        headers.append(_HSTS)
    return headers
