"""A running Stepwire for the tests: real servers, real processes, real HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import SystemRandom
from typing import Any
from uuid import UUID

import httpx

from stepwire.auth.tokens import mint

OWNER, STRANGER = UUID(int=1), UUID(int=2)
PATIENCE_SECONDS = 120.0  # far more than it takes, save where the machine is busy
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_PORTS = iter(SystemRandom().sample(range(20_000 + _WORKER % 16, 32_000, 16), 700))


def free_port() -> int:
    """A port for a server, which may be killed and started again on it: neither the kernel nor anybody here gives it to
    another meanwhile.
    """
    for port in _PORTS:
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is left")


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE_SECONDS) -> Any:
    """Poll a condition until it holds, and give what it says; the tests' only way to wait for something unannounced."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {patience} s")
        time.sleep(0.02)
    return found


class Process:
    """One ``stepwire`` command, with its output in a file."""

    def __init__(self, command: str, environment: Mapping[str, str], log: Path, *, prefix: Sequence[str] = ()) -> None:
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                [*prefix, sys.executable, "-m", "stepwire", command],
                env={**os.environ, **environment},
                stdout=output,
                stderr=output,
                cwd=log.parent,
            )

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(30)

    def stop(self) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(60)


class Api:
    """A client of an API, with the calls that every test makes."""

    def __init__(self, url: str, secret: str) -> None:
        self.url = url
        self.secret = secret
        self.http = self.client()

    def token(self, owner: UUID = OWNER) -> str:
        return mint(self.secret, owner, lifetime_seconds=3600, now=time.time())

    def client(self, owner: UUID = OWNER) -> httpx.Client:
        """A new one for each that is asked for; no TLS, or each would load every certificate authority first."""
        headers = {"Authorization": f"Bearer {self.token(owner)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False, verify=False)

    def is_ready(self) -> bool:
        try:
            return self.http.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def create(self, definition: dict[str, Any], **values: Any) -> dict[str, Any]:
        response = self.http.post("/api/v1/workflows", json={"name": "Test", "definition": definition, **values})
        assert response.status_code == 201, response.text
        return dict(response.json())

    def publish(self, definition: dict[str, Any], **values: Any) -> str:
        workflow_id = str(self.create(definition, **values)["id"])
        response = self.http.post(f"/api/v1/workflows/{workflow_id}/publish")
        assert response.status_code == 200, response.text
        return workflow_id

    def start(self, workflow_id: str, value: Any = None, **headers: str) -> dict[str, Any]:
        response = self.http.post(f"/api/v1/workflows/{workflow_id}/run", json={"input": value or {}}, headers=headers)
        assert response.status_code in (200, 201), response.text
        return dict(response.json())

    def run(self, run_id: str) -> dict[str, Any]:
        return dict(self.http.get(f"/api/v1/runs/{run_id}").json())

    def finished(self, run_id: str) -> dict[str, Any]:
        """The run, once it is over."""

        def look() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["status"] in ("completed", "failed", "cancelled") else None

        return dict(until(look, f"the end of run {run_id}"))

    def execute(self, definition: dict[str, Any], value: Any = None) -> dict[str, Any]:
        """Create, publish and run a definition; the finished run."""
        return self.finished(self.start(self.publish(definition), value)["id"])

    def events(self, run_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            part = self.http.get(f"/api/v1/runs/{run_id}/events", params={"after": after}).json()
            found.extend(part["items"])
            after = part["next_after"]
        return found


@contextmanager
def another_api(environment: Mapping[str, str], log: Path) -> Iterator[Api]:
    """An API process of its own, for as long as the context lasts."""
    environment = {**environment, "STEPWIRE_PORT": str(free_port())}
    process = Process("api", environment, log)
    api = Api(f"http://127.0.0.1:{environment['STEPWIRE_PORT']}", environment["SUPABASE_JWT_SECRET"])
    try:
        until(api.is_ready, "the API being ready")
        yield api
    finally:
        api.http.close()
        code = process.stop()
    assert code == 0, "the API ends cleanly"
