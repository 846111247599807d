"""HTTP/1.1 towards clients who mean harm or are very slow: what they send is bounded in size and in time.

uvicorn's protocol waits for ever for the rest of a request, keeps headers of any size, and says what it refuses in plain
text. The limits here hold before a request has a handler; bodies are limited by the application.
"""

import logging
import re
import resource
from asyncio import BaseTransport, TimerHandle
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from stepwire.api.schemas.common import Problem
from stepwire.api.sse import ENDLESS

HEAD_SECONDS = 20.0  # until a request's headers are there
BODY_SECONDS = 60.0  # until its body is: 1 MiB needs 140 kbit/s
STALL_SECONDS = 30.0  # how long a client may take nothing of an answer
IDLE_SECONDS = 75.0  # between two requests; browsers and proxies keep connections about as long
LINGER_SECONDS = 2.0  # for a refused client to read why, before its connection is reset
MAX_HEAD_BYTES = 64 << 10
MAX_PIPELINED = 100
MAX_HELD_BYTES = 128 << 20  # of bodies that are still arriving, all connections together
SPARE_FILES = 256
SHOWN_PATH = 200
HEADER_COST = 32  # what a header costs beside its text

log = logging.getLogger(__name__)
_HOST = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]*|\[[0-9a-fA-F:.]+\])(?::(\d{0,5}))?")


class _Refused(Exception):
    """Stops the parser."""


class Crowd:
    """The connections of a process that it waits for: for a request, or for an answer to be taken. Oldest first."""

    def __init__(self, max_connections: int) -> None:
        self.max_connections = max_connections
        self.held_bytes = 0
        self._open: set[BoundedProtocol] = set()
        self._waiting: dict[BoundedProtocol, float] = {}  # until when
        self._timer: TimerHandle | None = None

    def enter(self, connection: "BoundedProtocol") -> None:
        """Where there is no place left, the connection goes that has kept us waiting longest."""
        self._open.add(connection)
        if len(self._open) > self.max_connections:
            self._make_room()

    def leave(self, connection: "BoundedProtocol") -> None:
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def wait(self, connection: "BoundedProtocol", seconds: float) -> None:
        """Wait for a connection, no longer than this."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = connection.loop.time() + seconds
        if self._timer is None:
            self._timer = connection.loop.call_later(1.0, self._look, connection.loop)

    def stop_waiting(self, connection: "BoundedProtocol") -> None:
        self._waiting.pop(connection, None)

    def hold(self, count: int) -> None:
        """Account for bytes of bodies; where there are too many, the oldest waiting connection goes."""
        self.held_bytes += count
        if self.held_bytes > MAX_HELD_BYTES:
            self._make_room(connection for connection in self._waiting if connection.held_bytes)

    def _make_room(self, candidates: "Iterable[BoundedProtocol] | None" = None) -> None:
        for connection in candidates if candidates is not None else self._waiting:
            connection.drop()
            return

    def _look(self, loop: Any) -> None:
        now = loop.time()
        for connection in [each for each, until in self._waiting.items() if until <= now]:
            self._waiting.pop(connection, None)
            connection.on_late()
        self._timer = loop.call_later(1.0, self._look, loop) if self._waiting else None


def bounded_protocol() -> type[HttpToolsProtocol]:
    """The protocol for a server, with a crowd of its own; the process may open as many files as it is allowed to."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = 65_536 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    crowd = Crowd(max(64, (files - SPARE_FILES) // 2))  # the other half is for sockets and the database
    return type("Protocol", (BoundedProtocol,), {"crowd": crowd})


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, bounded."""

    crowd: Crowd

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.url = b""
        self.held_bytes = 0  # of the body that is arriving
        self._is_receiving = False  # a request has begun and is not complete
        self._head_bytes = 0
        self._unseen_bytes = 0  # received since the parser last had something to say
        self._unsent_bytes = 0
        self._fault: tuple[int, str] | None = None
        self._is_refused = False

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast("Any", transport))
        self.crowd.enter(self)
        self.crowd.wait(self, HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._release()
        self.crowd.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        if not self._is_receiving and self._running() is None:
            self.crowd.wait(self, HEAD_SECONDS)
        self._unseen_bytes += len(data)
        super().data_received(data)
        if self._unseen_bytes > MAX_HEAD_BYTES:
            self._refuse(431, f"The request's headers have more than {MAX_HEAD_BYTES:,} bytes.")

    def handle_websocket_upgrade(self) -> None:
        self.crowd.leave(self)
        self._unseen_bytes = 0
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_receiving = True
        self._head_bytes = self._unseen_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._unseen_bytes = 0
        if len(self.url) > MAX_HEAD_BYTES:
            self._stop(414, f"The address has more than {MAX_HEAD_BYTES:,} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._unseen_bytes = 0
        self._head_bytes += len(name) + len(value) + HEADER_COST
        if self._head_bytes > MAX_HEAD_BYTES:
            self._stop(431, f"The request's headers have more than {MAX_HEAD_BYTES:,} bytes.")
        # The parser leaves white space at the end, which is no part of the value: RFC 9110 section 5.5.
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        self._unseen_bytes = 0
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) != 1 and (hosts or self.parser.get_http_version() == "1.1"):  # RFC 9112 section 3.2
            self._stop(400, "An HTTP/1.1 request has one Host header.")
        if hosts and not _is_host(hosts[0]):
            self._stop(400, "The Host header is not a host and a port.")
        if len(self.pipeline) >= MAX_PIPELINED:
            self._stop(400, f"More than {MAX_PIPELINED} requests wait for their answers.")
        super().on_headers_complete()
        self.crowd.wait(self, BODY_SECONDS)

    def on_body(self, body: bytes) -> None:
        self._unseen_bytes = 0
        if not self.cycle.response_complete:
            self.held_bytes += len(body)
            self.crowd.hold(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_receiving = False
        self._unseen_bytes = 0
        self._release()
        super().on_message_complete()
        self.crowd.stop_waiting(self)
        if self._running() is None:
            self.crowd.wait(self, IDLE_SECONDS)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._release()
        if not self._is_receiving and not self.pipeline:
            self.crowd.wait(self, IDLE_SECONDS)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self.crowd.wait(self, STALL_SECONDS)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unsent_bytes = 0
        if self._running() is None:
            self.crowd.wait(self, HEAD_SECONDS if self._is_receiving else IDLE_SECONDS)
        else:
            self.crowd.stop_waiting(self)

    def on_late(self) -> None:
        """The client kept us waiting too long: unless we do not listen, or it is taking its answer bit by bit."""
        if self._unsent_bytes:
            unsent = self.transport.get_write_buffer_size()
            if unsent >= self._unsent_bytes:
                self.drop()
            else:
                self._unsent_bytes = unsent
                self.crowd.wait(self, STALL_SECONDS)
        elif self.flow.read_paused:
            self.crowd.wait(self, BODY_SECONDS)
        elif self._is_receiving:
            self._refuse(408, "The request did not arrive in time.")
        else:
            self.drop()

    def shutdown(self) -> None:
        """Answers are given to their end, except those that have none soon."""
        cycle = self._running()
        if cycle is not None and cycle.scope["state"].get(ENDLESS):
            cycle.disconnected = True
            cycle.message_event.set()
            self.transport.close()
        else:
            super().shutdown()

    def drop(self) -> None:
        """End the connection at once."""
        self._release()
        self.crowd.leave(self)
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """What could not be parsed, or was stopped."""
        self._refuse(*(self._fault or (400, "The request is not HTTP/1.1.")))

    def _stop(self, status: int, detail: str) -> None:
        """Called by the parser: have it fail, and say so."""
        self._fault = (status, detail)
        raise _Refused

    def _refuse(self, status: int, detail: str) -> None:
        """Answer with a problem where no other answer is due before, and close: what follows makes no sense."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        self._release()
        self.crowd.stop_waiting(self)
        cycle = self._running()
        if cycle is not None and not (self._is_receiving and cycle.scope is self.scope):
            cycle.keep_alive = False  # the requests before are answered, then the connection closes
            return
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
            if self.pipeline or cycle.response_started:
                self.transport.close()
                return
        self.transport.write(problem(status, detail, self.url))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _running(self) -> RequestResponseCycle | None:
        """The last request, if it is not answered yet."""
        cycle: RequestResponseCycle | None = self.cycle
        return None if cycle is None or cycle.response_complete else cycle

    def _release(self) -> None:
        self.crowd.hold(-self.held_bytes)
        self.held_bytes = 0


def _is_host(value: bytes) -> bool:
    found = _HOST.fullmatch(value)
    return found is not None and int(found[1] or 0) <= 65_535


def problem(status: int, detail: str, url: bytes) -> bytes:
    """A whole answer, the last one on its connection."""
    phrase = HTTPStatus(status).phrase
    kind = "malformed-request" if status == HTTPStatus.BAD_REQUEST else phrase.lower().replace(" ", "-")
    path = quote(url.partition(b"?")[0][:SHOWN_PATH])
    body = msgspec.json.encode(
        Problem(type=f"/problems/{kind}", title=phrase, status=status, detail=detail, instance=path)
    )  # fmt: skip
    head = [
        f"HTTP/1.1 {status} {phrase}",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        "connection: close",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        f"x-request-id: {uuid4().hex}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
