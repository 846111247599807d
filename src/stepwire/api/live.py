"""``/ws/runs/{run_id}``: a run as it happens. Refusals come after accept, so that browsers see the code."""

import asyncio
import base64
import logging
import time
from contextlib import AsyncExitStack, suppress
from typing import Any
from uuid import UUID

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect

from stepwire.api.guards import PUBLIC, session_of
from stepwire.api.problems import of_error
from stepwire.auth.tokens import LEEWAY_SECONDS, Session, TokenVerifier
from stepwire.errors import Forbidden, Malformed, NotFound, RunNotFound, StepwireError, Unauthenticated, Unavailable
from stepwire.services.live import AfterBeyondEnd, RunStream
from stepwire.services.tickets import TicketService
from stepwire.settings import Settings

log = logging.getLogger(__name__)
PROTOCOL = "stepwire.v1"
_BEARER = "bearer."
FINISHED, GOING_AWAY = 1000, 1012
MAX_CLIENT_BYTES, TOO_LARGE = 4096, 1009
SEND_SECONDS = 30
CODES: dict[type[StepwireError], int] = {
    Malformed: 4400, Unauthenticated: 4401, Forbidden: 4403, NotFound: 4404, AfterBeyondEnd: 4409,
}  # fmt: skip
_PONG = b'{"type":"pong"}'


class ErrorFrame(msgspec.Struct, tag_field="type", tag="error"):
    """Why the socket is closed."""

    problem: Any


class _ClientMessage(msgspec.Struct):
    type: str = ""


@websocket("/ws/runs/{run_id:str}", opt={PUBLIC: True})
async def watch_run(
    socket: WebSocket[Any, Any, Any],
    run_id: str,
    stream: RunStream,
    tickets: TicketService,
    verifier: TokenVerifier,
    settings: Settings,
) -> None:
    """A snapshot first, then every later event, once, in order; 1000 after the last."""
    protocols: list[str] = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocols=PROTOCOL if PROTOCOL in protocols else None)
    async with AsyncExitStack() as stack:
        try:
            check_origin(socket, settings)
            session = await _session(socket, run_id, protocols, tickets, verifier)
            frames = await stream.open(stack, session.owner, _run_id(run_id), _after(socket))
        except tuple(CODES) as error:
            await refuse(socket, error)
            return
        except Exception as error:  # the database is away, say, which is no reason to stay away
            log.error("A stream could not be opened: %s", error, exc_info=not isinstance(error, Unavailable))
            await socket.close(code=GOING_AWAY, reason="try again")
            return
        await _serve(socket, frames, session)


async def _serve(socket: WebSocket[Any, Any, Any], frames: Any, session: Session) -> None:
    """Send and receive side by side; whichever ends first ends the other."""
    sending = asyncio.create_task(_send(socket, frames))
    receiving = asyncio.create_task(_receive(socket))
    try:
        async with asyncio.timeout_at(_deadline(session)):
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        sending.cancel()
        await refuse(socket, Unauthenticated("The token has expired; connect again with a fresh one."))
    finally:
        for task in (sending, receiving):
            task.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)


async def _send(socket: WebSocket[Any, Any, Any], frames: Any) -> None:
    code, reason = FINISHED, "finished"
    with suppress(WebSocketDisconnect, RuntimeError):
        try:
            async for frame in frames:
                async with asyncio.timeout(SEND_SECONDS):
                    await socket.send_data(frame.decode(), mode="text")
        except (WebSocketDisconnect, RuntimeError):
            raise
        except Exception:
            log.exception("A stream broke off; its client connects again")
            code, reason = GOING_AWAY, "try again"
        await socket.close(code=code, reason=reason)


async def _receive(socket: WebSocket[Any, Any, Any]) -> None:
    """Answer pings; everything else that a client sends is ignored, what is too large ends the connection."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            text = await socket.receive_data(mode="text")
            if len(text.encode()) > MAX_CLIENT_BYTES:
                await socket.close(code=TOO_LARGE, reason="too large")
                return
            with suppress(msgspec.MsgspecError):
                if msgspec.json.decode(text, type=_ClientMessage).type == "ping":
                    await socket.send_data(_PONG.decode(), mode="text")


async def refuse(socket: WebSocket[Any, Any, Any], error: StepwireError) -> None:
    """Say what is wrong, then close with the code of its kind."""
    code = next(CODES[family] for family in type(error).__mro__ if family in CODES)
    frame = ErrorFrame(of_error(error, socket.url.path))
    with suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_data(msgspec.json.encode(frame).decode(), mode="text")
        await socket.close(code=code, reason=error.title[:100])


async def _session(
    socket: WebSocket[Any, Any, Any], run_id: str, protocols: list[str], tickets: TicketService, verifier: TokenVerifier
) -> Session:
    ticket = socket.query_params.get("ticket")
    if ticket is not None:
        return await tickets.redeem(ticket, _run_id(run_id))
    return await authenticate(socket, protocols, verifier)


async def authenticate(socket: WebSocket[Any, Any, Any], protocols: list[str], verifier: TokenVerifier) -> Session:
    """By header, or by the sub-protocol ``bearer.<base64url of the token>``, which browsers can send."""
    for protocol in protocols:
        if protocol.startswith(_BEARER):
            encoded = protocol.removeprefix(_BEARER)
            try:
                token = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode("ascii")
            except ValueError:
                raise Unauthenticated("The token in the sub-protocol is not base64url.") from None
            return await verifier.verify(token)
    return await session_of(verifier, socket.headers.getall("authorization", []))


def check_origin(socket: WebSocket[Any, Any, Any], settings: Settings) -> None:
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


def _after(socket: WebSocket[Any, Any, Any]) -> int | None:
    text = socket.query_params.get("after")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise Malformed("`after` is the number of an event, 0 or more.")
    return int(text)


def _deadline(session: Session) -> float:
    """When the session's token runs out, on the event loop's clock."""
    return asyncio.get_running_loop().time() + session.expires_at + LEEWAY_SECONDS - time.time()
