"""What has to hold before a handler is called: a valid token, unless the route says that it is public."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler

from stepwire.auth.tokens import Session, TokenVerifier
from stepwire.errors import Unauthenticated

PUBLIC = "public"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def require_token(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Put the request's `Session` into the scope.

    Raises:
        Unauthenticated: there is no token, or not a valid one.
    """
    if not handler.opt.get(PUBLIC):
        verifier: TokenVerifier = connection.app.state.verifier
        connection.scope["user"] = session_of(verifier, connection.headers.get("authorization"))


def session_of(verifier: TokenVerifier, authorization: str | None) -> Session:
    """The session of an ``Authorization`` header. Source: RFC 6750 section 2.1."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Send an access token: Authorization: Bearer <token>.")
    return verifier.verify(token.strip())


def require_json(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse a body that does not say that it is JSON: it would be read as JSON all the same."""
    if connection.scope.get("method") not in _WITH_BODY:
        return
    headers = connection.headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    if has_body and kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(status_code=415, detail="Send the body as application/json.")
