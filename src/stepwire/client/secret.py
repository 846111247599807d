"""``stepwire secret set | list | delete | rotate``: secrets by hand, where the database and the key are at hand."""

import asyncio
import getpass
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from stepwire.auth.encryption import load_keyring
from stepwire.db.migrate import migrate
from stepwire.db.pool import open_pool
from stepwire.embedded.home import encryption_key, is_in_use
from stepwire.embedded.postgres import EmbeddedPostgres
from stepwire.embedded.services import embedded_services
from stepwire.services.secrets import SecretService
from stepwire.settings import Settings


def manage(settings: Settings, options: Namespace) -> int:
    """Do what the options say; only ``list`` prints, and names alone.

    Raises:
        Misconfigured, ServiceFailed, and what `SecretService` raises.
    """
    value = _value(options.name) if options.action == "set" else ""
    with _database(settings) as (url, key):
        asyncio.run(_manage(url, key, options, value))
    return 0


async def _manage(url: str, key: str | None, options: Namespace, value: str) -> None:
    keyring = load_keyring(key)
    async with open_pool(url, size=1) as pool:
        secrets = SecretService(pool, keyring)
        match options.action:
            case "set":
                await secrets.set(options.owner, options.name, value)
            case "delete":
                await secrets.delete(options.owner, options.name)
            case "list":
                for secret in await secrets.all(options.owner):
                    print(secret.name)
            case "rotate":
                print(f"Encrypted anew: {await secrets.rotate()}", file=sys.stderr)


def _value(name: str) -> str:
    """Never an argument: those are seen by everybody on the machine."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{name}: ")
    return sys.stdin.read().removesuffix("\n").removesuffix("\r")


@contextmanager
def _database(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """The database's URL and its encryption key; the embedded one is started for the occasion where it does not run."""
    home = settings.home.absolute()
    if settings.database_url is not None:
        yield settings.database_url, settings.encryption_key
    elif is_in_use(home):
        yield EmbeddedPostgres(home).url, settings.encryption_key or encryption_key(home)
    else:
        with embedded_services(home, settings) as environment:
            migrate(environment["DATABASE_URL"])
            yield environment["DATABASE_URL"], settings.encryption_key or encryption_key(home)
