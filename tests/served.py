"""``stepwire serve`` in a folder of its own, to be killed in part or as a whole."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from stack import Api, Process, free_port, until
from stepwire.embedded.process import working_in

ENVIRONMENT = {
    "STEPWIRE_LEASE_SECONDS": "1",
    "STEPWIRE_HTTP_ALLOW": "127.0.0.1",
    "STEPWIRE_LOG_FORMAT": "console",
    "DATABASE_URL": "",
    "REDIS_URL": "",
    "SUPABASE_JWT_SECRET": "",
}


class Served:
    """``stepwire serve`` in a folder of its own."""

    def __init__(self, folder: Path, *, prefix: Sequence[str] = (), **environment: str) -> None:
        self.home = folder / "home"
        self.log = folder / "serve.log"
        own = {"STEPWIRE_HOME": str(self.home), "STEPWIRE_PORT": str(free_port())}
        self.environment = ENVIRONMENT | own | environment
        self.prefix = prefix
        self.api: Api | None = None
        self.start()

    def start(self) -> None:
        self.process = Process("serve", self.environment, self.log, prefix=self.prefix)
        if self.prefix:  # its home may be on a file system that only it sees
            self.home = Path(f"/proc/{self.process.popen.pid}/root{self.environment['STEPWIRE_HOME']}")
        until(self._has_answered, f"the API being ready; see {self.log}")

    def _has_answered(self) -> bool:
        assert self.process.popen.poll() is None, self.log.read_text()
        if self.api is None and (self.home / "jwt.secret").exists():
            secret = (self.home / "jwt.secret").read_text()
            self.api = Api(f"http://127.0.0.1:{self.environment['STEPWIRE_PORT']}", secret)
        return self.api is not None and self.api.is_ready()

    def child(self, command: str) -> int:
        """The process of ``stepwire api`` or ``stepwire worker``."""

        def look() -> int | None:
            for pid in children(self.process.popen.pid):
                if command.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    return pid
            return None

        return int(until(look, f"the {command} process"))

    def postmaster(self) -> int:
        return int((self.home / "postgres" / "postmaster.pid").read_text().splitlines()[0])

    def valkey(self) -> int:
        return next(working_in(self.home / "valkey"))

    def all(self) -> list[int]:
        servers = [*working_in(self.home / "postgres"), *working_in(self.home / "valkey")]
        return [self.process.popen.pid, *children(self.process.popen.pid), *servers]


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill(*pids: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it ended with another one
