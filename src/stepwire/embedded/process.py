"""One server process: started, watched, stopped; and what an earlier life left running."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from stepwire.errors import StepwireError

log = logging.getLogger(__name__)
POLL_SECONDS = 0.02
MAX_LOG_BYTES = 10 << 20
_PROC = Path("/proc")


class ServiceFailed(StepwireError):
    """An embedded server does not start."""

    kind, title = "service-failed", "An embedded server does not start"


class ServerProcess:
    """A server with its own log file, in a session of its own so that the terminal's Ctrl-C does not reach it."""

    def __init__(
        self, name: str, command: Sequence[str], log_file: Path, prepare: Callable[[], None], stop: signal.Signals
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._command = list(command)
        self._prepare = prepare
        self._stop = stop
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.log_file.exists() and self.log_file.stat().st_size > MAX_LOG_BYTES:
            self.log_file.write_bytes(b"")
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                preexec_fn=self._prepare,
            )  # fmt: skip

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, timeout: float = 20.0) -> None:
        """Ask it to end, and make it when it does not."""
        if self._process is None:
            return
        if self.is_running:
            self._process.send_signal(self._stop)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            log.warning("%s does not stop and is killed", self.name)
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log_file.read_text(errors="replace").splitlines() if self.log_file.exists() else []
        return "\n".join(lines[-8:])


def end_leftovers(folder: Path, first: signal.Signals, timeout: float = 15.0) -> None:
    """End every process that works in a data folder: servers whose supervisor was killed.

    A process is known by its working folder, which no pid file can tell: pids are reused, files are stale.
    """
    found = list(working_in(folder))
    if not found:
        return
    log.warning("Ending %s, left in %s by an earlier life", ", ".join(map(str, found)), folder)
    for pid in found:
        _signal(pid, first)
    deadline = time.monotonic() + timeout
    while (found := list(working_in(folder))) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for pid in found:
        _signal(pid, signal.SIGKILL)
    while list(working_in(folder)):
        time.sleep(POLL_SECONDS)


def working_in(folder: Path) -> Iterator[int]:
    """The processes whose working folder this is; where that cannot be seen, those that name it in their command."""
    if not _PROC.exists():
        yield from _naming(folder)
        return
    folder = folder.resolve()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if (entry / "cwd").readlink() == folder:
                yield int(entry.name)
        except PermissionError:
            if _names(entry, folder):
                yield int(entry.name)
        except OSError:
            continue  # it has ended meanwhile


def _names(entry: Path, folder: Path) -> bool:
    try:
        return str(folder).encode() in (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _naming(folder: Path) -> Iterator[int]:
    listing = subprocess.run(["/bin/ps", "-axo", "pid=,command="], capture_output=True, text=True, check=True).stdout
    for line in listing.splitlines():
        pid, _, command = line.strip().partition(" ")
        if str(folder) in command and int(pid) != os.getpid() and ("postgres" in command or "valkey" in command):
            yield int(pid)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
