"""``/ws/runs/{run_id}``, a run as it happens, and ``/ws/runs``, what becomes of all of an owner's runs. Refusals come after accept, so that browsers see the code."""

import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect

from stepwire.api.guards import PUBLIC, session_of
from stepwire.api.problems import of_error
from stepwire.api.schemas.live import AuthMessage, ErrorFrame, PongFrame
from stepwire.api.seq import seen_by
from stepwire.auth.tokens import LEEWAY_SECONDS, InvalidToken, Session, TokenVerifier
from stepwire.errors import Forbidden, Malformed, NotFound, RunNotFound, StepwireError, Unauthenticated, Unavailable
from stepwire.services.feeds import Framed
from stepwire.services.live import AfterBeyondEnd, RunStream
from stepwire.services.overview import Overviews, TooSlow, Wanted
from stepwire.services.tickets import TicketService
from stepwire.settings import Settings

log = logging.getLogger(__name__)
Socket = WebSocket[Any, Any, Any]
Begin = Callable[[AsyncExitStack, list[str]], Awaitable[tuple[Session, AsyncIterator[Framed]]]]
PROTOCOL = "stepwire.v1"
_BEARER = "bearer."
FINISHED, GOING_AWAY = 1000, 1012
MAX_CLIENT_BYTES, TOO_LARGE, TOO_SLOW = 4096, 1009, 4408
CODES: dict[type[StepwireError], int] = {
    Malformed: 4400, Unauthenticated: 4401, Forbidden: 4403, NotFound: 4404, AfterBeyondEnd: 4409,
}  # fmt: skip
_PONG = msgspec.json.encode(PongFrame()).decode()
_GONE = (WebSocketDisconnect, RuntimeError, OSError)  # what sending to a client that has left raises


class _ClientMessage(msgspec.Struct):
    type: Any = None


@websocket("/ws/runs/{run_id:str}", opt={PUBLIC: True})
async def watch_run(
    socket: Socket,
    run_id: str,
    stream: RunStream,
    tickets: TicketService,
    verifier: TokenVerifier,
    settings: Settings,
) -> None:
    """A snapshot first, then every later event, once, in order; 1000 after the last."""

    async def begin(stack: AsyncExitStack, protocols: list[str]) -> tuple[Session, AsyncIterator[Framed]]:
        session = await _session(socket, run_id, protocols, tickets, verifier)
        opened = await stream.open(stack, session.owner, _run_id(run_id), seen_by(socket))
        return session, opened.frames

    await _serve(socket, begin, verifier, settings)


@websocket("/ws/runs", opt={PUBLIC: True})
async def watch_runs(socket: Socket, overviews: Overviews, verifier: TokenVerifier, settings: Settings) -> None:
    """A snapshot of the newest runs first, then every event about a whole run, once and, for each run, in order."""

    async def begin(stack: AsyncExitStack, protocols: list[str]) -> tuple[Session, AsyncIterator[Framed]]:
        session = await authenticate(socket, protocols, verifier)
        return session, await overviews.open(stack, session.owner, _wanted(socket))

    await _serve(socket, begin, verifier, settings)


async def _serve(socket: Socket, begin: Begin, verifier: TokenVerifier, settings: Settings) -> None:
    """Accept, find out whether there is something to send, and send it."""
    protocols: list[str] = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocols=PROTOCOL if PROTOCOL in protocols else None)
    async with AsyncExitStack() as stack:
        try:
            check_origin(socket, settings)
            session, frames = await begin(stack, protocols)
        except tuple(CODES) as error:
            await refuse(socket, error)
            return
        except Exception as error:  # the database is away, say, which is no reason to stay away
            log.error("A stream could not be opened: %s", error, exc_info=not isinstance(error, Unavailable))
            await _close(socket, GOING_AWAY, "try again")
            return
        await serve(socket, frames, session, verifier)


async def serve(socket: Socket, frames: AsyncIterator[Framed], session: Session, verifier: TokenVerifier) -> None:
    """Send and receive side by side until one of them ends, or the session does, which the client may renew."""
    sending = asyncio.create_task(_send(socket, frames))
    receiving: asyncio.Task[None] | None = None
    refusal: StepwireError | None = None
    try:
        async with asyncio.timeout_at(_deadline(session)) as session_end:
            receiving = asyncio.create_task(_receive(socket, session, session_end, verifier))
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
        if receiving.done():
            receiving.result()
    except TimeoutError:
        refusal = Unauthenticated("The token has expired; connect again with a fresh one.")
    except tuple(CODES) as error:
        refusal = error
    except Unavailable:
        await _close(socket, GOING_AWAY, "try again")
    finally:
        tasks = [task for task in (sending, receiving) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if refusal is not None:
        await refuse(socket, refusal)


async def _send(socket: Socket, frames: AsyncIterator[Framed]) -> None:
    """Send all frames, each when the client has taken enough of those before, then close."""
    code, reason = FINISHED, "finished"
    try:
        async for framed in frames:
            if not await _tell(socket, framed.text):
                return
    except TooSlow:
        code, reason = TOO_SLOW, "too slow"
    except Exception as error:
        log.warning("A stream broke off, its client connects again: %s", error, exc_info=not isinstance(error, OSError))
        code, reason = GOING_AWAY, "try again"
    await _close(socket, code, reason)


async def _receive(socket: Socket, session: Session, session_end: asyncio.Timeout, verifier: TokenVerifier) -> None:
    """Answer pings, take fresh tokens; everything else that a client sends is ignored, and what is too large ends it.

    Raises:
        Malformed, Unauthenticated: a token that is none, or another owner's.
        Unavailable: nobody can say whether the token is good.
    """
    with suppress(WebSocketDisconnect):
        while (message := await socket.receive())["type"] == "websocket.receive":
            data = message.get("bytes") or (message.get("text") or "").encode()
            if len(data) > MAX_CLIENT_BYTES:
                await _close(socket, TOO_LARGE, "too large")
                return
            kind: Any = None
            with suppress(msgspec.MsgspecError, RecursionError):
                kind = msgspec.json.decode(data, type=_ClientMessage).type
            if kind == "ping":
                await _tell(socket, _PONG)
            elif kind == "auth":
                session_end.reschedule(_deadline(await _renewed(data, session, verifier)))


async def _renewed(data: bytes, session: Session, verifier: TokenVerifier) -> Session:
    try:
        message = msgspec.json.decode(data, type=AuthMessage)
    except msgspec.MsgspecError:
        raise Malformed('An auth message is {"type": "auth", "token": "<access token>"}.') from None
    renewed = await verifier.verify(message.token)
    if renewed.owner != session.owner:
        raise InvalidToken("The token is another owner's; connect again to watch as somebody else.")
    return renewed


async def _tell(socket: Socket, text: str) -> bool:
    """False where nobody is there any more."""
    try:
        await socket.send_data(text, mode="text")
    except _GONE:
        return False
    return True


async def _close(socket: Socket, code: int, reason: str) -> None:
    with suppress(*_GONE):
        await socket.close(code=code, reason=reason)


async def refuse(socket: Socket, error: StepwireError) -> None:
    """Say what is wrong, then close with the code of its kind."""
    code = next(CODES[family] for family in type(error).__mro__ if family in CODES)
    frame = ErrorFrame(of_error(error, quote(socket.scope["path"])))
    await _tell(socket, msgspec.json.encode(frame).decode())
    await _close(socket, code, error.title[:100])


async def _session(
    socket: Socket, run_id: str, protocols: list[str], tickets: TicketService, verifier: TokenVerifier
) -> Session:
    ticket = socket.query_params.get("ticket")
    if ticket is not None:
        return await tickets.redeem(ticket, _run_id(run_id))
    return await authenticate(socket, protocols, verifier)


async def authenticate(socket: Socket, protocols: list[str], verifier: TokenVerifier) -> Session:
    """By header, or by the sub-protocol ``bearer.<base64url of the token>``, which browsers can send."""
    for protocol in protocols:
        if protocol.startswith(_BEARER):
            encoded = protocol.removeprefix(_BEARER)
            try:
                token = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True).decode("ascii")
            except ValueError:
                raise Unauthenticated("The token in the sub-protocol is not base64url.") from None
            return await verifier.verify(token)
    return await session_of(verifier, socket.headers.getall("authorization", []))


def check_origin(socket: Socket, settings: Settings) -> None:
    """A page of another origin must not use a visitor's browser to watch runs. Source: RFC 6455 section 10.2."""
    origin = socket.headers.get("origin")
    own = {f"{scheme}://{socket.headers.get('host', '')}" for scheme in ("http", "https")}
    if (
        origin is not None
        and origin not in own
        and origin not in settings.cors_origins
        and "*" not in settings.cors_origins
    ):
        raise Forbidden(f"The origin {origin[:200]} is not allowed; STEPWIRE_CORS_ORIGINS names those that are.")


def _run_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise RunNotFound(f"There is no run {text[:50]!r}.") from None


def _wanted(socket: Socket) -> Wanted:
    given = {
        "workflow_id": socket.query_params.get("workflow_id"),
        "statuses": socket.query_params.getall("status", []),
    }
    try:
        return msgspec.convert(given, Wanted, strict=False)
    except msgspec.ValidationError as error:
        raise Malformed(f"`workflow_id` is a workflow's id and `status` a run's status: {error}.") from None


def _deadline(session: Session) -> float:
    """When the session's token runs out, on the event loop's clock."""
    return asyncio.get_running_loop().time() + session.expires_at + LEEWAY_SECONDS - time.time()
