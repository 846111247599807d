"""CEL's tokens: enough of the grammar to find where an expression ends, which steps it names, and whether it only selects.

Source: the CEL language definition (github.com/google/cel-spec, doc/langdef.md), section "Syntax".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

VARIABLES = ("input", "steps", "trigger", "run", "secrets")
ITEM_VARIABLES = ("item", "index")  # in the steps of a core.map

_TOKEN = re.compile(
    r"""
    (?P<string>
        [bB]?[rR](?:\"{3}.*?\"{3} | '{3}.*?'{3} | "[^"\n\r]*" | '[^'\n\r]*')
      | [bB]?(?:\"{3}(?:[^\\]|\\.)*?\"{3} | '{3}(?:[^\\]|\\.)*?'{3} | "(?:[^"\\\n\r]|\\.)*" | '(?:[^'\\\n\r]|\\.)*')
    )
    | (?P<comment>//[^\n]*)
    | (?P<space>\s+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>[0-9]+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

Key = str | int


class Token(NamedTuple):
    """One token; ``offset`` counts from the start of the source, in characters."""

    kind: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class StepReference:
    """``steps.<id>.<member>`` in an expression; ``member`` None where the whole step is taken."""

    step_id: str
    member: str | None
    offset: int


@dataclass(frozen=True, slots=True)
class SecretReference:
    """``secrets.<name>`` in an expression; ``name`` None where it does not say which."""

    name: str | None
    offset: int


def closing(text: str, start: int) -> int | None:
    """Where the ``}}`` is that closes an expression as CEL reads it: not one in a string or comment, or of a map."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        match token["other"]:
            case "{":
                depth += 1
            case "}" if depth > 0:
                depth -= 1
            case "}" if text.startswith("}}", token.start()):
                return token.start()
            case _:
                pass
    return None


def tokens_of(source: str) -> list[Token]:
    """The tokens that mean something: no space, no comments."""
    return [
        Token(token.lastgroup or "", token[0], token.start())
        for token in _TOKEN.finditer(source)
        if token.lastgroup not in ("space", "comment")
    ]


def references(tokens: list[Token]) -> tuple[StepReference, ...]:
    """The steps that an expression names."""
    found: list[StepReference] = []
    for index in roots(tokens):
        if tokens[index].text != "steps":
            continue
        path, _ = selectors(tokens, index + 1, limit=2)
        match path:
            case [str(step_id), str(member)]:
                found.append(StepReference(step_id, member, tokens[index].offset))
            case [str(step_id), *_]:
                found.append(StepReference(step_id, None, tokens[index].offset))
            case _:
                pass
    return tuple(found)


def secret_references(tokens: list[Token]) -> list[SecretReference]:
    """The secrets that an expression names."""
    found: list[SecretReference] = []
    for index in roots(tokens):
        if tokens[index].text == "secrets":
            path, _ = selectors(tokens, index + 1, limit=1)
            found.append(SecretReference(path[0] if path and isinstance(path[0], str) else None, tokens[index].offset))
    return found


def plain_path(tokens: list[Token]) -> list[Key] | None:
    """The path of an expression that only selects (``input.items[0].name``), which needs no evaluator.

    That keeps values that CEL cannot hold (integers beyond 64 bits) as they are, and large ones uncopied.
    """
    if not tokens or tokens[0].text not in VARIABLES + ITEM_VARIABLES:
        return None
    path, end = selectors(tokens, 1)
    return [tokens[0].text, *path] if end == len(tokens) else None


def roots(tokens: list[Token]) -> Iterator[int]:
    """Where a name stands by itself: not the field in ``a.name``, ``a.?name`` or the absolute ``.name``'s dot."""
    for index, token in enumerate(tokens):
        before = [each.text for each in tokens[max(index - 2, 0) : index]]
        if token.kind != "name" or before == [".", "?"]:
            continue
        if before[-1:] != ["."] or index == 1 or not _ends_a_value(tokens[index - 2]):
            yield index


def _ends_a_value(token: Token) -> bool:
    return token.kind != "other" or token.text in (")", "]", "}", "`")


def selectors(tokens: list[Token], index: int, limit: int | None = None) -> tuple[list[Key], int]:
    """The constant ``.name``, ``["name"]`` and ``[0]`` from ``index`` on, and the index of the token after them."""
    path: list[Key] = []
    while limit is None or len(path) < limit:
        match tokens[index : index + 3]:
            case [(_, ".", _), ("name", _, _), ("other", "(", _)]:
                break
            case [(_, ".", _), ("name", name, _), *_]:
                path.append(name)
                index += 2
            case [(_, "[", _), ("string", literal, _), (_, "]", _)] if (text := _plain_string(literal)) is not None:
                path.append(text)
                index += 3
            case [(_, "[", _), ("number", number, _), (_, "]", _)]:
                path.append(int(number))
                index += 3
            case _:
                break
    return path, index


def _plain_string(literal: str) -> str | None:
    """What a string literal without prefix, triple quotes or escapes says; None for any other."""
    is_plain = literal[0] in "\"'" and not literal.startswith(('"""', "'''")) and "\\" not in literal
    return literal[1:-1] if is_plain else None
