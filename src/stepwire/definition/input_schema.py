"""A workflow's ``input_schema``: JSON Schema 2020-12, without remote references.

Schemas and inputs are strangers'. The validator's expressions give up after so many steps back, and its ``is_valid``
remembers what it has found out about a recursive schema; what says where an input does not fit does not, and is asked
only where it cannot take for ever.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from jsonschema_rs import Draft202012Validator, FancyRegexOptions, ReferencingError, ValidationError

from stepwire.definition.templates import pointer
from stepwire.errors import InvalidInput, InvalidInputSchema, Issue

MAX_ISSUES = 50
MAX_EXPANDED = 200_000  # subschemas, where each reference is replaced by what it refers to
MAX_EVALUATED = 100_000  # times that the references of a recursive schema are followed to say what is wrong
PATTERNS = FancyRegexOptions(backtrack_limit=100_000, size_limit=1 << 20, dfa_size_limit=1 << 20)


class InputSchema:
    """A schema that inputs are checked against.

    Raises:
        InvalidInputSchema: it is not a JSON Schema, or refers to something outside itself, or to too much within.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        for path, reference in _references(schema, ""):
            if not reference.startswith("#"):
                message = f"{reference[:100]!r} is outside the schema; only references within it (#/…) are followed."
                raise _unusable(message, path)
        try:
            size = _Size(schema)
        except RecursionError:
            raise _unusable("its references lead from one to the next too often", "") from None
        if size.expanded > MAX_EXPANDED:
            raise _unusable(f"its references lead to more than {MAX_EXPANDED:,} subschemas", "")
        self._branches = size.recursive
        try:
            self._validator = Draft202012Validator(schema, pattern_options=PATTERNS, offline=True)
        except ValidationError as error:
            raise _unusable(error.message, "".join(f"/{pointer(key)}" for key in error.instance_path)) from None
        except (ReferencingError, ValueError) as error:
            raise _unusable(str(error), "") from None

    def check(self, value: Any, name: str = "input") -> None:
        """Check an input, or something else that ``name`` names in the request.

        Raises:
            InvalidInput: with each place that does not fit; of a recursive schema and a deep input, that it does not.
        """
        if self._validator.is_valid(value):
            return
        if self._branches > 1 and self._branches ** _depth(value) > MAX_EVALUATED:
            issues = [Issue(code="input", message="It does not fit.", path=f"/{name}")]
        else:
            found = zip(self._validator.iter_errors(value), range(MAX_ISSUES), strict=False)
            issues = [_issue(error, name) for error, _ in found]
        schema = "the workflow's input_schema" if name == "input" else "the schema that the step asks for"
        raise InvalidInput(f"The {name} does not fit {schema}: {issues[0].message}", issues=tuple(issues))


class _Size:
    """How many subschemas there are when every reference is followed, and how many references lead into themselves."""

    def __init__(self, schema: Any) -> None:
        self._root = schema
        self._anchors: dict[str, list[Any]] = defaultdict(list)
        for each in _dictionaries(schema):
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(name := each.get(keyword), str):
                    self._anchors[name].append(each)
        self._known: dict[int, tuple[int, int]] = {}
        self.expanded, self.recursive = self._expand(schema)

    def _expand(self, schema: Any) -> tuple[int, int]:
        if not isinstance(schema, dict | list):
            return 0, 0
        if id(schema) in self._known:
            return self._known[id(schema)]
        self._known[id(schema)] = (1, 1)  # for those who ask meanwhile: they are within it
        parts = list(schema.values() if isinstance(schema, dict) else schema)
        if isinstance(schema, dict):
            parts += [*self._targets(schema.get("$ref")), *self._targets(schema.get("$dynamicRef"))]
        sizes = [self._expand(part) for part in parts]
        self._known[id(schema)] = (1 + sum(size for size, _ in sizes), sum(back for _, back in sizes))
        return self._known[id(schema)]

    def _targets(self, reference: Any) -> list[Any]:
        if not isinstance(reference, str):
            return []
        fragment = reference.removeprefix("#")
        if fragment and not fragment.startswith("/"):
            return self._anchors[fragment]
        found = self._root
        for token in fragment.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, dict) and key in found:
                found = found[key]
            else:
                return []  # the validator will say so
        return [found]


def _unusable(message: str, path: str) -> InvalidInputSchema:
    issue = Issue(code="input-schema", message=message[:300], path=f"/input_schema{path}")
    return InvalidInputSchema(f"input_schema: {message[:300]}", issues=(issue,))


def _issue(error: ValidationError, name: str) -> Issue:
    path = "".join(f"/{pointer(key)}" for key in error.instance_path)
    return Issue(code="input", message=error.message[:300], path=f"/{name}{path}")


def _depth(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, children), default=0)


def _dictionaries(schema: Any) -> Iterator[dict[str, Any]]:
    unseen = [schema]
    while unseen:
        value = unseen.pop()
        if isinstance(value, dict):
            yield value
            unseen.extend(value.values())
        elif isinstance(value, list):
            unseen.extend(value)


def _references(schema: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in ("$ref", "$dynamicRef") and isinstance(value, str):
                yield f"{path}/{key}", value
            else:
                yield from _references(value, f"{path}/{pointer(key)}")
    elif isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from _references(item, f"{path}/{index}")
