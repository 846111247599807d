"""A server for the occasion: the one that runs in the home already, or one that is started and stopped again."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from stepwire.client.errors import CouldNotStart
from stepwire.embedded.home import is_in_use, url_file

START_SECONDS = 90.0  # the first start makes a database
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
HOME_IN_USE = 2  # how `stepwire serve` ends when another one was faster
_ENV = "/usr/bin/env"  # adds to the environment that children inherit, so that nothing here has to read it


class LocalServer:
    """Where the server is, and whether it ends with us."""

    def __init__(self, url: str, *, is_ours: bool) -> None:
        self.url = url
        self.is_ours = is_ours


@contextmanager
def local_server(
    home: Path, say: Callable[[str], None], changes: Mapping[str, str | None] | None = None
) -> Iterator[LocalServer]:
    """The home's server, for as long as the context lasts; ``changes`` to its environment, None takes one out.

    Raises:
        CouldNotStart: it does not start.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if is_in_use(home):
            if (url := _running(home)) is not None:
                yield LocalServer(url, is_ours=False)
                return
            time.sleep(POLL_SECONDS)  # it starts or ends just now
            continue
        say(f"Starting PostgreSQL, Valkey, the API and a worker in {home} …")
        url = f"http://127.0.0.1:{_free_port()}"
        reading, writing = os.pipe()  # closes when this process ends, however it ends
        process = _start(home, {**(changes or {}), "STEPWIRE_PARENT_FD": str(reading)}, url, reading)
        try:
            if _wait_until_ready(process, url, home, deadline):
                yield LocalServer(url, is_ours=True)
                return
        finally:
            _stop(process)
            os.close(reading)
            os.close(writing)
    raise CouldNotStart(f"The server in {home} does not get ready; {home / 'serve.log'} may say why.")


def _start(home: Path, changes: Mapping[str, str | None], url: str, pipe: int) -> "subprocess.Popen[bytes]":
    """In a session of its own: Ctrl-C is for us, who then stop the server."""
    port = url.rpartition(":")[2]
    told = {**changes, "STEPWIRE_HOME": str(home), "STEPWIRE_HOST": "127.0.0.1", "STEPWIRE_PORT": port}
    log = _log(home)
    try:
        return subprocess.Popen(
            [*environment(told), sys.executable, "-m", "stepwire", "serve"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, pass_fds=(pipe,), start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(log)


def environment(changes: Mapping[str, str | None]) -> list[str]:
    """The beginning of a command that runs in a changed environment. Source: POSIX env(1), and its -u of everywhere."""
    removed = [part for name, value in changes.items() if value is None for part in ("-u", name)]
    return [_ENV, *removed, *(f"{name}={value}" for name, value in changes.items() if value is not None)]


def _log(home: Path) -> int:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(home / "serve.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, home: Path, deadline: float) -> bool:
    """True when it is; False when another server was faster. The lock is not asked for meanwhile: it is the child's."""
    while time.monotonic() < deadline:
        code = process.poll()
        if code == HOME_IN_USE and is_in_use(home):
            return False
        if code is not None:
            lines = (home / "serve.log").read_text(errors="replace").strip().splitlines()[-8:]
            raise CouldNotStart("\n  ".join([f"The server ended with {code} while it started:", *lines]))
        if _is_ready(url):
            return True
        time.sleep(POLL_SECONDS)
    return False


def _running(home: Path) -> str | None:
    """The address of the server that holds the home, once it answers."""
    try:
        url = url_file(home).read_text().strip()
    except FileNotFoundError:
        return None
    return url if url and _is_ready(url) else None


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
