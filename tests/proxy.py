"""A TCP proxy that a test cuts, slows down or stops: what happens on the way between two that are both well."""

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

CHUNK = 1 << 16
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset, and nothing that was held back
COMMIT = b"COMMIT;\0"


@dataclass
class Proxy:
    """Listens on a port of its own and passes on what comes to ``target``, the address of a TCP port or Unix socket.

    ``seconds`` are added to each piece of an answer. While it is `swallowing`, whatever is sent arrives nowhere, no
    connection breaks, and new ones are taken and not answered. ``lose_answer_to`` is asked of each piece that a client
    sends: if it says yes, the piece is passed on, the server has it, and the connection breaks before the answer.
    """

    target: tuple[str, int] | str
    seconds: float = 0.0
    swallowing: bool = False
    refusing: bool = False
    lose_answer_to: Callable[[bytes], bool] | None = None
    lost: int = 0
    _pairs: set[tuple[socket.socket, socket.socket]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def connections(self) -> int:
        return len(self._pairs)

    def cut(self) -> int:
        """Break all connections with a reset, both ways; gives how many."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for side in pair:
                _reset(side)
        return len(pairs)

    def refuse(self) -> None:
        """Break all connections and take no new ones."""
        self.refusing = True
        self.cut()

    def heal(self) -> None:
        """Pass everything on again. Connections from which something was swallowed break: TCP could not go on either."""
        had_holes, self.swallowing = self.swallowing, False
        self.seconds, self.refusing, self.lose_answer_to = 0.0, False, None
        if had_holes:
            self.cut()

    def close(self) -> None:
        self.refuse()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                _reset(client)
                continue
            try:
                server = _connected(self.target)
            except OSError:  # it is being started again, say
                _reset(client)
                continue
            pair = (client, server)
            with self._lock:
                self._pairs.add(pair)
            for give, take, is_question in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass_on, args=(give, take, is_question, pair), daemon=True).start()

    def _pass_on(
        self, give: socket.socket, take: socket.socket, is_question: bool, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        with suppress(OSError):
            while piece := give.recv(CHUNK):
                if self.seconds and not is_question:
                    time.sleep(self.seconds)
                if self.swallowing:
                    continue
                if is_question and (lose := self.lose_answer_to) is not None and lose(piece):
                    self._lose_answer(piece, pair)
                    break
                take.sendall(piece)
        if not self.swallowing:
            self._end(pair)

    def _lose_answer(self, piece: bytes, pair: tuple[socket.socket, socket.socket]) -> None:
        """Have the server do what is asked, and the client not know."""
        client, server = pair
        _reset(client)
        server.sendall(piece)
        server.shutdown(socket.SHUT_WR)  # it does what it has got, then sees the end
        self.lost += 1

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._pairs.discard(pair)
        for side in pair:
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


def _connected(target: tuple[str, int] | str) -> socket.socket:
    if isinstance(target, tuple):
        return socket.create_connection(target, 10)
    server = socket.socket(socket.AF_UNIX)
    server.connect(target)
    return server


def _reset(side: socket.socket) -> None:
    with suppress(OSError):
        if side.family == socket.AF_INET:
            side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        side.shutdown(socket.SHUT_RDWR)
    side.close()
