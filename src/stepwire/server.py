"""Runs the API under uvicorn."""

import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

import uvicorn
import uvloop

from stepwire.api.headers import request_id
from stepwire.app import create_app
from stepwire.errors import Misconfigured
from stepwire.log import configure_logging
from stepwire.protocol import IDLE_SECONDS, bounded_protocol
from stepwire.settings import Settings
from stepwire.sockets import bounded_socket

log = logging.getLogger(__name__)
GRACE_SECONDS = 10


def run_api(settings: Settings, wait: Callable[[], object]) -> None:
    """Get ready, ``wait``, then serve until SIGTERM or SIGINT.

    Raises:
        Misconfigured: a setting is missing, or the address cannot be listened on.
    """
    configure_logging(settings, request_id.get)
    app = create_app(settings)
    wait()
    listener = listen(settings)
    config = uvicorn.Config(
        app,
        http=bounded_protocol(),
        ws=bounded_socket(settings.socket_stall_seconds),
        ws_max_size=1 << 16,
        ws_ping_timeout=None,  # a slow client reads what was sent before the ping first
        ws_per_message_deflate=False,  # it would be done for each socket anew, and costs each a window
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=int(IDLE_SECONDS),
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    _tame_collector()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    log.info("Serving on http://%s:%d, documentation on /docs", host, settings.port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)  # uvicorn raises the signal once more when it has ended
    uvloop.run(uvicorn.Server(config).serve(sockets=[listener]))


def _tame_collector() -> None:
    """Look for garbage less often, and not among what was there from the start: a body of 1 MiB is up to half a million
    objects, and their decoding takes 60 instead of 400 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def _end(*_: object) -> NoReturn:
    sys.exit(0)


def listen(settings: Settings) -> socket.socket:
    """The listening socket.

    Raises:
        Misconfigured: the address is taken, or not ours.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        where = f"{settings.host}:{settings.port}"
        raise Misconfigured(
            f"The API cannot listen on {where}: {error.strerror}. Set STEPWIRE_PORT or STEPWIRE_HOST to another address."
        ) from None
    listener.listen(2048)
    listener.set_inheritable(False)
    return listener
