"""What an expression reads of its variables, so that CEL is handed no more: it converts all that it is handed.

One field of a response of a megabyte would else take as long as all of it, which is 20 ms.
"""

from collections.abc import Mapping
from typing import Any

from stepwire.definition.cel_tokens import Token, roots, selectors

MAX_PATH = 12  # names; whatever lies deeper is read whole

Reads = Mapping[str, "Reads | None"]  # of an object, by name; None: the whole of it


def reads_of(tokens: list[Token], variables: frozenset[str]) -> Reads:
    """The constant paths that an expression begins at these variables: ``input.a.b`` is ``{"input": {"a": {"b": None}}}``.

    A variable that a macro binds may have the name of one of these. What it reads is added to what that one does.
    """
    found: dict[str, Any] = {}
    for index in roots(tokens):
        if tokens[index].text in variables:
            path, _ = selectors(tokens, index + 1, limit=MAX_PATH)
            names = [tokens[index].text]
            for key in path:
                if not isinstance(key, str):
                    break
                names.append(key)
            _add(found, names)
    return found


def only_read(value: Any, reads: Reads | None) -> Any:
    """A JSON value with nothing in its objects but what is read. What is not there, or no object, is as it was."""
    if reads is None or not isinstance(value, dict):
        return value
    return {
        name: value[name] if inner is None else only_read(value[name], inner)
        for name, inner in reads.items()
        if name in value
    }


def _add(reads: dict[str, Any], names: list[str]) -> None:
    *outer, last = names
    for name in outer:
        inner = reads.setdefault(name, {})
        if inner is None:
            return
        reads = inner
    reads[last] = None
