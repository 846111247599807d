"""``stepwire run FILE``: create, publish and run a definition, and show it as it happens.

Standard output gets the run's output and nothing else; everything for people goes to standard error.
"""

import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any
from uuid import UUID

import httpx
import msgspec

from stepwire.auth.tokens import mint
from stepwire.client.api import Run, Server, checked_url, connected, is_loopback
from stepwire.client.display import Display, display_for
from stepwire.client.errors import ConnectionLost, CouldNotStart
from stepwire.client.local import local_server
from stepwire.client.progress import clean
from stepwire.client.reading import read_job
from stepwire.client.stream import RunStream
from stepwire.embedded.home import jwt_secret
from stepwire.settings import EMBEDDED_OWNER, Settings

COMPLETED, NOT_COMPLETED, NOT_STARTED, OUT_OF_SIGHT, INTERRUPTED = 0, 1, 2, 3, 130
TOKEN_SECONDS = 3600
FINAL_TRIES = 5
MAX_DETAILS = 2000


def run_file(settings: Settings, options: Namespace) -> int:
    """Run what the options name.

    Returns:
        0 when the run completed, 1 when it failed or was cancelled, 2 when none was started, 3 when its end could
        not be seen, 130 on Ctrl-C; in the last two cases the run goes on.
    """
    try:
        job = read_job(options)
        with _stopped_by_sigterm(), ExitStack() as stack:
            server, is_ours = _server(settings, options, stack)
            started = server.start(job.workflow, job.input, options.idempotency_key)
            again = " (started before, with the same idempotency key)" if started.is_replayed else ""
            _say(f"Run {started.run.id}{again} on {server.url}")
            return _follow(server, started.run.id, is_ours=is_ours)
    except CouldNotStart as error:
        _say(f"stepwire: {error}")
        return NOT_STARTED
    except ConnectionLost as error:
        _say(f"stepwire: {error}")
        return OUT_OF_SIGHT


def _follow(server: Server, run_id: UUID, *, is_ours: bool) -> int:
    display = display_for(sys.stderr)
    try:
        with display:
            for frame in RunStream(server, run_id).frames():
                display.show(frame)
        run = _ended(server, run_id)
    except KeyboardInterrupt:
        goes_on = (
            "it is stored, and goes on when `stepwire serve` or `stepwire run` is started in the same home."
            if is_ours
            else f"it goes on; GET {server.url}/api/v1/runs/{run_id} says how it ends."
        )
        _say(f"Run {run_id} is not stopped: {goes_on}")
        return INTERRUPTED
    return _tell(run, display)


def _tell(run: Run, display: Display) -> int:
    if run.status == "completed":
        _print_json(run.output)
        return COMPLETED
    _say(_failure(run, display.progress.failed_step))
    return NOT_COMPLETED


def _failure(run: Run, step_id: str | None) -> str:
    """Why the run did not complete, with the step that it is because of and what that step left behind."""
    if run.error is None:
        return f"Run {run.id} was {run.status}."
    where = "" if step_id is None else f" at step {clean(step_id)!r}"
    what = clean(str(run.error.get("message", "")))
    text = f"Run {run.id} failed{where}: {what} ({clean(str(run.error.get('code', '')))})"
    if (details := run.error.get("details")) is not None:
        text += f"\n  details: {msgspec.json.encode(details).decode()[:MAX_DETAILS]}"
    return text


def _ended(server: Server, run_id: UUID) -> Run:
    """The run as it ended; asked for again when the server is on its way down."""
    reason = ""
    for tries in range(FINAL_TRIES):
        time.sleep(0.2 * tries)
        try:
            return server.run(run_id)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            reason = f"The run's output cannot be read: {error}."
    raise ConnectionLost(run_id, reason)


def _server(settings: Settings, options: Namespace, stack: ExitStack) -> tuple[Server, bool]:
    """The server that is named, else the home's own; and whether it ends with us.

    Raises:
        CouldNotStart: there is no token for it, or it does not start.
    """
    given = options.token or settings.token
    if options.url is None:
        local = stack.enter_context(local_server(settings.home.absolute(), _say))
        token = _token(settings, given, is_home=True)
        return stack.enter_context(connected(local.url, token)), local.is_ours
    url = checked_url(options.url)
    token = _token(settings, given, is_home=is_loopback(url))
    return stack.enter_context(connected(url, token)), False


def _token(settings: Settings, given: str | None, *, is_home: bool) -> Callable[[], str]:
    """The token that was given, else a fresh one each time.

    The home's own secret signs only what stays on this machine: another server has no use for the token but abuse.
    """
    if given is not None:
        if not (given.isascii() and given.isprintable()):
            raise CouldNotStart("The token has characters that no token has; was it pasted whole?")
        return lambda: given
    has_secret = is_home and (settings.home / "jwt.secret").exists()
    secret = settings.supabase_jwt_secret or (jwt_secret(settings.home.absolute()) if has_secret else None)
    if secret is None:
        raise CouldNotStart("A token is needed: --token, STEPWIRE_TOKEN, or SUPABASE_JWT_SECRET to sign one with.")
    url = settings.supabase_url
    return lambda: mint(secret, EMBEDDED_OWNER, lifetime_seconds=TOKEN_SECONDS, now=time.time(), supabase_url=url)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM unwinds, so that a server that was started for the occasion is stopped too."""

    def stop(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_json(value: Any) -> None:
    text = msgspec.json.encode(value)
    if sys.stdout.isatty():
        text = msgspec.json.format(text, indent=2)
    print(text.decode(), flush=True)


def _say(text: str) -> None:
    print("\n".join("".join(c if c.isprintable() else " " for c in line) for line in text.split("\n")), file=sys.stderr)
