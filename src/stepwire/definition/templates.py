"""``{{ … }}`` in the strings of a configuration: found, compiled and filled in.

``{{`` opens an expression, which ends at the ``}}`` that closes it as CEL reads it; ``{{{{`` is a literal ``{{``.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from stepwire.definition.cel_messages import Fault
from stepwire.definition.cel_tokens import closing
from stepwire.definition.expressions import Expression, ExpressionFailed, Scope, Variables, compile_expression
from stepwire.definition.secrets import MASK
from stepwire.errors import Issue

_OPEN, _ESCAPED_OPEN = "{{", "{{{{"
_UNCLOSED = "The expression is not closed: }} is missing."

Part = str | Expression


class InputTooLarge(ExpressionFailed):
    """The values of a configuration's expressions are too large together."""

    kind, title = "input-too-large", "A step is given too much"


@dataclass(frozen=True, slots=True)
class Template:
    """A string that holds expressions; one that is nothing but one expression keeps the expression's type.

    ``is_text``: the place takes nothing but text, so a number is written out there. ``is_deferred``: where there is no
    value, the reason takes its place, ``{"error": …}``, and the step judges it when it comes to it.
    """

    parts: tuple[Part, ...]
    is_text: bool = False
    is_deferred: bool = False

    def evaluate(self, variables: Variables) -> Any:
        try:
            return self._value(variables)
        except ExpressionFailed as error:
            if self.is_deferred:
                return {"error": error.detail}
            raise

    def _value(self, variables: Variables) -> Any:
        if len(self.parts) == 1 and isinstance(self.parts[0], Expression) and not self.is_text:
            return self.parts[0].evaluate(variables)
        return "".join(
            part if isinstance(part, str) else _as_text(part.evaluate(variables)) for part in self.parts
        )  # fmt: skip

    def masked(self) -> "Template":
        """The same without its secrets: every expression that names one is a mask."""
        parts = (MASK if isinstance(part, Expression) and part.secrets else part for part in self.parts)
        return Template(tuple(parts), self.is_text, self.is_deferred)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A configuration with its templates compiled; ``is_static`` where there is none.

    ``secrets`` are the names of those that it reads; ``masked`` is then the same without them.
    """

    value: Any
    is_static: bool
    secrets: frozenset[str] = frozenset()
    masked: "Compiled | None" = None

    def evaluate(self, variables: Variables, max_bytes: int = sys.maxsize) -> Any:
        """The configuration with every expression replaced by its value.

        Raises:
            ExpressionFailed: as `Expression.evaluate`; `InputTooLarge`: the values have more than ``max_bytes``.
        """
        return self.value if self.is_static else _Evaluation(variables, max_bytes).of(self.value)


def compile_value(
    value: Any,
    scope: Scope,
    bare: frozenset[str] = frozenset(),
    texts: frozenset[str] = frozenset(),
    deferred: frozenset[str] = frozenset(),
) -> tuple[Compiled, list[Issue]]:
    """Compile every string in a JSON value, saying all that is wrong, each with its JSON pointer and column.

    ``bare`` names the places (JSON pointers, ``*`` for any index) where a string without braces is an expression too,
    ``texts`` those that take nothing but text (``*`` for any key as well), ``deferred`` those where an expression may fail (see `Template`).
    """
    compiler = _Compiler(scope, bare, texts, deferred)
    compiled = compiler.compile(value, "", "")
    secrets = frozenset().union(*(part.secrets for part in _expressions(compiled)))
    masked = Compiled(_masked(compiled), is_static=False) if secrets else None
    is_static = not _has_template(compiled)
    return Compiled(compiled, is_static=is_static, secrets=secrets, masked=masked), compiler.issues


def has_expression(text: str) -> bool:
    """Whether a string holds an expression, well-formed or not."""
    return _OPEN in text.replace(_ESCAPED_OPEN, "")


def pointer(key: object) -> str:
    """One reference token of a JSON pointer. Source: RFC 6901 section 3."""
    return str(key).replace("~", "~0").replace("/", "~1")


class _Compiler:
    """Goes through one configuration, collecting what is wrong. ``pattern`` is the path with ``*`` for any index."""

    def __init__(self, scope: Scope, bare: frozenset[str], texts: frozenset[str], deferred: frozenset[str]) -> None:
        self.issues: list[Issue] = []
        self._scope = scope
        self._bare = bare
        self._texts = texts
        self._deferred = deferred

    def compile(self, value: Any, path: str, pattern: str) -> Any:
        match value:
            case str():
                return self._text(value, path, pattern)
            case list():
                return [self.compile(item, f"{path}/{index}", f"{pattern}/*") for index, item in enumerate(value)]
            case dict():
                return {
                    key: self.compile(item, f"{path}/{pointer(key)}", f"{pattern}/{key}") for key, item in value.items()
                }
            case _:
                return value

    def _text(self, text: str, path: str, pattern: str) -> Template | str:
        if pattern in self._bare and _OPEN not in text:
            parts: list[Part | tuple[Fault, ...]] = [compile_expression(text, self._scope)]
        else:
            parts = list(_parts(text, self._scope))
        faults = [fault for part in parts if isinstance(part, tuple) for fault in part]
        self.issues.extend(
            Issue(code=fault.code, message=fault.message, path=path, column=fault.column) for fault in faults
        )
        sound = tuple(part for part in parts if not isinstance(part, tuple))
        if any(isinstance(part, Expression) for part in sound):
            is_text = not self._texts.isdisjoint((pattern, f"{pattern.rpartition('/')[0]}/*"))
            return Template(sound, is_text, is_deferred=pattern in self._deferred)
        return "".join(map(str, sound))


def _parts(text: str, scope: Scope) -> Iterator[Part | tuple[Fault, ...]]:
    """Cut a string into literals and compiled expressions, or what is wrong with them."""
    literals: list[str] = []
    position = 0
    while (opening := text.find(_OPEN, position)) >= 0:
        literals.append(text[position:opening])
        if text.startswith(_ESCAPED_OPEN, opening):
            literals.append(_OPEN)
            position = opening + len(_ESCAPED_OPEN)
            continue
        start = opening + len(_OPEN)
        end = closing(text, start)
        if end is None:
            yield (Fault("expression-syntax", _UNCLOSED, opening + 1),)
            return
        if literal := "".join(literals):
            yield literal
        yield _shifted(compile_expression(text[start:end], scope), start)
        literals, position = [], end + 2
    literal = "".join((*literals, text[position:]))
    if literal or not text:
        yield literal


def _shifted(compiled: Expression | tuple[Fault, ...], offset: int) -> Expression | tuple[Fault, ...]:
    """Faults with their columns in the string that holds the expression."""
    if isinstance(compiled, Expression):
        return compiled
    return tuple(fault._replace(column=fault.column + offset) for fault in compiled)


class _Evaluation:
    """Fills in one configuration. Without a budget, a thousand mentions of one large output would be a thousand of it."""

    def __init__(self, variables: Variables, max_bytes: int) -> None:
        self._variables = variables
        self._max_bytes = self._left = max_bytes

    def of(self, value: Any) -> Any:
        match value:
            case Template():
                return self._within_budget(value.evaluate(self._variables))
            case list():
                return [self.of(item) for item in value]
            case dict():
                return {key: self.of(item) for key, item in value.items()}
            case _:
                return value

    def _within_budget(self, value: Any) -> Any:
        match value:
            case str():
                self._left -= len(value) if value.isascii() else len(value.encode())
            case list() | dict():
                self._left -= len(msgspec.json.encode(value))
            case _:
                pass
        if self._left < 0:
            limit = f"{self._max_bytes:,}"
            raise InputTooLarge(f"What the step is given has more than {limit} bytes, which is the limit.")
        return value


def _has_template(value: Any) -> bool:
    match value:
        case Template():
            return True
        case list():
            return any(map(_has_template, value))
        case dict():
            return any(map(_has_template, value.values()))
        case _:
            return False


def _expressions(value: Any) -> Iterator[Expression]:
    match value:
        case Template():
            yield from (part for part in value.parts if isinstance(part, Expression))
        case list():
            for item in value:
                yield from _expressions(item)
        case dict():
            for item in value.values():
                yield from _expressions(item)
        case _:
            pass


def _masked(value: Any) -> Any:
    match value:
        case Template():
            return value.masked()
        case list():
            return [_masked(item) for item in value]
        case dict():
            return {key: _masked(item) for key, item in value.items()}
        case _:
            return value


def _as_text(value: Any) -> str:
    """How a value reads inside a larger string: null is empty, all else but strings is JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
