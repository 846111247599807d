"""``stepwire serve | api | worker | migrate | studio | openapi | token | secret | run``."""

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from stepwire import __version__
from stepwire.errors import Misconfigured, StepwireError
from stepwire.settings import EMBEDDED_OWNER, Settings, load_settings

# Commands import what they need when they run: `token` need not wait for what `api` loads.
# ruff: noqa: PLC0415

EX_CONFIG = 78  # sysexits.h: whoever supervises should not try again
DAY_SECONDS = 86_400
_SECRET_ACTIONS = {
    "set": "Store a value, read from standard input, in place of any that there is.",
    "list": "Print the names.",
    "delete": "Delete one.",
    "rotate": "Encrypt everybody's with the first key of STEPWIRE_ENCRYPTION_KEY, so that the others may go.",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; ends the process with its exit code."""
    options = _parser().parse_args(arguments)
    try:
        sys.exit(options.command(load_settings(), options))
    except Misconfigured as error:
        print(f"stepwire: {error.detail}", file=sys.stderr)
        sys.exit(EX_CONFIG)
    except StepwireError as error:
        print(f"stepwire: {error.detail}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def serve(settings: Settings, _: argparse.Namespace) -> int:
    """Start everything: the embedded servers that no URL replaces, the API and one worker."""
    from stepwire.embedded.parent import exit_with_parent
    from stepwire.embedded.supervisor import Supervisor
    from stepwire.log import configure_logging

    configure_logging(settings)
    exit_with_parent(settings.parent_fd)
    return Supervisor(settings.home.absolute(), settings, os.environ).run()


def api(settings: Settings, _: argparse.Namespace) -> int:
    """Serve the API."""
    from stepwire.embedded.parent import exit_with_parent

    may_begin = exit_with_parent(settings.parent_fd)
    with _loading():
        from stepwire.points import arm
        from stepwire.server import run_api

    arm(settings.die_at)
    run_api(settings, may_begin.wait)
    return 0


def worker(settings: Settings, _: argparse.Namespace) -> int:
    """Drive runs."""
    from stepwire.embedded.parent import exit_with_parent

    may_begin = exit_with_parent(settings.parent_fd)
    with _loading():
        import uvloop

        from stepwire.log import configure_logging
        from stepwire.points import arm
        from stepwire.worker import run_worker

    configure_logging(settings)
    arm(settings.die_at)
    may_begin.wait()
    uvloop.run(run_worker(settings))
    return 0


def migrate(settings: Settings, _: argparse.Namespace) -> int:
    """Bring the database to the newest revision."""
    from stepwire.db.migrate import migrate as apply_migrations

    if settings.database_url is None:
        raise Misconfigured("DATABASE_URL is not set; `stepwire serve` migrates its own database when it starts.")
    apply_migrations(settings.database_url)
    return 0


def studio(settings: Settings, _: argparse.Namespace) -> int:
    """Print a link that signs in to the studio, once and within ten minutes; the embedded mode's `serve` has to run."""
    from stepwire.embedded.home import studio_link

    if not settings.makes_jwt_secret:
        raise Misconfigured("SUPABASE_URL or SUPABASE_JWT_SECRET is set: the studio signs in there, and takes no link.")
    print(studio_link(settings.home.absolute()))
    return 0


def openapi(_: Settings, __: argparse.Namespace) -> int:
    """Print the OpenAPI document, for clients to be made from."""
    from stepwire.app import document

    print(document())
    return 0


def token(settings: Settings, options: argparse.Namespace) -> int:
    """Print an access token, signed with SUPABASE_JWT_SECRET or, without one, with the embedded secret."""
    from stepwire.auth.tokens import mint
    from stepwire.embedded.home import jwt_secret

    secret = settings.supabase_jwt_secret or jwt_secret(settings.home.absolute())
    seconds = round(options.days * DAY_SECONDS)
    print(mint(secret, options.owner, lifetime_seconds=seconds, now=time.time(), supabase_url=settings.supabase_url))
    return 0


def secret(settings: Settings, options: argparse.Namespace) -> int:
    """Set, list or delete an owner's secrets, or encrypt all secrets with the first of the keys."""
    from stepwire.client.secret import manage

    return manage(settings, options)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Create, publish and run a definition, and show it live."""
    from stepwire.client.run import run_file

    return run_file(settings, options)


@contextmanager
def _loading() -> Iterator[None]:
    """Keep the garbage collector away from what is loaded, now and later: all of it stays, and looking through it again
    and again takes a sixth of the time that loading does.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stepwire", description="Draw, publish, run and watch workflows.")
    parser.add_argument("--version", action="version", version=f"stepwire {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (serve, api, worker, migrate, studio, openapi):
        _command(commands, command)
    minting = _command(commands, token)
    minting.add_argument("--owner", type=UUID, default=EMBEDDED_OWNER, help="the token's sub (default: %(default)s)")
    minting.add_argument("--days", type=float, default=1.0, help="how long it is good (default: %(default)s)")
    hiding = _command(commands, secret).add_subparsers(required=True, metavar="ACTION", dest="action")
    for action, text in _SECRET_ACTIONS.items():
        doing = hiding.add_parser(action, help=text, description=text)
        if action in ("set", "delete"):
            doing.add_argument("name", help="as in {{ secrets.NAME }}")
        if action != "rotate":
            doing.add_argument("--owner", type=UUID, default=EMBEDDED_OWNER, help="whose (default: %(default)s)")
    running = _command(commands, run)
    running.add_argument(
        "file", type=Path, help="a definition as React Flow's toObject() gives it; - for standard input"
    )
    running.add_argument("--input", default=None, help="JSON, @FILE, or - for standard input (default: {})")
    running.add_argument("--url", default=None, help="a server (default: the embedded one, started for the occasion)")
    running.add_argument("--token", default=None, help="an access token (default: STEPWIRE_TOKEN, else one is minted)")
    running.add_argument("--name", default=None, help="the workflow's name (default: the file's)")
    running.add_argument("--idempotency-key", default=None, help="the same key and input start one run")
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    command: Callable[[Settings, argparse.Namespace], int],
) -> argparse.ArgumentParser:
    name, text = command.__name__, command.__doc__
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=command)
    return parser
