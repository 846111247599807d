"""Looks names up, each in a thread of its own.

The event loop's own threads are few, two for this in uvloop's, and a name whose servers are silent keeps one for up to a
minute, wanted or not any more: a few such names would hold up everybody's connections, the database's included.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread

MAX_LOOKUPS = 500
System = Callable[[str, int], Sequence[str]]


def ask_system(host: str, port: int) -> list[str]:
    """The system's answer for a name, in its order of preference (RFC 6724). Blocks."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Lookups:
    """The lookups of a process; who asks for a name that is being looked up shares the answer."""

    def __init__(self, system: System = ask_system) -> None:
        self._system = system
        self._asked: dict[tuple[str, int], asyncio.Future[Sequence[str] | Exception]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a name. Who gives up waiting ends nobody else's lookup.

        Raises:
            OSError, UnicodeError: there are none; or too many others are being looked up.
        """
        asked = self._asked.get((host, port))
        if asked is None:
            asked = self._asked[host, port] = self._ask(host, port)
        answer = await asyncio.shield(asked)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _ask(self, host: str, port: int) -> "asyncio.Future[Sequence[str] | Exception]":
        if len(self._asked) >= MAX_LOOKUPS:
            raise OSError("Too many names are being looked up.")
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[Sequence[str] | Exception] = loop.create_future()

        def end(answer: Sequence[str] | Exception) -> None:
            del self._asked[host, port]
            asked.set_result(answer)

        def look_up() -> None:
            try:
                answer: Sequence[str] | Exception = self._system(host, port)
            except Exception as error:
                answer = error
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(end, answer)

        Thread(target=look_up, name="lookup", daemon=True).start()  # the process ends without waiting for it
        return asked
