"""A compiled CEL expression as a tree, with its macros expanded, read from the wire format that CEL serializes to.

Source: cel/expr/checked.proto and cel/expr/syntax.proto (github.com/google/cel-spec, proto), for the field numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["const", "name", "select", "call", "list", "map", "loop"]
_ANY_VALUE, _PARSED_EXPR, _CHECKED_EXPR = 2, 2, 4  # what was parsed only has no types, and its tree elsewhere


@dataclass(frozen=True, slots=True)
class Node:
    """One node. ``name``: a variable, field or function; ``value``: a string constant, if it is one.

    ``parts``: of a select its operand; of a call its target, if any, and arguments; of a list its elements; of a map
    its keys and values in turn; of a loop its range, the start of its accumulator, condition, step and result.
    ``variables`` are a loop's: accumulator first, then what runs over the range. ``unwrapped`` are the parts of a list
    or map that are written with a ``?``: optionals, which are entered by what they hold.
    """

    kind: Kind
    name: str = ""
    parts: tuple["Node", ...] = ()
    value: str | None = None
    variables: tuple[str, ...] = ()
    unwrapped: tuple["Node", ...] = ()


def tree_of(serialized: bytes) -> Node:
    """The tree of a program that CEL has compiled, and serialized."""
    fields = _message(_message(serialized)[_ANY_VALUE][0])
    return _node(_message(fields[_CHECKED_EXPR if _CHECKED_EXPR in fields else _PARSED_EXPR][0]))


def _node(fields: dict[int, list[Any]]) -> Node:
    match fields:
        case {4: [name]}:
            return Node("name", _text(_message(name), 1))
        case {5: [select]}:
            inner = _message(select)
            return Node("select", _text(inner, 2), _nodes(inner, 1))
        case {6: [call]}:
            inner = _message(call)
            return Node("call", _text(inner, 2), _nodes(inner, 1) + _nodes(inner, 3))
        case {7: [elements]}:
            inner = _message(elements)
            parts = _nodes(inner, 1)
            return Node("list", parts=parts, unwrapped=tuple(parts[index] for index in _numbers(inner, 2)))
        case {8: [struct]}:
            entries = [
                (entry, _nodes(entry, 3), _nodes(entry, 4)) for entry in map(_message, _message(struct).get(2, []))
            ]
            parts = tuple(part for _, keys, values in entries for part in (*keys, *values))
            unwrapped = tuple(value for entry, _, values in entries if _numbers(entry, 5) for value in values)
            return Node("map", parts=parts, unwrapped=unwrapped)
        case {9: [loop]}:
            inner = _message(loop)
            parts = tuple(part for number in (2, 4, 5, 6, 7) for part in _nodes(inner, number))
            return Node("loop", parts=parts, variables=tuple(_text(inner, number) for number in (3, 1, 8)))
        case {3: [constant]}:
            return Node("const", value=_constant(_message(constant)))
        case _:
            return Node("const")


def _nodes(fields: dict[int, list[Any]], number: int) -> tuple[Node, ...]:
    return tuple(_node(_message(each)) for each in fields.get(number, []))


def _numbers(fields: dict[int, list[Any]], number: int) -> list[int]:
    """Integers that are not negative, packed or not."""
    found: list[int] = []
    for value in fields.get(number, []):
        position = 0
        if isinstance(value, int):
            found.append(value)
            continue
        while position < len(value):
            each, position = _varint(value, position)
            found.append(each)
    return found


def _constant(fields: dict[int, list[Any]]) -> str | None:
    """A string as it is, bytes as a text as long as they are; any other constant is small."""
    match fields:
        case {6: [text]}:
            return str(text, "utf-8")
        case {7: [octets]}:
            return str(octets, "latin-1")
        case _:
            return None


def _text(fields: dict[int, list[Any]], number: int) -> str:
    return str(fields.get(number, [b""])[0], "utf-8")


def _message(data: bytes) -> dict[int, list[Any]]:
    """The fields of a message by number. Source: protobuf.dev/programming-guides/encoding."""
    fields: dict[int, list[Any]] = {}
    for number, value in _fields(data):
        fields.setdefault(number, []).append(value)
    return fields


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        match key & 7:
            case 0:
                value, position = _varint(data, position)
                yield key >> 3, value
            case 1:
                position += 8
            case 2:
                length, position = _varint(data, position)
                yield key >> 3, data[position : position + length]
                position += length
            case 5:
                position += 4
            case wire_type:
                raise ValueError(f"Wire type {wire_type} is not CEL's.")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
