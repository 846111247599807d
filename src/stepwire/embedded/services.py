"""The embedded servers, as far as no URL names others in their place."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stepwire.embedded.home import encryption_key, jwt_secret, locked_home
from stepwire.embedded.postgres import EmbeddedPostgres
from stepwire.embedded.valkey import EmbeddedValkey
from stepwire.settings import Settings

Server = EmbeddedPostgres | EmbeddedValkey


class EmbeddedServices:
    """PostgreSQL and Valkey below a home, which the caller holds locked."""

    def __init__(self, home: Path, settings: Settings) -> None:
        self.postgres = EmbeddedPostgres(home) if settings.database_url is None else None
        self.valkey = EmbeddedValkey(home) if settings.redis_url is None else None
        self._home = home
        self._settings = settings

    @property
    def servers(self) -> list[Server]:
        return [server for server in (self.postgres, self.valkey) if server is not None]

    def start(self, stopping: threading.Event) -> None:
        """Start them side by side and wait for both, or until ``stopping``.

        Raises:
            ServiceFailed: one does not start.
        """
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.wait(stopping)

    def stop(self) -> None:
        for server in reversed(self.servers):
            server.stop()

    def environment(self) -> dict[str, str]:
        """What the API and the workers need to be told beside the settings that are there."""
        settings, told = self._settings, dict[str, str]()
        if self.postgres is not None:
            told["DATABASE_URL"] = self.postgres.url
        if self.valkey is not None:
            told["REDIS_URL"] = self.valkey.url
        if settings.makes_jwt_secret:
            told["SUPABASE_JWT_SECRET"] = jwt_secret(self._home)
            told["STEPWIRE_EMBEDDED"] = "true"
        if settings.encryption_key is None:
            told["STEPWIRE_ENCRYPTION_KEY"] = encryption_key(self._home)
        return told


@contextmanager
def embedded_services(home: Path, settings: Settings) -> Iterator[dict[str, str]]:
    """Have the servers for as long as the context lasts; gives the environment that leads to them.

    Raises:
        HomeInUse, ServiceFailed.
    """
    with locked_home(home):
        services = EmbeddedServices(home, settings)
        try:
            services.start(threading.Event())
            yield services.environment()
        finally:
            services.stop()
