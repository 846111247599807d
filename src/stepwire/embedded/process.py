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
POLITE_SECONDS, KILL_SECONDS = 15.0, 10.0
MAX_LOG_BYTES = 10 << 20
_PROC = Path("/proc")
_PROGRAMS = ("postgres", "valkey-server")


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
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. It ends with the thread that calls this, on Linux: call it from one that stays.

        Raises:
            ServiceFailed: not even its process can be made.
        """
        with self.log_file.open("ab") as output:
            if output.tell() > MAX_LOG_BYTES:
                output.truncate(0)
            self._log_start = os.fstat(output.fileno()).st_size
            try:
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                    preexec_fn=self._prepare,
                )  # fmt: skip
            except (OSError, subprocess.SubprocessError) as error:
                raise ServiceFailed(f"{self.name} cannot be started: {error}") from error

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
        """The end of what it has logged since it was started."""
        with self.log_file.open("rb") as file:
            file.seek(self._log_start)
            lines = file.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-8:])


def end_leftovers(folder: Path, first: signal.Signals) -> None:
    """End every server that works in a data folder: those whose supervisor was killed.

    A server is known by its program and its working folder, which no pid file can tell: pids are reused, files are
    stale. ``first`` goes to its main process alone. PostgreSQL's helpers read signals in their own ways: SIGINT makes
    the checkpointer declare the database shut down, however much its neighbours still commit.

    Raises:
        ServiceFailed: one of them does not even end when it is killed.
    """
    for number, patience in ((first, POLITE_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        if not (found := list(working_in(folder))):
            return
        log.warning("Ending %s, left in %s by an earlier life", ", ".join(map(str, found)), folder)
        for pid in found:
            if number is signal.SIGKILL or _names(pid, os.path.realpath(folder)):
                _signal(pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not any(working_in(folder)):
                return
            time.sleep(POLL_SECONDS)
    raise ServiceFailed(f"The processes {list(working_in(folder))}, which work in {folder}, do not end.")


def working_in(folder: Path) -> Iterator[int]:
    """The servers whose working folder this is, and their helpers.

    Where a working folder may not be seen, as of other users' processes in a container, those that name it in their
    command. That misses the helpers of a PostgreSQL whose main process is gone; they end by themselves.
    """
    place = os.path.realpath(folder)  # as the kernel tells it
    if not _PROC.exists():
        yield from _naming(folder)
        return
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and _program(entry) in _PROGRAMS:
            pid = int(entry.name)
            if _working_folder(entry) == place or _names(pid, place):
                yield pid


def _program(entry: Path) -> str:
    try:
        return (entry / "comm").read_text().strip()
    except OSError:
        return ""  # it has ended meanwhile


def _working_folder(entry: Path) -> str:
    try:
        return str((entry / "cwd").readlink())
    except OSError:
        return ""  # it has ended, or is not ours to see


def _names(pid: int, place: str) -> bool:
    """Whether a process was started with this folder as an argument: only main processes keep their arguments."""
    if not _PROC.exists():
        return True  # `_naming` found it
    try:
        arguments = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(os.path.realpath(each) == os.fsencode(place) for each in arguments if each.startswith(b"/"))


def _naming(folder: Path) -> Iterator[int]:
    """The main processes of servers, found as macOS allows."""
    command = ["/bin/ps", "-axo", "pid=,ucomm=,command="]
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        pid, program, arguments = line.split(None, 2)
        if program in _PROGRAMS and f" {folder} " in f"{arguments} ":
            yield int(pid)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
