"""WebSockets towards clients that read slowly, or not at all: what waits for them is bounded in size and in time.

uvicorn's protocol has the application wait while a client does not read, for ever; and what it then closes it keeps
until the client has read the rest, for ever too. Here a client that has taken nothing for a while is told to go with
4408, for when it comes back, and soon after the connection is reset. And a handshake that cannot be read is answered.
"""

import logging
import socket
import struct
from asyncio import BaseTransport, TimerHandle
from contextlib import suppress
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import http11
from websockets.exceptions import TooManyHeaders

from stepwire.api.live import TOO_SLOW
from stepwire.protocol import MAX_HEAD_BYTES, problem

log = logging.getLogger(__name__)
LINGER_SECONDS = 5.0  # to read why, before the connection is reset
GONE_SECONDS = 60  # without a sign from the other side's kernel

# The library reads the handshake anew, after `protocol.py`, and takes 8 KiB for a header: long tokens are longer.
http11.MAX_LINE_LENGTH = 2 * MAX_HEAD_BYTES


def bounded_socket(stall_seconds: float) -> type[WebSocketsSansIOProtocol]:
    """The protocol for a server; clients may take nothing of what is sent for so long."""
    return type("Socket", (BoundedSocket,), {"stall_seconds": stall_seconds})


class BoundedSocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol, bounded."""

    stall_seconds: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unsent_bytes = 0
        self._stall_timer: TimerHandle | None = None
        self._end_timer: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: pings are not acknowledged either
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_SECONDS * 1000)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._stall_timer, self._end_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._turn_away(self.conn.handshake_exc, data.split(b" ", 2)[1])

    def pause_writing(self) -> None:
        """The client does not keep up: nothing of its is read either, since answers to pings would pile up."""
        super().pause_writing()
        if not self.transport.is_closing():
            self.transport.pause_reading()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    async def receive(self) -> Any:
        message = await super().receive()
        if not self.writable.is_set() and not self.transport.is_closing():
            self.transport.pause_reading()
        return message

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.accept":
            for part in (self.request, self.response):  # kept as long as the socket, and a tenth of what it costs
                part.headers.clear()
        elif self.close_sent and self._end_timer is None:
            self._end_within(self.stall_seconds)

    def send_keepalive_ping(self) -> None:
        """Not to a client that has more to read than it takes."""
        if self.writable.is_set():
            super().send_keepalive_ping()
        else:
            self.schedule_ping()

    def _turn_away(self, error: Exception, url: bytes) -> None:
        """Answer, and let go: uvicorn does not notice that there was no handshake, and keeps the connection."""
        if self.transport.is_closing():
            return
        status = 431 if isinstance(error, TooManyHeaders) else 400
        self.transport.write(problem(status, f"This is no WebSocket handshake: {error.__cause__ or error}.", url))
        self.transport.close()

    def _watch(self) -> None:
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(self.stall_seconds, self._look)

    def _look(self) -> None:
        """Drop the client unless it is taking what was sent bit by bit."""
        if self.transport.get_write_buffer_size() < self._unsent_bytes:
            self._watch()
        else:
            self._drop()

    def _drop(self) -> None:
        if not self.close_sent and not self.transport.is_closing():
            log.info("A watcher has taken nothing for %s s and is dropped", self.stall_seconds)
            self.queue.put_nowait({"type": "websocket.disconnect", "code": TOO_SLOW, "reason": "too slow"})
            self.conn.send_close(TOO_SLOW, "too slow")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        self.disconnected = True
        self.writable.set()  # who waits to send learns that nobody is there
        self._end_within(LINGER_SECONDS)

    def _end_within(self, seconds: float) -> None:
        """Closing alone would wait until the client has read everything."""
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._end_timer = self.loop.call_later(seconds, self._reset)

    def _reset(self) -> None:
        """End the connection at once, with what the kernel still has for the client."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None:
            with suppress(OSError):  # it was closed meanwhile
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
