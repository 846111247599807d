"""How large and deep what a client sends may be."""

import re
from typing import Any

import msgspec

from stepwire.errors import TooLarge, Unacceptable

MAX_DEPTH = 64
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def check_json(value: Any, name: str, max_bytes: int) -> bytes:
    """Check a JSON value's size and depth, and that PostgreSQL's text can hold what is in it.

    Returns:
        The value encoded.

    Raises:
        TooLarge: more than ``max_bytes``.
        Unacceptable: nested too deeply, or with a NUL character in a string.
    """
    if _is_deeper(value, MAX_DEPTH):
        raise Unacceptable(f"{name} is nested more than {MAX_DEPTH} levels deep.")
    encoded = msgspec.json.encode(value)
    if len(encoded) > max_bytes:
        raise TooLarge(f"{name} has {len(encoded):,} bytes; the limit is {max_bytes:,}.")
    if _NUL.search(encoded):
        raise Unacceptable(f"{name} holds a NUL character (\\u0000), which cannot be stored.")
    return encoded


def check_text(text: str, name: str) -> None:
    """Raises: Unacceptable: a NUL character, which PostgreSQL's text cannot hold."""
    if "\x00" in text:
        raise Unacceptable(f"{name} holds a NUL character (\\u0000), which cannot be stored.")


def _is_deeper(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        return depth == 0 or any(_is_deeper(item, depth - 1) for item in value.values())
    if isinstance(value, list):
        return depth == 0 or any(_is_deeper(item, depth - 1) for item in value)
    return False
