"""The live half of the public API: a run's frames over the WebSocket, across lost connections.

``last`` is all that has to be remembered: with ``?after=last`` the server goes on where the connection broke.
"""

import random
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from stepwire.client.api import Server, is_loopback
from stepwire.client.api import reason as error_reason
from stepwire.client.errors import ConnectionLost

FINISHED, UNAUTHENTICATED = 1000, 4401
BACKOFF_SECONDS = (0.1, 0.3, 1.0, 2.0, 5.0)
GIVE_UP_SECONDS = 60.0  # without a connection
QUIET_SECONDS = 10.0


class Snapshot(msgspec.Struct, frozen=True, tag_field="type", tag="snapshot"):
    """A run as of event ``seq``; ``step_statuses`` names every step, in the drawn order."""

    run_status: str
    seq: int
    step_statuses: dict[str, str]


class Event(msgspec.Struct, frozen=True, tag_field="type", tag="event"):
    """A fact of the run."""

    seq: int
    event: str
    at: datetime
    step_id: str | None = None
    data: dict[str, Any] = {}


class Disconnected(msgspec.Struct, frozen=True):
    """The connection is gone and is being made again."""

    reason: str


class Quiet(msgspec.Struct, frozen=True):
    """Nothing has happened for a while."""


class _Refusal(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    problem: dict[str, Any]


class _Pong(msgspec.Struct, frozen=True, tag_field="type", tag="pong"):
    pass


Frame = Snapshot | Event | Disconnected | Quiet
_decode = msgspec.json.Decoder(Snapshot | Event | _Refusal | _Pong).decode


class RunStream:
    """One run's frames, from its first event to its last."""

    def __init__(self, server: Server, run_id: UUID, give_up_seconds: float = GIVE_UP_SECONDS) -> None:
        self._server = server
        self._run_id = run_id
        self._give_up_seconds = give_up_seconds
        self._last = 0
        self._failures = 0
        self._heard_at = time.monotonic()

    def frames(self) -> Iterator[Frame]:
        """Every event, once, in order; ends when the server says that the run has finished.

        Raises:
            ConnectionLost: the server refuses, or stays away for too long.
        """
        while True:
            try:
                with self._connect() as socket:
                    yield from self._read(socket)
                return
            except ConnectionClosed as error:
                closed = error.rcvd
                reason = f"closed with {closed.code} {closed.reason}".rstrip() if closed else "broken"
                self._check(closed.code if closed else None, reason)
            except InvalidStatus as error:
                reason = f"refused with HTTP status {error.response.status_code}"
                if error.response.status_code < 500 and error.response.status_code != 429:
                    raise ConnectionLost(self._run_id, f"The connection for watching is {reason}.") from None
            except (OSError, InvalidHandshake, InvalidMessage, EOFError) as error:
                reason = f"not to be had ({error_reason(error)})"
            if time.monotonic() - self._heard_at > self._give_up_seconds:
                raise ConnectionLost(self._run_id, f"The connection to {self._server.url} is {reason}.")
            yield Disconnected(reason)
            self._wait()

    def _connect(self) -> ClientConnection:
        url = self._server.socket_url
        return connect(
            f"{url}/{self._run_id}?after={self._last}",
            additional_headers={"Authorization": f"Bearer {self._server.token()}"},
            close_timeout=2.0,
            max_size=None,  # an event carries an output, a snapshot every step
            proxy=None if is_loopback(url) else True,
        )

    def _read(self, socket: ClientConnection) -> Iterator[Frame]:
        while True:
            try:
                message = socket.recv(QUIET_SECONDS)
                frame = _decode(message)
            except TimeoutError:
                self._heard_at = time.monotonic()  # a connection that breaks is noticed: it is pinged
                yield Quiet()
                continue
            except ConnectionClosed as error:
                if error.rcvd is not None and error.rcvd.code == FINISHED:
                    return
                raise
            except msgspec.MsgspecError:
                reason = f"The server sends what cannot be understood: {message[:200]!r}"
                raise ConnectionLost(self._run_id, reason) from None
            if isinstance(frame, _Refusal):
                self._refused(frame.problem)
            elif isinstance(frame, Snapshot):
                self._failures, self._heard_at = 0, time.monotonic()
                yield frame
            elif isinstance(frame, Event) and frame.seq > self._last:
                self._last, self._heard_at = frame.seq, time.monotonic()
                yield frame

    def _refused(self, problem: dict[str, Any]) -> None:
        """A token that ran out is made again where it can be; any other refusal would be repeated."""
        if problem.get("status") == 401 and self._last > 0 and self._failures == 0:
            return  # the close frame follows
        raise ConnectionLost(self._run_id, f"The server refuses to show the run: {problem.get('detail')}")

    def _check(self, code: int | None, reason: str) -> None:
        is_final = code is not None and 4400 <= code < 4500 and code != UNAUTHENTICATED
        if is_final or (code == UNAUTHENTICATED and self._failures > 0):
            raise ConnectionLost(self._run_id, f"The connection for watching is {reason}.")

    def _wait(self) -> None:
        """Longer with each failure; the random part keeps a thousand watchers from coming back together."""
        seconds = BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS) - 1)]
        self._failures += 1
        time.sleep(seconds * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
