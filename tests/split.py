"""Stepwire as separate processes, each of which has its own way to PostgreSQL and Valkey, to be cut or stopped."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from proxy import Proxy
from stack import Api, Process, free_port, until

LEASE_SECONDS = 1
DATABASE_SECONDS = 2  # making a connection takes five round trips, of 0.3 s each where a test wants them slow


class Split:
    """An API and workers in ``folder``, on embedded servers that the caller keeps. A process's ways are proxies."""

    def __init__(self, folder: Path, services: dict[str, str]) -> None:
        self.folder = folder
        self.database = services["DATABASE_URL"]
        self._services = services
        self._processes: dict[str, Process] = {}
        self.to_postgres: dict[str, Proxy] = {}
        self.to_valkey: dict[str, Proxy] = {}
        self._port = free_port()
        self.api = Api(f"http://127.0.0.1:{self._port}", services["SUPABASE_JWT_SECRET"])
        self.start("api")
        until(self.api.is_ready, "the API being ready")

    def start(self, name: str) -> None:
        """Start the API, or a worker with this name."""
        postgres, valkey = self._sockets()
        self.to_postgres[name], self.to_valkey[name] = Proxy(postgres), Proxy(valkey)
        url = urlsplit(self.database)
        environment = self._services | {
            "DATABASE_URL": f"postgresql://{url.username}:{url.password}@127.0.0.1:{self.to_postgres[name].port}{url.path}",
            "REDIS_URL": f"redis://127.0.0.1:{self.to_valkey[name].port}",
            "STEPWIRE_PORT": str(self._port),
            "STEPWIRE_LEASE_SECONDS": str(LEASE_SECONDS),
            "STEPWIRE_DATABASE_TIMEOUT_SECONDS": str(DATABASE_SECONDS),
            "STEPWIRE_HTTP_ALLOW": "127.0.0.1",
        }
        log = self.folder / f"{name}.log"
        self._processes[name] = Process("api" if name == "api" else "worker", environment, log)

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self._processes[name].popen.pid, number)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Have a process stand still for as long as the context lasts."""
        self.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(name, signal.SIGCONT)

    def end(self, name: str) -> int:
        """Stop a process for good; gives its exit code."""
        code = self._processes.pop(name).stop()
        for proxies in (self.to_postgres, self.to_valkey):
            proxies.pop(name).close()
        return code

    def heal(self) -> None:
        for proxy in (*self.to_postgres.values(), *self.to_valkey.values()):
            proxy.heal()

    def close(self) -> None:
        self.heal()
        self.api.http.close()
        codes = {name: self.end(name) for name in list(self._processes)}
        assert set(codes.values()) == {0}, codes

    def _sockets(self) -> tuple[str, str]:
        folder = parse_qs(urlsplit(self.database).query)["host"][0]
        return f"{folder}/.s.PGSQL.5432", unquote(self._services["REDIS_URL"].removeprefix("unix://"))
