"""``X-Request-ID`` on every request and answer, and in every log line; the headers that every answer has."""

import re
from contextvars import ContextVar
from uuid import uuid4

from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

request_id: ContextVar[str] = ContextVar("request_id", default="-")
_ACCEPTED = re.compile(r"[\x21-\x7e]{1,128}")


def with_request_id(app: ASGIApp) -> ASGIApp:
    """Middleware: take the client's id or make one, and say it again in the answer."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        sent = next((value for name, value in scope.get("headers", []) if name == b"x-request-id"), b"").decode(
            "latin-1"
        )
        chosen = sent if _ACCEPTED.fullmatch(sent) else uuid4().hex
        token = request_id.set(chosen)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableScopeHeaders.from_message(message)
                headers["X-Request-ID"] = chosen
                headers["X-Content-Type-Options"] = "nosniff"
                headers.extend_header_value("Vary", "Origin")
            await send(message)

        try:
            await app(scope, receive, send_with_headers)
        finally:
            request_id.reset(token)

    return middleware
