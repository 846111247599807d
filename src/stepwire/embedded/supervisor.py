"""``stepwire serve``: the embedded servers, the API and one worker, kept going until somebody says stop."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from stepwire.embedded.home import locked_home, studio_link, url_file
from stepwire.embedded.process import ServiceFailed
from stepwire.embedded.services import EmbeddedServices, Server
from stepwire.errors import Misconfigured
from stepwire.settings import Settings

log = logging.getLogger(__name__)
EX_CONFIG = 78  # a child that says so has said what is wrong, and would say it again
STOP_SECONDS = 15.0
LOOK_SECONDS = 0.25
STABLE_SECONDS = 10.0
BACKOFF_SECONDS = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)


class _Revival:
    """When what has died is started again: soon, and later and later while it keeps dying young."""

    def __init__(self) -> None:
        self._failures = 0
        self._due_at: float | None = None
        self.started()

    def started(self) -> None:
        self._started_at = time.monotonic()
        self._due_at = None

    def is_due(self, what_happened: str) -> bool:
        """To be asked at every look at the dead; the first time in each death decides."""
        if self._due_at is None:
            is_stable = time.monotonic() - self._started_at > STABLE_SECONDS
            self._failures = 0 if is_stable else self._failures + 1
            wait = BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS) - 1)]
            log.error("%s; it is started again in %g s", what_happened, wait)
            self._due_at = time.monotonic() + wait
        return time.monotonic() >= self._due_at


class _Child:
    """The API or a worker: ``python -m stepwire <command>``, started again when it dies."""

    def __init__(self, command: str, environment: Mapping[str, str]) -> None:
        self.command = command
        self._pipe, self._word = os.pipe()  # the writing end closes when this process ends
        self._environment = {**environment, "STEPWIRE_PARENT_FD": str(self._pipe)}
        self._revival = _Revival()
        self._may_begin = False
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._revival.started()
        if self._may_begin:
            os.write(self._word, b".")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stepwire", self.command], env=self._environment, stdin=subprocess.DEVNULL,
            pass_fds=(self._pipe,), start_new_session=True,
        )  # fmt: skip

    def look(self) -> int | None:
        """Start it again when it has died and its time has come; the exit code when that would be no use."""
        code = None if self.process is None else self.process.poll()
        if code is None or code == EX_CONFIG:
            return code
        if self._revival.is_due(f"The {self.command} process ended with {code}"):
            self.start()
        return None

    def let_begin(self) -> None:
        """What it stands on is there: it has loaded what it needs meanwhile."""
        self._may_begin = True
        os.write(self._word, b".")

    def close(self) -> None:
        os.close(self._pipe)
        os.close(self._word)

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


class _KeptServer:
    """An embedded server, started again when it dies."""

    def __init__(self, server: Server, stopping: threading.Event) -> None:
        self._server = server
        self._stopping = stopping
        self._revival = _Revival()

    def look(self) -> None:
        if self._server.is_running or not self._revival.is_due(f"{type(self._server).__name__} has died"):
            return
        self._revival.started()
        try:
            self._server.start()
            self._server.wait(self._stopping)
        except ServiceFailed as error:
            log.error("%s", error.detail)


class Supervisor:
    """Runs everything in one home."""

    def __init__(self, home: Path, settings: Settings, environment: Mapping[str, str]) -> None:
        self._home = home
        self._settings = settings
        self._environment = environment
        self._stopping = threading.Event()
        self._in_a_hurry = False

    def run(self) -> int:
        """Run until SIGINT or SIGTERM; a second one hurries. Returns the exit code.

        Raises:
            HomeInUse, ServiceFailed, Misconfigured.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        with locked_home(self._home):
            services = EmbeddedServices(self._home, self._settings)
            told = services.environment()
            children = [_Child(command, {**self._environment, **told}) for command in ("api", "worker")]
            try:
                for child in children:
                    child.start()
                services.start(self._stopping)
                if self._stopping.is_set():
                    return 0
                _migrate({**self._environment, **told})
                return self._run_children(children, services)
            finally:
                self._end(children)
                services.stop()

    def _run_children(self, children: list[_Child], services: EmbeddedServices) -> int:
        address = url_file(self._home)
        address.write_text(_url(self._settings))
        try:
            return self._watch(children, services)
        finally:
            address.unlink(missing_ok=True)

    def _watch(self, children: list[_Child], services: EmbeddedServices) -> int:
        servers = [_KeptServer(server, self._stopping) for server in services.servers]
        for child in children:
            child.let_begin()
        is_announced = False
        while not self._stopping.wait(LOOK_SECONDS):
            if not is_announced and self._is_listening():
                is_announced = True
                self._announce()
            for server in servers:
                server.look()
            for child in children:
                if (code := child.look()) is not None:
                    return code
        return 0

    def _is_listening(self) -> bool:
        try:
            socket.create_connection(
                (_reachable(self._settings.host), self._settings.port), timeout=LOOK_SECONDS
            ).close()
        except OSError:
            return False
        return True

    def _announce(self) -> None:
        """Say where to look; with a link that signs in, where we are the ones to say who may."""
        is_linked = self._settings.makes_jwt_secret
        print(f"\n  Studio: {studio_link(self._home) if is_linked else _url(self._settings) + '/studio/'}")
        print(f"  API:    {_url(self._settings)}/docs\n", flush=True)

    def _end(self, children: list[_Child]) -> None:
        for child in children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in children:
            while child.process is not None and child.process.poll() is None:
                if self._in_a_hurry or time.monotonic() > deadline:
                    child.signal(signal.SIGKILL)
                time.sleep(0.02)
            child.close()

    def _stop(self, *_: object) -> None:
        self._in_a_hurry = self._stopping.is_set()
        self._stopping.set()


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - not listened on


def _migrate(environment: Mapping[str, str]) -> None:
    """In a process of its own: what it loads ends with it.

    Raises:
        Misconfigured: the database cannot be reached, or not be brought to the newest revision.
    """
    command = [sys.executable, "-m", "stepwire", "migrate"]
    if (code := subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False).returncode) != 0:
        raise Misconfigured(f"The migrations ended with {code}.")


def _url(settings: Settings) -> str:
    host = _reachable(settings.host)
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{settings.port}"
