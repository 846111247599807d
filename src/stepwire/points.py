"""Named points where a process can be told to die, so that the tests can show that it costs nothing.

A line between two of them is what a crash may part: what was done from what was noted, what was noted from what was
told. Not armed, a point is one comparison.
"""

import os
import signal
from typing import Literal, get_args

from stepwire.errors import Misconfigured

Point = Literal[
    "accept.before", "accept.after",
    "answer.before", "answer.after",
    "cancel.before", "cancel.after",
    "retry.before", "retry.after",
    "wake.before", "wake.after",
    "claim.before", "claim.after",
    "journal.before", "journal.after",
    "act.before", "act.after",
    "child.before", "child.after",
    "tell.before", "tell.after",
    "nudge.before", "nudge.after",
    "renew.before", "renew.after",
    "release.before", "release.after",
    "fire.before", "fire.after",
    "deliver.before", "deliver.after",
    "record.before", "record.after",
]  # fmt: skip
POINTS: tuple[Point, ...] = get_args(Point)


class _Fuse:
    """The point to die at, and how often it is to be reached first."""

    point: Point | None = None
    left = 0


def arm(where: str | None) -> None:
    """Die at a point, ``journal.after`` say, or ``journal.after:3`` when it is reached for the third time.

    Raises:
        Misconfigured: there is no such point.
    """
    if where is None:
        return
    name, _, count = where.partition(":")
    if name not in POINTS or not (count or "1").isdecimal():
        raise Misconfigured(f"STEPWIRE_DIE_AT={where!r}: there is no such point; they are {', '.join(POINTS)}.")
    _Fuse.point, _Fuse.left = name, int(count or "1")


def reach(point: Point) -> None:
    """Say that the process is here."""
    if point == _Fuse.point:
        _Fuse.left -= 1
        if _Fuse.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
