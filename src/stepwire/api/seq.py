"""Where a client wants a stream to go on: the number of the last event that it has."""

from typing import Any

from litestar.connection import ASGIConnection

from stepwire.errors import Malformed


def seen_by(connection: ASGIConnection[Any, Any, Any, Any]) -> int | None:
    """``?after=``, or None where the client says nothing. Raises: Malformed."""
    given = connection.query_params.getall("after", [])
    return one_seq("after", given) if given else None


def one_seq(name: str, given: list[str]) -> int:
    """The number of an event, said once or more often.

    Raises:
        Malformed: it is no number.
    """
    if len(set(given)) == 1 and given[0].isascii() and given[0].isdigit():
        return int(given[0].lstrip("0")[:20] or 0)  # no run has events with more digits
    raise Malformed(f"`{name}` is the number of an event, 0 or more.")
