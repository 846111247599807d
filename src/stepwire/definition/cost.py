"""The most that an expression can cost on given data, worked out before it is evaluated.

CEL bounds iterations (10,000) and nesting (32), but not what each iteration costs, and an evaluation cannot be stopped:
``input.items.map(i, input.text + input.text)`` takes gigabytes, and ``map`` alone copies its list at each step. So an
expression that loops or searches is first walked over with sizes in place of values. A cost is a bound, a function of
the expression and the data alone; one unit is about one byte of memory or one nanosecond.

Source: the cost estimation of cel-go (github.com/google/cel-go/checker/cost.go), for the idea.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from stepwire.definition.cel_numbers import NAMES
from stepwire.definition.cel_tokens import Token, roots
from stepwire.definition.cel_tree import Node
from stepwire.definition.functions import MAX_RESULT, PYTHON_FUNCTIONS, pieces

MAX_COST = 300_000_000
MAX_OPTIONAL_MACROS = 4  # each doubles the expression that it is called on, at compile time
OPTIONAL_MACROS = frozenset({"optMap", "optFlatMap"})

_ITERATIONS = 10_000  # CEL's own budget for one evaluation
_CHEAP_ROOTS = 4
_NODE, _CELL, _CALL, _PIECE = 100, 16, 2_000, 1_000
_CONVERSION = 25  # of the result to Python and then JSON, per unit of weight
_MEASURE, _MEASURE_PART = 1_500, 150  # of taking the size of a list or map; of each of its parts
_VISIT = 3_000  # of this estimate itself, which goes through a loop's body twice
_UNICODE_CLASS, _UNICODE_PATTERN = 200_000, 40_000_000  # to compile one of ``\\pL``'s kind; at most
_LOOPS = frozenset({"map", "filter", "all", "exists", "exists_one", "existsOne"})
_SEARCHES = frozenset({"contains", "matches", "encode"})
_FREE = frozenset({"_&&_", "_||_", "!_", "@not_strictly_false", "hasValue"})
_CHOICES = frozenset({"_?_:_", "or", "orValue", "value", "optional.of", "optional.ofNonZeroValue", "dyn"})
_SELECTIONS = frozenset({"_[_]", "_[?_]", "_?._"})
_COMPARISONS = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_NO_ROUND = Node("list")  # what a macro that only binds a name runs over
_REPEAT = re.compile(r"\{(\d{0,4})(?:,(\d{0,4}))?\}")


class Size(NamedTuple):
    """A bound on a value: its weight written out in full, and of a list or map its length and its heaviest part."""

    weight: int
    length: int = 0
    part: "Size | None" = None

    def any_part(self) -> "Size":
        return self.part or Size(self.weight, self.weight // _CELL)


@dataclass(frozen=True, slots=True)
class _Known:
    """A value that is there: selecting from it finds what is really there, and its size is taken only when needed."""

    value: Any


_Value = Size | _Known
_SCALAR = Size(_CELL)
_EMPTY = Size(0)


class TooCostly(Exception):
    """The bound is above `MAX_COST`."""


def may_be_costly(tokens: list[Token]) -> bool:
    """Whether an expression needs to be estimated at all; most only compute with a few values."""
    names = {token.text for token in tokens if token.kind == "name"}
    costly = _LOOPS | OPTIONAL_MACROS | _SEARCHES | PYTHON_FUNCTIONS
    return bool(names & costly) or sum(1 for _ in roots(tokens)) > _CHEAP_ROOTS


def check_cost(tree: Node, variables: Mapping[str, Any]) -> None:
    """Say no to what would cost too much.

    Raises:
        TooCostly: before anything was evaluated.
    """
    estimate = _Estimate()
    result = estimate.value_of(tree, {name: _Known(value) for name, value in variables.items()}, times=1)
    estimate.spend(_CONVERSION * estimate.size(result).weight)


class _Estimate:
    """What one evaluation has cost so far."""

    def __init__(self) -> None:
        self._spent = 0
        self._sizes: dict[int, Size] = {}
        self._calls: dict[str, Callable[[list[_Value], int], _Value]] = {
            "contains": self._contains, "matches": self._matches, "split": self._split, "join": self._join,
            "replace": self._replace, "@in": self._in, "size": self._size, **dict.fromkeys(NAMES, self._mixed),
        }  # fmt: skip

    def spend(self, cost: int) -> None:
        self._spent += cost
        if self._spent > MAX_COST:
            raise TooCostly

    def size(self, value: _Value) -> Size:
        if isinstance(value, Size):
            return value
        known = self._sizes.get(id(value.value))
        if known is None:
            known = self._sizes[id(value.value)] = self._measure(value.value)
        return known

    def _measure(self, value: Any) -> Size:
        if isinstance(value, str):
            return Size(_CELL + len(value))
        if not value or not isinstance(value, list | dict):
            return _SCALAR
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        self.spend(_MEASURE + _MEASURE_PART * len(parts))
        weight = heaviest = longest = 0
        inner: list[Size] = []
        for part in parts:
            size = self._measure(part) if isinstance(part, str | list | dict) else _SCALAR
            weight += size.weight
            heaviest, longest = max(heaviest, size.weight), max(longest, size.length)
            if size.part:
                inner.append(size.part)
        return Size(_CELL + weight, len(value), Size(heaviest, longest, _widest(inner)))

    def value_of(self, node: Node, scope: Mapping[str, _Value], times: int) -> _Value:
        """The bound of a node's value, having spent what it costs to find it so many times."""
        self.spend(_NODE * times + _VISIT)
        match node.kind:
            case "const":
                return _SCALAR if node.value is None else _Known(node.value)
            case "name":
                return scope.get(node.name, _SCALAR)
            case "select":
                return self._select(self.value_of(node.parts[0], scope, times), node.name)
            case "loop":
                return self._loop(node, scope, times)
            case _:
                values = [self.value_of(part, scope, times) for part in node.parts]
        if node.kind == "call":
            return self._call(node.name, values, times)
        parts = [self.size(value) for value in values]
        self.spend(2 * _CELL * len(parts) * times)
        return Size(_CELL * (1 + len(parts)) + sum(part.weight for part in parts), len(parts), _widest(parts))

    def _loop(self, node: Node, scope: Mapping[str, _Value], times: int) -> _Value:
        """A macro. The dearest list of some weight has as many parts of the heaviest kind as fit, and the rest empty."""
        iterated, start, condition, step, result = node.parts
        accumulator, *runners = node.variables
        each = self.size(self.value_of(iterated, scope, times))
        count = min(each.length or each.weight // _CELL, _ITERATIONS)
        total = self.value_of(start, scope, times)
        if count and iterated != _NO_ROUND:
            part = each.any_part()
            heavy = min(count, -(-each.weight // max(part.weight, 1)))
            grown: list[Size] = []
            for number, of in ((heavy, part), (count - heavy, _EMPTY)):
                if number:
                    rounds = min(number * times, _ITERATIONS)
                    inner = {**scope, accumulator: _EMPTY, **dict.fromkeys(runners, of)}
                    self.value_of(condition, inner, rounds)
                    growth = self.size(self.value_of(step, inner, rounds))
                    grown.append(Size(growth.weight * number, growth.length * number, growth.part))
            before = self.size(total)
            total = _together([before, *grown])
            if total.length:
                self.spend(21 * total.length * min(total.length * times, _ITERATIONS))  # the list is copied each time
        return self.value_of(result, {**scope, accumulator: total}, times)

    def _call(self, name: str, values: list[_Value], times: int) -> _Value:
        if name in _FREE:
            return _SCALAR
        if name in _SELECTIONS:
            key = values[1].value if isinstance(values[1], _Known) else None
            return self._select(values[0], key)
        if name in _CHOICES:
            return _widest(self.size(value) for value in (values[1:] if name == "_?_:_" else values)) or _SCALAR
        if name in self._calls:
            return self._calls[name](values, times)
        sizes = [self.size(value) for value in values]
        weight = sum(size.weight for size in sizes) * (2 if name == "base64.encode" else 1)
        if name in _COMPARISONS:
            self.spend(8 * min((size.weight for size in sizes), default=0) * times)
            return _SCALAR
        self.spend((_CALL + 10 * weight if name in PYTHON_FUNCTIONS else weight) * times)
        return Size(weight + 4 * _CELL, sum(size.length for size in sizes), _widest(s.part for s in sizes if s.part))

    def _select(self, value: _Value, key: Any) -> _Value:
        match value:
            case _Known(value=dict() as entries) if isinstance(key, str):
                return _Known(entries.get(key))
            case _:
                return self.size(value).any_part()

    def _size(self, values: list[_Value], times: int) -> _Value:
        if not (isinstance(values[0], _Known) and isinstance(values[0].value, list | dict)):
            self.spend(self.size(values[0]).weight * times)
        return _SCALAR

    def _in(self, values: list[_Value], times: int) -> _Value:
        self.spend(4 * self.size(values[1]).weight * times)
        return _SCALAR

    def _mixed(self, values: list[_Value], times: int) -> _Value:
        """In Python: lists are converted to it, part by part, and what they come to is converted back."""
        sizes = [self.size(value) for value in values]
        weight = sum(size.weight for size in sizes)
        self.spend((_CALL + (2 * _CONVERSION if any(size.length for size in sizes) else 10) * weight) * times)
        return _together(sizes)

    def _contains(self, values: list[_Value], times: int) -> _Value:
        text, wanted = (self.size(value).weight for value in values[:2])
        self.spend((text + wanted + text * wanted // 32) * times)
        return _SCALAR

    def _matches(self, values: list[_Value], times: int) -> _Value:
        """RE2 takes time in proportion to the text times the pattern, each part of which may be repeated."""
        text, pattern = values[:2]
        program, compiling = self.size(pattern).weight * 1000, _UNICODE_PATTERN
        if isinstance(pattern, _Known) and isinstance(pattern.value, str):
            repeats = [max(int(most or 1), int(least or 1)) for least, most in _REPEAT.findall(pattern.value)]
            is_nested = "){" in pattern.value or "}{" in pattern.value
            program = len(pattern.value) * min(prod(repeats) if is_nested else max(repeats, default=1), 1000)
            has_class = "\\p" in pattern.value or "\\P" in pattern.value
            compiling = min(_UNICODE_CLASS * program, _UNICODE_PATTERN) if has_class else 2_000 * program
        self.spend((_CALL + compiling + 12 * self.size(text).weight * program) * times)
        return _SCALAR

    def _split(self, values: list[_Value], times: int) -> _Value:
        text, separator = values[:2]
        weight = self.size(text).weight
        match text, separator:
            case _Known(value=str() as known), _Known(value=str() as by):
                self.spend((_CALL + 10 * weight + _PIECE * (known.count(by) + 1 if by else len(known))) * times)
                return self._measure(pieces(known, by))
            case _:
                self.spend((_CALL + 10 * weight + _PIECE * weight) * times)
                return Size(weight * (1 + _CELL) + _CELL, weight + 1, Size(weight))

    def _join(self, values: list[_Value], times: int) -> _Value:
        parts, separator = self.size(values[0]), self.size(values[1]).weight if len(values) > 1 else 0
        weight = min(parts.weight + parts.length * separator, MAX_RESULT)
        self.spend((_CALL + 10 * (parts.weight + weight)) * times)
        return Size(weight + _CELL)

    def _replace(self, values: list[_Value], times: int) -> _Value:
        sizes = [self.size(value).weight for value in values]
        weight = min(sizes[0] * (1 + max(sizes[-1] - _CELL, 0)), MAX_RESULT)
        self.spend((_CALL + 10 * (sum(sizes) + weight)) * times)
        return Size(weight + _CELL)


def _widest(sizes: Iterable[Size]) -> Size | None:
    """A bound on each of several sizes."""
    weight = length = 0
    inner: list[Size] = []
    for size in sizes:
        weight, length = max(weight, size.weight), max(length, size.length)
        if size.part:
            inner.append(size.part)
    if not weight:
        return None
    return Size(weight, length, _widest(inner)) if inner else Size(weight, length)


def _together(sizes: list[Size]) -> Size:
    """A bound on several values put into one."""
    parts = _widest(size.part for size in sizes if size.part)
    return Size(sum(size.weight for size in sizes), sum(size.length for size in sizes), parts)
