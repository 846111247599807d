"""A run's events as server-sent events: what the socket sends, over plain HTTP. Source: the HTML standard, section 9.2."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

from litestar import Request, Response
from litestar.background_tasks import BackgroundTask
from litestar.response import Stream

from stepwire.api.guards import EVENT_STREAM
from stepwire.api.headers import add_header
from stepwire.api.seq import one_seq, seen_by
from stepwire.auth.tokens import LEEWAY_SECONDS, Session
from stepwire.services.feeds import Framed
from stepwire.services.live import RunStream

HEARTBEAT_SECONDS = 15.0  # proxies take a connection for dead when it is silent for longer
RETRY = "retry: 1000\n\n"  # milliseconds after which the browser connects again
ENDLESS = "stepwire.endless"  # in the state of a request whose answer does not end soon
_HEARTBEAT = ": still here\n\n"


def wants_stream(request: Request[Any, Any, Any]) -> bool:
    """Whether the client would rather have a stream than a page of events."""
    add_header(request.scope, "Vary", "Accept")
    return request.accept.best_match(["application/json", EVENT_STREAM]) == EVENT_STREAM


async def event_stream(request: Request[Any, Any, Any], run_id: UUID) -> Response[Any]:
    """The run's snapshot and events, which end with the run.

    204 where the client has all of a run that has ended: browsers connect again for as long as they are told nothing else.

    Raises:
        Malformed: what the client has last is no number.
        RunNotFound, AfterBeyondEnd.
    """
    stream: RunStream = request.app.state.services.stream
    session: Session = request.scope["user"]
    given = request.headers.getall("last-event-id", [])
    after = one_seq("Last-Event-ID", given) if given else seen_by(request)
    stack = AsyncExitStack()
    try:
        opened = await stream.open(stack, session.owner, run_id, after)
        if given and opened.is_over:
            await stack.aclose()
            return Response(None, status_code=204)
    except BaseException:
        await stack.aclose()
        raise
    request.scope["state"][ENDLESS] = True
    # closed twice: a client that has left already has the iterator never begun
    body = _body(stack, opened.frames, session)
    headers = {"Content-Type": f"{EVENT_STREAM}; charset=utf-8", "X-Accel-Buffering": "no"}
    return Stream(body, headers=headers, background=BackgroundTask(stack.aclose))


async def _body(stack: AsyncExitStack, frames: AsyncIterator[Framed], session: Session) -> AsyncIterator[str]:
    """Each frame with the number to go on from, and a sign of life in between, until the run or the session ends."""
    ends_at = session.expires_at + LEEWAY_SECONDS
    async with stack:
        yield RETRY
        coming = asyncio.ensure_future(anext(frames, None))
        try:
            while (left := ends_at - time.time()) > 0:
                await asyncio.wait({coming}, timeout=min(left, HEARTBEAT_SECONDS))
                if not coming.done():
                    yield _HEARTBEAT
                elif (framed := coming.result()) is None:
                    return
                else:
                    yield server_sent(framed)
                    coming = asyncio.ensure_future(anext(frames, None))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


def server_sent(framed: Framed) -> str:
    """A frame, which has no line breaks, and the ``Last-Event-ID`` of who has got it."""
    return f"id: {framed.seq}\ndata: {framed.text}\n\n"
