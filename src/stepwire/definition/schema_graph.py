"""A JSON Schema as a graph of its subschemas, which tells what checking a value may cost and where it does not fit.

Only what is in the schema itself is referred to: references are resolved here, and written anew for the validator as
places in one flat table. So what is weighed and what is run cannot differ by how a reference is read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import msgspec
from jsonschema_rs import Draft202012Validator, FancyRegexOptions, RegexOptions, Registry, ValidationError, meta

from stepwire.definition.templates import pointer

MAX_BYTES = 64 * 1024
MAX_DEPTH = 64
MAX_SUBSCHEMAS = 2000
MAX_PATTERNS = 100

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TABLE = "urn:stepwire:schema"
_ONE = (
    "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then",
    "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("dependentSchemas", "patternProperties", "properties")
_SHELVES = ("$defs", "definitions")
_UNUSED = frozenset({
    "$anchor", "$comment", "$defs", "$dynamicAnchor", "$id", "$schema", "$vocabulary", "contentEncoding",
    "contentMediaType", "contentSchema", "default", "definitions", "deprecated", "description", "examples", "format",
    "readOnly", "title", "writeOnly",
})  # fmt: skip
_PATTERN_SIZES = (1 << 10, 1 << 12, 1 << 14, 1 << 16)  # bytes that a compiled pattern may take


class Unusable(Exception):
    """The schema cannot be used; ``path`` is the place in it."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.message, self.path = message, path


@dataclass(eq=False, slots=True)
class Subschema:
    """One subschema. ``schema`` is what the validator gets, ``parts`` are the subschemas by keyword: one, a list or a
    mapping. ``text`` and ``key_text`` are the sizes of the patterns that strings, and the keys of objects, go through.
    """

    path: str
    schema: dict[str, Any] | bool = True
    parts: dict[str, Any] = field(default_factory=dict)
    weight: int = 1
    text: int = 0
    key_text: int = 0

    def of(self, *keywords: str) -> Iterator["Subschema"]:
        """The subschemas under these keywords; without any, all."""
        for keyword in keywords or self.parts:
            part = self.parts.get(keyword)
            if isinstance(part, Subschema):
                yield part
            elif part is not None:
                yield from part.values() if isinstance(part, dict) else part


class SchemaGraph:
    """All subschemas that a check can reach; ``subschemas[0]`` is the schema itself.

    Raises:
        Unusable: it is not a JSON Schema 2020-12, too large, or refers to something outside itself.
    """

    def __init__(self, schema: Any) -> None:
        _check_size(schema)
        _check_dialect(schema, "")
        _check_against_dialect(schema, "")
        self.subschemas: list[Subschema] = []
        self._patterns: dict[str, int] = {}
        self._places: dict[str, tuple[Any, str, str]] = {}  # absolute URI: subschema, its path, its base URI
        self._dynamic: set[str] = set()
        self._targets: dict[str, tuple[str, Subschema]] = {}
        self._table: dict[str, Any] = {}
        self._collect(schema, "", "")
        self._pending: list[tuple[Any, str, str, str]] = []
        self._target("", schema, "")
        while self._pending:  # one after the other: references may lead from one to the next very often
            target, path, base, number = self._pending.pop()
            self._table[number] = self._build(target, path, base, self._targets[path][1]).schema
        self._registry = Registry([(_TABLE, {"$defs": self._table})])

    def validator(self, subschema: Subschema) -> Draft202012Validator:
        """A validator of one subschema. Ask it for no errors: each would copy the value that it is about."""
        return _validator(subschema.schema, self._registry)

    def _collect(self, schema: Any, path: str, base: str) -> None:
        """Note every place with a name: ``$id``, ``$anchor`` and ``$dynamicAnchor``."""
        if not isinstance(schema, dict):
            return
        if "$id" in schema:
            _check_dialect(schema, path)
            base = _joined(base, schema["$id"], f"{path}/$id").removesuffix("#")
        if path == "" or "$id" in schema:
            self._name(base, schema, path, base)
        if path == "" and base:
            self._places[""] = self._places[base]
        for anchor in {schema[keyword] for keyword in ("$anchor", "$dynamicAnchor") if keyword in schema}:
            self._name(f"{base}#{anchor}", schema, path, base)
        if (dynamic := schema.get("$dynamicAnchor")) is not None:
            if dynamic in self._dynamic:
                raise Unusable(f"There is more than one $dynamicAnchor {_shown(dynamic)}; use $anchor.", path)
            self._dynamic.add(dynamic)
        for place, child in _children(schema):
            self._collect(child, path + place, base)

    def _name(self, uri: str, schema: Any, path: str, base: str) -> None:
        if uri in self._places:
            raise Unusable(f"Two places in the schema are called {_shown(uri)}.", path)
        self._places[uri] = (schema, path, base)

    def _target(self, path: str, schema: Any, base: str) -> tuple[str, Subschema]:
        """The subschema that a reference leads to, to be built once, and where the validator finds it."""
        known = self._targets.get(path)
        if known is None:
            number = str(len(self._targets))
            known = self._targets[path] = (f"{_TABLE}#/$defs/{number}", Subschema(path))
            self._pending.append((schema, path, base, number))
        return known

    def _build(self, schema: Any, path: str, base: str, into: Subschema | None = None) -> Subschema:
        built = Subschema(path) if into is None else into
        self.subschemas.append(built)
        if len(self.subschemas) > MAX_SUBSCHEMAS:
            raise Unusable(f"The schema has more than {MAX_SUBSCHEMAS:,} subschemas, or they refer too far.", path)
        if isinstance(schema, bool):
            built.schema = schema
            return built
        if "$id" in schema:
            base = _joined(base, schema["$id"], f"{path}/$id").removesuffix("#")
        written: dict[str, Any] = {}
        references: list[dict[str, str]] = []
        for keyword, value in schema.items():
            place = f"{path}/{pointer(keyword)}"
            if keyword in ("$ref", "$dynamicRef"):  # with one anchor of a name, the dynamic one is a plain one
                uri, built.parts[keyword] = self._resolve(value, place, base)
                references.append({"$ref": uri})
            elif keyword in _ONE:
                built.parts[keyword] = part = self._build(value, place, base)
                written[keyword] = part.schema
            elif keyword in _MANY:
                parts = [self._build(item, f"{place}/{index}", base) for index, item in enumerate(value)]
                built.parts[keyword] = parts
                written[keyword] = [part.schema for part in parts]
            elif keyword in _NAMED:
                named = {name: self._build(item, f"{place}/{pointer(name)}", base) for name, item in value.items()}
                built.parts[keyword] = named
                written[keyword] = {name: part.schema for name, part in named.items()}
                built.weight += len(value)
                if keyword == "patternProperties":
                    built.key_text = sum(self._pattern(name, f"{place}/{pointer(name)}") for name in value)
            elif keyword not in _UNUSED:
                written[keyword] = value
                built.weight += _size(value)
                if keyword == "pattern":
                    built.text = self._pattern(value, place)
        if references:
            written["allOf"] = [*references, *written.get("allOf", [])]
        built.schema = written
        return built

    def _resolve(self, reference: str, path: str, base: str) -> tuple[str, Subschema]:
        uri, fragment = urldefrag(_joined(base, reference, path))
        if uri not in self._places:
            message = f"{_shown(reference)} is outside the schema; only references within it (#/…) are followed."
            raise Unusable(message, path)
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            found = self._places.get(f"{uri}#{fragment}")
        else:
            found = _descend(*self._places[uri], fragment)
        if found is None:
            raise Unusable(f"There is nothing at {_shown(reference)}.", path)
        target, place, target_base = found
        if not isinstance(target, dict | bool):
            raise Unusable(f"What is at {_shown(reference)} is not a schema.", path)
        if place not in self._targets:
            _check_against_dialect(target, place)  # it may lie where no schema was looked for
        return self._target(place, target, target_base)

    def _pattern(self, text: str, path: str) -> int:
        if text not in self._patterns:
            if len(self._patterns) == MAX_PATTERNS:
                raise Unusable(f"The schema has more than {MAX_PATTERNS} different patterns.", path)
            self._patterns[text] = _pattern_size(text, path)
        return self._patterns[text]


def _validator(schema: Any, registry: Registry | None = None, size: int = _PATTERN_SIZES[-1]) -> Draft202012Validator:
    options = RegexOptions(size_limit=size, dfa_size_limit=_PATTERN_SIZES[-1])
    return Draft202012Validator(
        schema, registry=registry, offline=True, validate_formats=False, pattern_options=options
    )  # fmt: skip


def _pattern_size(text: str, path: str) -> int:
    """An upper bound on the compiled pattern's bytes, which the time per character goes with."""
    for size in _PATTERN_SIZES:
        try:
            _validator({"pattern": text}, size=size)
        except ValidationError:
            continue
        return size
    try:
        Draft202012Validator({"pattern": text}, pattern_options=FancyRegexOptions(size_limit=_PATTERN_SIZES[-1]))
    except ValidationError:
        raise Unusable(f"The pattern {_shown(text)} is no regular expression, or too large a one.", path) from None
    message = f"The pattern {_shown(text)} looks around or back; only what is matched in linear time is supported."
    raise Unusable(message, path)


def _check_size(schema: Any) -> None:
    level, depth = [schema], 0
    while level:
        if depth > MAX_DEPTH:
            raise Unusable(f"The schema is nested more than {MAX_DEPTH} levels deep.", "")
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
        depth += 1
    try:
        encoded = msgspec.json.encode(schema)
    except (ValueError, TypeError) as error:
        raise Unusable(f"The schema is not JSON: {error}.", "") from None
    if len(encoded) > MAX_BYTES:
        raise Unusable(f"The schema has more than {MAX_BYTES // 1024} KiB.", "")


def _check_dialect(schema: Any, path: str) -> None:
    dialect = schema.get("$schema", DIALECT) if isinstance(schema, dict) else DIALECT
    if not isinstance(dialect, str) or dialect.removesuffix("#") != DIALECT:
        raise Unusable(f"The dialect {_shown(dialect)} is not supported; {DIALECT} is.", f"{path}/$schema")


def _check_against_dialect(schema: Any, path: str) -> None:
    try:
        meta.validate(schema)
    except ValidationError as error:
        place = "".join(f"/{pointer(key)}" for key in error.instance_path)
        raise Unusable(f"{error.message[:200]}.", path + place) from None
    except (ValueError, UnicodeError) as error:
        raise Unusable(f"{str(error)[:200]}.", path) from None


def _children(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The subschemas of one, each with its place below it."""
    for keyword, value in schema.items():
        place = f"/{pointer(keyword)}"
        if keyword in _ONE:
            yield place, value
        elif keyword in _MANY and isinstance(value, list):
            yield from ((f"{place}/{index}", item) for index, item in enumerate(value))
        elif keyword in (*_NAMED, *_SHELVES) and isinstance(value, dict):
            yield from ((f"{place}/{pointer(name)}", item) for name, item in value.items())


def _descend(schema: Any, path: str, base: str, fragment: str) -> tuple[Any, str, str] | None:
    """What a JSON pointer leads to. The base is that of the place in which the found one lies."""
    outer = base
    for token in fragment.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        outer = base
        if isinstance(schema, dict) and key in schema:
            schema = schema[key]
        elif isinstance(schema, list) and key.isdecimal() and int(key) < len(schema):
            schema = schema[int(key)]
        else:
            return None
        path = f"{path}/{pointer(key)}"
        if isinstance(schema, dict) and isinstance(schema.get("$id"), str):
            base = _joined(base, schema["$id"], path).removesuffix("#")
    return schema, path, outer


def _joined(base: str, reference: str, path: str) -> str:
    try:
        return urljoin(base, reference)
    except ValueError:
        raise Unusable(f"{_shown(reference)} is not a URI reference.", path) from None


def _shown(value: Any) -> str:
    return repr(str(value)[:100])


def _size(value: Any) -> int:
    """How much there is to compare with in a keyword's value."""
    if isinstance(value, dict):
        return 1 + sum(len(key) // 16 + _size(item) for key, item in value.items())
    if isinstance(value, list):
        return 1 + sum(map(_size, value))
    if isinstance(value, str):
        return 1 + len(value) // 16
    return 50 if isinstance(value, int) and value.bit_length() >= 64 else 1  # the former is compared digit by digit
