"""A TCP proxy that a test cuts, slows down or stops: what happens on the way between two that are both well."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

CHUNK = 1 << 16
Pair = tuple[socket.socket, socket.socket]  # to the client, to the server


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
    _pairs: set[Pair] = field(default_factory=set)
    _stranded: set[Pair] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut(self) -> int:
        """Break all connections, both ways; gives how many."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            _break(pair)
        return len(pairs)

    def refuse(self) -> None:
        """Break all connections and take no new ones."""
        self.refusing = True
        self.cut()

    def strand(self) -> None:
        """Pass nothing on any more in the connections that there are; new ones are well."""
        with self._lock:
            self._stranded |= self._pairs

    def heal(self) -> None:
        """Pass everything on again. Connections from which something was swallowed break: TCP could not go on either."""
        had_holes, self.swallowing = self.swallowing or bool(self._stranded), False
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
                client.close()
                continue
            try:
                server = _connected(self.target)
            except OSError:  # it is being started again, say
                client.close()
                continue
            threading.Thread(target=self._serve, args=((client, server),), daemon=True).start()

    def _serve(self, pair: Pair) -> None:
        client, server = pair
        with self._lock:
            self._pairs.add(pair)
        answering = threading.Thread(target=self._pass_on, args=(pair, server, client, False), daemon=True)
        answering.start()
        self._pass_on(pair, client, server, True)
        answering.join()
        with self._lock:
            self._pairs.discard(pair)
            self._stranded.discard(pair)
        for side in pair:
            side.close()

    def _pass_on(self, pair: Pair, give: socket.socket, take: socket.socket, is_question: bool) -> None:
        with suppress(OSError):
            while piece := give.recv(CHUNK):
                if self.seconds and not is_question:
                    time.sleep(self.seconds)
                if self.swallowing or pair in self._stranded:
                    continue
                if is_question and (lose := self.lose_answer_to) is not None and lose(piece):
                    self._lose_answer(pair, piece)
                    return
                take.sendall(piece)
        if not self.swallowing and pair not in self._stranded:
            _break(pair)

    def _lose_answer(self, pair: Pair, piece: bytes) -> None:
        """Have the server do what is asked, and the client not know."""
        client, server = pair
        client.shutdown(socket.SHUT_RDWR)
        server.sendall(piece)
        server.shutdown(socket.SHUT_WR)  # it does what it has got, then sees the end
        self.lost += 1


def _connected(target: tuple[str, int] | str) -> socket.socket:
    if isinstance(target, tuple):
        return socket.create_connection(target, 10)
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(target)
    except OSError:
        server.close()
        raise
    return server


def _break(pair: Pair) -> None:
    """Both threads see the end, and whoever ends last closes."""
    for side in pair:
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)
