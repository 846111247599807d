"""What has to hold before a handler is called: a valid token, unless the route says that it is public."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler

from stepwire.api.headers import add_header
from stepwire.auth.tokens import InvalidToken, Session, TokenVerifier
from stepwire.errors import TooManyRequests, Unauthenticated
from stepwire.services.tickets import TicketService
from stepwire.signals.rate import RateLimiter

PUBLIC = "public"
ANY_BODY = "any_body"
TICKETS = "tickets"  # a single-use ticket for the run does as well, for a stream
EVENT_STREAM = "text/event-stream"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


async def admit(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """All of the below: one guard, since Litestar copies the handler for each; async, since it runs others in threads."""
    await require_token(connection, handler)
    await require_moderation(connection, handler)
    if not handler.opt.get(ANY_BODY):
        require_json(connection)


async def require_token(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Put the request's `Session` into the scope.

    Raises:
        Unauthenticated: there is no token, or not a valid one.
        Unavailable: nobody can say, because the keys to verify it with cannot be fetched.
    """
    if handler.opt.get(PUBLIC):
        return
    given, ticket = connection.headers.getall("authorization", []), connection.query_params.get("ticket")
    if (
        ticket is not None
        and not given
        and handler.opt.get(TICKETS)
        and EVENT_STREAM in connection.headers.get("accept", "")
    ):
        tickets: TicketService = connection.app.state.services.tickets
        connection.scope["user"] = await tickets.redeem(ticket, connection.path_params["run_id"])
    else:
        connection.scope["user"] = await session_of(connection.app.state.verifier, given)


async def session_of(verifier: TokenVerifier, authorization: list[str]) -> Session:
    """The session of the one ``Authorization`` header. Source: RFC 6750 section 2.1."""
    if len(authorization) > 1:
        raise InvalidToken("Send one Authorization header.")
    scheme, _, token = (authorization[0] if authorization else "").partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send an access token: Authorization: Bearer <token>.")
    return await verifier.verify(token)


async def require_moderation(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Count the request for its owner. Raises: TooManyRequests."""
    if not handler.opt.get(PUBLIC):
        await moderate(connection, str(connection.scope["user"].owner))


async def moderate(connection: ASGIConnection[Any, Any, Any, Any], whom: str) -> None:
    """Count the request for somebody, where the settings limit how many there may be.

    Source: draft-ietf-httpapi-ratelimit-headers-10.

    Raises:
        TooManyRequests.
    """
    limiter: RateLimiter | None = connection.app.state.services.limiter
    if limiter is None:
        return
    taken = await limiter.take(whom)
    if taken is None:
        return
    seconds = -(-taken.milliseconds // 1000)
    window = max(1, round(limiter.burst / limiter.per_second))
    add_header(connection.scope, "RateLimit-Policy", f'"owner";q={limiter.burst};w={window}')
    add_header(connection.scope, "RateLimit", f'"owner";r={taken.left};t={seconds}')
    if not taken.is_allowed:
        raise TooManyRequests(
            f"That is more than {limiter.per_second:g} requests a second; wait {seconds} s.",
            headers={"Retry-After": str(seconds)},
        )


def require_json(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Refuse a body that does not say that it is JSON: it would be read as JSON all the same."""
    if connection.scope.get("method") not in _WITH_BODY:
        return
    headers = connection.headers
    kind, _semicolon, parameters = headers.get("content-type", "").lower().partition(";")
    kind = kind.strip()
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    if has_body and kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(status_code=415, detail="Send the body as application/json.")
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
    if has_body and charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise HTTPException(status_code=415, detail="Send the body as UTF-8: JSON has no other encoding.")
    if has_body and headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        raise HTTPException(
            status_code=415, detail="Send the body as it is, not compressed.", headers={"Accept-Encoding": "identity"}
        )
