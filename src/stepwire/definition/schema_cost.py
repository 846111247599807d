"""What checking a value against a schema may cost at most, said before it is done.

The validator counts no steps and cannot be stopped. So this counts for it: how often, at the most, the subschemas are
evaluated at one value at each depth, times what the input has there. Only a schema whose references branch costs more
the deeper an input is. A unit is about 10 ns (measured; see the tests for the kinds of schemas and inputs).
"""

from typing import Any, NamedTuple

from stepwire.definition.schema_graph import SchemaGraph, Subschema, Unusable

BUDGET = 4_000_000
MAX_IN_PLACE = 100  # subschemas one within the other that look at the same value: calls within calls

_IN_PLACE = ("$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
_EITHER = ("properties", "additionalProperties", "prefixItems", "items")  # of these, one applies to a child
_EACH = ("patternProperties", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties")
_PER_VALUE = 10  # to hand a value over
_PER_HASH = 20
_PER_DIVISION = 200
_PER_LARGE_DIVISION = 15_000
_PER_LARGE_COMPARISON = 125
_PER_LARGE = 20  # for each evaluation
_PER_HUGE = 100  # and a quarter of its bits, for each evaluation
_EXACT_BITS = 53  # numbers beyond are hashed as the nearest float, and divided digit by digit
_NATIVE_BITS = 64  # integers beyond are compared digit by digit


_Amounts = dict[Subschema, float]  # those that are not 0


class _Work(NamedTuple):
    """Evaluations at one value at some depth below, by the subschema that the value above is checked against: their
    weight, their patterns' size, how many have ``uniqueItems`` and ``multipleOf``.
    """

    weight: _Amounts
    text: _Amounts
    unique: _Amounts
    multiple: _Amounts


class Shape:
    """A value as the costs see it: at each depth, the number of values, and of the characters of strings and of the keys
    that lead to them; and how many numbers are beyond 53 bits (``large``), and integers beyond 64 (``huge``).
    """

    __slots__ = ("bits", "huge", "large", "levels")

    def __init__(self, value: Any) -> None:
        self.levels: list[tuple[int, int]] = []
        self.large = self.huge = self.bits = 0
        level, keys = [value], 0
        while level:
            following: list[Any] = []
            characters, next_keys = keys, 0
            for each in level:
                kind = type(each)
                if kind is str:
                    characters += len(each)
                elif kind is dict:
                    following.extend(each.values())
                    for key in each:
                        next_keys += len(key)
                elif kind is list:
                    following.extend(each)
                elif kind is int or kind is float:
                    self._number(each)
            self.levels.append((len(level), characters))
            level, keys = following, next_keys

    def _number(self, number: float) -> None:
        if -0x1FFFFFFFFFFFFF <= number <= 0x1FFFFFFFFFFFFF and (abs(number) > 1e-6 or number == 0):
            return
        self.large += 1
        bits = number.bit_length() if isinstance(number, int) else 1024
        self.bits = max(self.bits, bits)
        self.huge += isinstance(number, int) and bits >= _NATIVE_BITS


class SchemaCost:
    """The costs of a schema.

    Raises:
        Unusable: a subschema refers to itself without going down into the value, or too many lie within each other.
    """

    def __init__(self, graph: SchemaGraph) -> None:
        self._order = _sorted(graph.subschemas)
        self._in_place = {part: list(part.of(*_IN_PLACE)) for part in self._order}
        self._either = {part: list(part.of(*_EITHER)) for part in self._order}
        self._each = {part: list(part.of(*_EACH)) for part in self._order}
        self._times = {
            part: 4.0 if {"unevaluatedItems", "unevaluatedProperties"} & part.parts.keys() else 1.0
            for part in self._order
        }  # to find out what was evaluated, what looks at the same value is evaluated again
        own: _Work = _Work({}, {}, {}, {})
        for part in self._order:
            schema = part.schema if isinstance(part.schema, dict) else {}
            amounts = (part.weight, part.text, schema.get("uniqueItems") is True, "multipleOf" in schema)
            for known, amount in zip(own, amounts, strict=True):
                if amount:
                    known[part] = float(amount)
        self._rows: dict[Subschema, list[tuple[float, ...]]] = {}
        self._is_stable = False
        self._depths = [_Work(*map(self._at_the_value, own))]

    def of(self, subschema: Subschema, value: Any) -> float:
        """What a check of a value costs at most, in units; no more than needed is worked out."""
        shape = Shape(value)
        values = sum([count for count, _ in shape.levels])
        characters = sum([count for _, count in shape.levels])
        cost = float(_PER_VALUE * values)
        heaviest = unique = multiple = 0.0
        rows = self._rows.setdefault(subschema, [])
        for depth, (count, length) in enumerate(shape.levels):
            if depth == len(rows):
                rows.append(tuple(amounts.get(subschema, 0.0) for amounts in self._at(depth)))
            weight, text, hashed, divided = rows[depth]
            cost += weight * count + text * length / 128
            heaviest = max(heaviest, weight)
            if hashed or divided:
                cost += divided * count * _PER_DIVISION + hashed * (_PER_HASH * values + characters / 8)
                unique, multiple = max(unique, hashed), max(multiple, divided)
            values -= count
            characters -= length
            if cost > BUDGET:
                break
        if shape.large:
            alike = min(shape.large, 1 << min(shape.bits - _EXACT_BITS, 64)) if shape.bits > _EXACT_BITS else 1
            each = _PER_LARGE_COMPARISON if shape.bits >= 63 else 6
            cost += unique * shape.large * alike * each + multiple * shape.large * _PER_LARGE_DIVISION
            cost += heaviest * (shape.large * _PER_LARGE + shape.huge * (_PER_HUGE + shape.bits / 4))
        return cost

    def _at(self, depth: int) -> _Work:
        while len(self._depths) <= depth and not self._is_stable:
            weight, text, unique, multiple = (self._below(amounts) for amounts in self._depths[-1])
            if len(self._depths) == 1:
                for part in self._order:
                    if part.key_text:
                        text[part] = text.get(part, 0.0) + part.key_text
            following = _Work(*map(self._at_the_value, (weight, text, unique, multiple)))
            self._is_stable = following == self._depths[-1]
            self._depths.append(following)
        return self._depths[min(depth, len(self._depths) - 1)]

    def _below(self, above: _Amounts) -> _Amounts:
        """What each subschema asks of a child, itself, given what those for the child cost."""
        found: _Amounts = {}
        if above:
            for part in self._order:
                either, each = self._either[part], self._each[part]
                amount = max(above.get(other, 0.0) for other in either) if either else 0.0
                for other in each:
                    amount += above.get(other, 0.0)
                if amount:
                    found[part] = amount
        return found

    def _at_the_value(self, own: _Amounts) -> _Amounts:
        """What each costs with those that look at the same value from within it."""
        found: _Amounts = {}
        if own:
            for part in self._order:
                amount = own.get(part, 0.0)
                if others := self._in_place[part]:
                    amount += self._times[part] * sum(found.get(other, 0.0) for other in others)
                if amount:
                    found[part] = amount
        return found


def _sorted(parts: list[Subschema]) -> list[Subschema]:
    """The subschemas, each after those that look at the same value from within it."""
    heights: dict[Subschema, int] = {}
    for start in parts:
        path = {start: start.of(*_IN_PLACE)} if start not in heights else {}
        while path:
            last = next(reversed(path))
            inner = next((each for each in path[last] if each not in heights), None)
            if inner is None:
                path.pop(last)
                heights[last] = 1 + max((heights[each] for each in last.of(*_IN_PLACE)), default=0)
                if heights[last] > MAX_IN_PLACE:
                    raise Unusable("Too many subschemas lie within, or refer to, one another.", last.path)
            elif inner in path:
                raise Unusable("This refers to itself without going down into the value.", inner.path)
            else:
                path[inner] = inner.of(*_IN_PLACE)
    return list(heights)
