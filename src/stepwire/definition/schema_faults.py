"""Where a value does not fit a schema. The validator says only whether; what it says of errors copies the value."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import msgspec

from stepwire.definition.schema_cost import BUDGET, SchemaCost
from stepwire.definition.schema_graph import SchemaGraph, Subschema
from stepwire.definition.templates import pointer

_PER_COMPILED_PART = 500
_PER_QUESTION = 500
_SAYS: dict[str, str] = {
    "const": "is not {}",
    "enum": "is not one of {}",
    "exclusiveMaximum": "is not less than {}",
    "exclusiveMinimum": "is not greater than {}",
    "maxItems": "has more than {} items",
    "maxLength": "has more than {} characters",
    "maxProperties": "has more than {} properties",
    "maximum": "is greater than the maximum of {}",
    "minItems": "has fewer than {} items",
    "minLength": "has fewer than {} characters",
    "minProperties": "has fewer than {} properties",
    "minimum": "is less than the minimum of {}",
    "multipleOf": "is not a multiple of {}",
    "pattern": "does not match the pattern {}",
    "type": "is not of type {}",
    "uniqueItems": "has items that are equal",
}

Fault = tuple[str, str]  # a JSON pointer into the value, and what is wrong there


class _TooMuch(Exception):
    """The budget is used up."""


class Faults:
    """The search for faults in one value that does not fit. What there is no budget for is not found."""

    def __init__(self, graph: SchemaGraph, cost: SchemaCost) -> None:
        self._graph, self._cost = graph, cost
        self._left = float(BUDGET)
        self._asks: dict[tuple[Subschema, str | None], Callable[[Any], bool]] = {}

    def of(self, value: Any) -> Iterator[Fault]:
        """At least one fault, each once."""
        seen: set[Fault] = set()
        try:
            for fault in self._find(self._graph.subschemas[0], value, ""):
                if fault not in seen:
                    seen.add(fault)
                    yield fault
        except _TooMuch:
            pass
        if not seen:
            yield "", "The value does not fit the schema."

    def _find(self, part: Subschema, value: Any, path: str) -> Iterator[Fault]:
        if isinstance(part.schema, bool):
            yield path, "Nothing is allowed here."
            return
        found = False
        for fault in chain(
            self._values(part, value, path), self._children(part, value, path), self._in_place(part, value, path)
        ):
            yield fault
            found = True
        if not found:
            yield from self._unevaluated(part, value, path)

    def _values(self, part: Subschema, value: Any, path: str) -> Iterator[Fault]:
        assert isinstance(part.schema, dict)  # noqa: S101 - a boolean was answered for
        for keyword, text in _SAYS.items():
            if keyword in part.schema and not self._fits(part, value, keyword):
                yield path, f"The value {text.format(_shown(part.schema[keyword]))}."
        if isinstance(value, dict):
            for name in part.schema.get("required", ()):
                if name not in value:
                    yield path, f"The property {_shown(name)} is required."
            for name, needed in part.schema.get("dependentRequired", {}).items():
                for other in needed if name in value else ():
                    if other not in value:
                        yield path, f"The property {_shown(other)} is required where there is {_shown(name)}."

    def _children(self, part: Subschema, value: Any, path: str) -> Iterator[Fault]:
        """What is wrong with the children, and with the number of those that fit."""
        if isinstance(value, dict):
            yield from self._properties(part, value, path)
        elif isinstance(value, list):
            prefix = part.parts.get("prefixItems", ())
            for index, item in enumerate(value):
                which: Subschema | None = prefix[index] if index < len(prefix) else part.parts.get("items")
                if which is not None:
                    yield from self._child(which, item, f"{path}/{index}")
            for wanted in part.of("contains"):
                assert isinstance(part.schema, dict)  # noqa: S101
                count = sum(self._fits(wanted, item) for item in value)
                least, most = part.schema.get("minContains", 1), part.schema.get("maxContains", len(value))
                if not least <= count <= most:
                    yield path, f"{count} of the items fit what the list has to contain."

    def _properties(self, part: Subschema, value: dict[str, Any], path: str) -> Iterator[Fault]:
        properties, patterns = part.parts.get("properties", {}), part.parts.get("patternProperties", {})
        other, names = part.parts.get("additionalProperties"), part.parts.get("propertyNames")
        for key, item in value.items():
            place = f"{path}/{pointer(key)}"
            matching = [which for text, which in patterns.items() if self._matches(part, text, key)]
            if key in properties:
                matching.append(properties[key])
            if not matching and other is not None:
                if other.schema is False:
                    yield path, f"There is a property {_shown(key)}, which is not allowed."
                else:
                    matching.append(other)
            for which in matching:
                yield from self._child(which, item, place)
            if names is not None and not self._fits(names, key):
                yield path, f"There is a property {_shown(key)}, whose name is not allowed."

    def _in_place(self, part: Subschema, value: Any, path: str) -> Iterator[Fault]:
        for which in part.of("$ref", "$dynamicRef", "allOf"):
            yield from self._child(which, value, path)
        if "if" in part.parts:
            branch = "then" if self._fits(part.parts["if"], value) else "else"
            for which in part.of(branch):
                yield from self._child(which, value, path)
        if isinstance(value, dict):
            for name, which in part.parts.get("dependentSchemas", {}).items():
                if name in value:
                    yield from self._child(which, value, path)
        if any(self._fits(which, value) for which in part.of("not")):
            yield path, "The value fits what it must not fit."
        if "anyOf" in part.parts and not any(self._fits(which, value) for which in part.of("anyOf")):
            yield path, f"The value fits none of the {len(part.parts['anyOf'])} alternatives of anyOf."
        if "oneOf" in part.parts and (count := sum(self._fits(which, value) for which in part.of("oneOf"))) != 1:
            yield path, f"The value fits {count or 'none'} of the {len(part.parts['oneOf'])} alternatives of oneOf."

    def _unevaluated(self, part: Subschema, value: Any, path: str) -> Iterator[Fault]:
        """Which are left unevaluated depends on all the rest; so this is said of an object or list as a whole."""
        for keyword, kind, what in (("unevaluatedProperties", dict, "properties"), ("unevaluatedItems", list, "items")):
            if keyword in part.parts and isinstance(value, kind) and not self._fits(part, value):
                yield path, f"The value has {what} that are not allowed ({keyword})."

    def _child(self, part: Subschema, value: Any, path: str) -> Iterator[Fault]:
        if not self._fits(part, value):
            yield from self._find(part, value, path)

    def _matches(self, part: Subschema, pattern: str, key: str) -> bool:
        self._spend(_PER_QUESTION + part.key_text * len(key) / 128)
        ask = self._asks.get((part, pattern))
        if ask is None:
            ask = self._asks[part, pattern] = self._graph.validator(Subschema("", {"pattern": pattern})).is_valid
        return ask(key)

    def _fits(self, part: Subschema, value: Any, keyword: str | None = None) -> bool:
        """Whether a value fits a subschema, or one keyword of it that has none below."""
        self._spend(_PER_QUESTION + self._cost.of(part, value))
        ask = self._asks.get((part, keyword))
        if ask is None:
            schema = part.schema
            if keyword is None:
                self._spend(_PER_COMPILED_PART * _reach(part))
            elif isinstance(schema, dict):
                schema = {keyword: schema[keyword]}
            ask = self._asks[part, keyword] = self._graph.validator(Subschema("", schema)).is_valid
        return ask(value)

    def _spend(self, units: float) -> None:
        self._left -= units
        if self._left < 0:
            raise _TooMuch


def _reach(part: Subschema) -> int:
    seen, pending = {part}, [part]
    while pending:
        for other in pending.pop().of():
            if other not in seen:
                seen.add(other)
                pending.append(other)
    return len(seen)


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 100 else f"{text[:100]}…"
