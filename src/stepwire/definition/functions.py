"""String functions for expressions, with CEL's names, bounded so that no expression can grow without limit.

CEL's own string extension has no bound: ten chained ``replace`` calls of a 4 KiB expression take all memory.
Source: the strings extension of cel-go (github.com/google/cel-go/ext), for names and meaning.
"""

from collections.abc import Callable
from typing import Any

from cel_expr_python import cel

from stepwire.definition.cel_calls import remembered

MAX_RESULT = 1 << 20  # characters
_TOO_LONG = f"The text would have more than {MAX_RESULT:,} characters"
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_UPPER = {lower: upper for upper, lower in _LOWER.items()}
_STRING, _INT, _STRINGS = cel.Type.STRING, cel.Type.INT, cel.Type.List(cel.Type.STRING)


def _replace(text: str, old: str, new: str) -> str:
    grown = len(text) + text.count(old) * (len(new) - len(old))
    if grown > MAX_RESULT:
        raise ValueError(_TOO_LONG)
    return text.replace(old, new)


def _join(parts: list[str], separator: str = "") -> str:
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("join() takes a list of strings")
    if sum(map(len, parts)) + len(parts) * len(separator) > MAX_RESULT:
        raise ValueError(_TOO_LONG)
    return separator.join(parts)


def pieces(text: str, separator: str) -> list[str]:
    """What ``split`` gives; without a separator, the characters."""
    return text.split(separator) if separator else list(text)


def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= stop <= len(text):
        raise ValueError(f"There is no part from {start} to {stop} in a text of {len(text):,} characters")
    return text[start:stop]


def _lower_ascii(text: str) -> str:
    return text.translate(_LOWER)


def _upper_ascii(text: str) -> str:
    return text.translate(_UPPER)


def _member(name: str, returns: cel.Type, *overloads: tuple[list[cel.Type], Callable[..., Any]]) -> cel.FunctionDecl:
    return cel.FunctionDecl(
        name,
        [
            cel.Overload(
                f"{name}_{number}",
                return_type=returns,
                parameters=parameters,
                is_member=True,
                impl=remembered(function),
            )
            for number, (parameters, function) in enumerate(overloads)
        ],
    )


PYTHON_FUNCTIONS = frozenset(
    {"lowerAscii", "upperAscii", "trim", "indexOf", "substring", "replace", "split", "join"}
)  # fmt: skip
FUNCTIONS = [
    _member("lowerAscii", _STRING, ([_STRING], _lower_ascii)),
    _member("upperAscii", _STRING, ([_STRING], _upper_ascii)),
    _member("trim", _STRING, ([_STRING], str.strip)),
    _member("indexOf", _INT, ([_STRING, _STRING], str.find)),
    _member("substring", _STRING, ([_STRING, _INT], _substring), ([_STRING, _INT, _INT], _substring)),
    _member("replace", _STRING, ([_STRING, _STRING, _STRING], _replace)),
    _member("split", _STRINGS, ([_STRING, _STRING], pieces)),
    _member("join", _STRING, ([_STRINGS], _join), ([_STRINGS, _STRING], _join)),
]
