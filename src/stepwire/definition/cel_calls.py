"""Python functions for CEL, called so that little of a call stays behind.

The binding (cel-expr-python 0.1.3) never gives back its references to the arguments and the result of a call. So a text that
is split would stay for ever, with all its pieces: lists are emptied when an evaluation is over.
"""

import threading
from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]


class _Kept(threading.local):
    """The lists that functions were given, or returned, since `release`; in this thread."""

    def __init__(self) -> None:
        self.lists: list[list[Any]] = []


_kept = _Kept()


def remembered(function: Function) -> Function:
    """The same function, for CEL to call. Its lists are its own: what it returns is in no other place."""

    def call(*arguments: Any) -> Any:
        result = function(*arguments)
        _kept.lists.extend(each for each in (*arguments, result) if isinstance(each, list))
        return result

    return call


def release() -> None:
    """Empty the lists. Call when an evaluation is over, and its value converted."""
    for each in _kept.lists:
        each.clear()
    _kept.lists.clear()
