"""Arithmetic with whole numbers and fractions together, which CEL refuses: JSON has one kind of number.

A browser writes 2.0 as 2, so whether a number of the data is whole is chance, and an expression has to work for both.
CEL's own operators cannot be given more overloads. So an expression that failed for this reason alone is evaluated once
more with its operators exchanged for these functions, which do what CEL does, and take mixed numbers too.
"""

import math
import operator
import re
from collections.abc import Callable
from itertools import permutations
from typing import Any

from cel_expr_python import cel

from stepwire.definition.cel_calls import remembered

_NUMBERS = r"(?:u?int(?:64)?|double)"
_MIXED = re.compile(
    r"No matching overloads found : _[-+*/]_\((?:u?int64, double|double, u?int64|uint64, int64|int64, uint64)\)"
    r"(?: \[[A-Z_]+\])?\s*$"
)
_HARMLESS = re.compile(
    rf"'_(?:[-+*/<>]|<=|>=|==|!=)_' applied to '\({_NUMBERS}, {_NUMBERS}\)'"
    r"|'_\+_' applied to '\(list\(.*\), list\(.*\)\)'"
    r"|'_\?_:_' applied to '\((?:bool|dyn), .*\)'"
)
_FAULT = re.compile(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:\d+:\d+: (.*?)(?: \(in container ''\))?$", re.MULTILINE)
NAMES = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_BY_SIGN = {sign.encode(): name.encode() for name, sign in NAMES.items()}
# A call in CEL's wire format: its function's name, of three bytes, then its arguments. Not where a loop adds to its list,
# its first argument: ours would convert the list each time.
_CALL = re.compile(rb"\x12\x03_([-+*/])_(?!\x1a.\x10.{1,5}\x22\x09\x0a\x07@result)", re.DOTALL)


def is_mixed(fault: str) -> bool:
    """Whether an evaluation failed since it calculates with a whole number and a fraction, or a very large one."""
    return _MIXED.search(fault) is not None


def is_checked_too_strictly(message: str) -> bool:
    """Whether all that CEL's checker has against an expression is that numbers, lists, or the ways of a ``? :`` are of
    several types, as JSON's may be.
    """
    faults = _FAULT.findall(message)
    return bool(faults) and all(
        fault.startswith("found no matching overload for ") and _HARMLESS.search(fault) for fault in faults
    )


def exchanged(serialized: bytes) -> bytes:
    """A serialized expression with its operators exchanged."""
    return _CALL.sub(lambda call: b"\x12\x03" + _BY_SIGN[call[1]], serialized)


def _quotient(one: float, other: float) -> float:
    if isinstance(one, int) and isinstance(other, int):
        if other == 0:
            raise ValueError("divide by zero")
        whole = abs(one) // abs(other)
        return whole if (one < 0) == (other < 0) else -whole
    if other == 0:
        return math.nan if one == 0 or math.isnan(one) else math.copysign(math.inf, one) * math.copysign(1, other)
    return one / other


def _declared(name: str, function: Callable[[Any, Any], Any], *others: tuple[Any, Any, Any]) -> cel.FunctionDecl:
    numbers = [(_INT, _INT, _INT), (_UINT, _UINT, _UINT), (_DOUBLE, _DOUBLE, _DOUBLE)]
    overloads = [
        cel.Overload(
            f"{name}_{number}", return_type=returns, parameters=[one, other], is_member=False, impl=remembered(function)
        )
        for number, (one, other, returns) in enumerate((*numbers, *others))
    ]
    overloads += [
        cel.Overload(
            f"{name}_mixed_{number}", return_type=_DOUBLE, parameters=list(kinds), is_member=False,
            impl=remembered(lambda one, other: function(float(one), float(other))),
        )
        for number, kinds in enumerate(permutations((_INT, _UINT, _DOUBLE), 2))
    ]  # fmt: skip
    return cel.FunctionDecl(name, overloads)


_INT, _UINT, _DOUBLE = cel.Type.INT, cel.Type.UINT, cel.Type.DOUBLE
_TIME, _SPAN, _LIST = cel.Type.TIMESTAMP, cel.Type.DURATION, cel.Type.List(cel.Type.DYN)
FUNCTIONS = [
    _declared(
        "add",
        operator.add,
        *((each, each, each) for each in (cel.Type.STRING, cel.Type.BYTES, _LIST, _SPAN)),
        (_TIME, _SPAN, _TIME),
        (_SPAN, _TIME, _TIME),
    ),
    _declared("sub", operator.sub, (_TIME, _TIME, _SPAN), (_TIME, _SPAN, _TIME), (_SPAN, _SPAN, _SPAN)),
    _declared("mul", operator.mul),
    _declared("div", _quotient),
]
