"""One CEL expression: compiled once, with the steps that it reads and all that is wrong with it, and evaluated.

Only what an expression names is handed to the evaluator: of the steps those, and of each value those fields.
"""

import base64
import ctypes
import math
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_encoders, ext_math, ext_optional

from stepwire.definition import cel_numbers
from stepwire.definition.cel_calls import release
from stepwire.definition.cel_messages import Fault, compile_faults, failure
from stepwire.definition.cel_reads import Reads, only_read, reads_of
from stepwire.definition.cel_tokens import (
    ITEM_VARIABLES,
    VARIABLES,
    Key,
    SecretReference,
    StepReference,
    Token,
    plain_path,
    references,
    secret_references,
    tokens_of,
)
from stepwire.definition.cel_tree import Node, tree_of
from stepwire.definition.cost import MAX_OPTIONAL_MACROS, OPTIONAL_MACROS, TooCostly, check_cost, may_be_costly
from stepwire.definition.durations import iso_of
from stepwire.definition.functions import FUNCTIONS
from stepwire.definition.optionals import keeps_optionals, may_make_optionals
from stepwire.definition.secrets import NAME_RULE, SECRET_NAME
from stepwire.errors import StepwireError

if sys.version_info < (3, 12):
    # For each null that the binding converts it gives back a reference to None that it has not taken, and a process without
    # any left is ended. From Python 3.12 on None has no count (PEP 683); here it has one that is never used up.
    ctypes.c_ssize_t.from_address(id(None)).value += 1 << 60

MAX_EXPRESSION_BYTES = 4096
MAX_TOKENS = 1000  # CEL keeps about 300 bytes a token
MAX_DEPTH = 64
STEP_MEMBERS = frozenset({"output", "error", "status"})

_TOO_COSTLY = "It could take too much memory or time on this data. Let it read less, or compute it in several steps."
_OPTIONAL = "An optional has no JSON: end the expression with .orValue(…)."
_KEPT = "An optional cannot be put into a list, a map or another optional: end it with .orValue(…), or write [?a] or {?b: a}."
_KEYS = "The keys of a map are strings, whole numbers, true or false."
_BEYOND_64_BITS = "Integer value '"


class ExpressionFailed(StepwireError):
    """An expression has no value: a missing key, a type that does not fit, a budget used up."""

    kind, title = "expression-failed", "An expression could not be evaluated"


@dataclass(frozen=True, slots=True)
class Scope:
    """What the expressions of one step may name: the steps upstream of it, and all others for a better message.

    ``in_map``: the step is run per item of a ``core.map``, so that ``item`` and ``index`` are there. ``containers`` says
    which one each step lies in.
    """

    upstream: Container[str]
    steps: Container[str]
    in_map: bool = False
    containers: Mapping[str, str | None] = field(default_factory=dict)


class Variables:
    """What expressions can read in one run, handed out per expression so that only what it names is converted.

    ``named`` gives the value of a variable other than ``steps``; ``step`` what there is of one of those.
    """

    __slots__ = ("_named", "_step", "_step_ids")

    def __init__(
        self, named: Callable[[str], Any], step_ids: frozenset[str], step: Callable[[str], dict[str, Any]]
    ) -> None:
        self._named = named
        self._step_ids = step_ids
        self._step = step

    def of(self, reads: Reads) -> dict[str, Any]:
        """Of these variables that which is read."""
        return {
            name: self._steps(inner) if name == "steps" else only_read(self._named(name), inner)
            for name, inner in reads.items()
        }

    def _steps(self, reads: Reads | None) -> dict[str, Any]:
        if reads is None:
            return {step_id: self._step(step_id) for step_id in self._step_ids}
        return {step_id: only_read(self._step(step_id), inner) for step_id, inner in reads.items()}

    def with_secrets(self, secrets: Mapping[str, str]) -> "Variables":
        """The same, for the expressions of a step that names these secrets."""
        return Variables(lambda name: secrets if name == "secrets" else self._named(name), self._step_ids, self._step)


class Expression:
    """One compiled expression. ``secrets`` names the secrets that it reads, and there are no others for it."""

    __slots__ = ("_in_map", "_mixing", "_path", "_program", "_reads", "_tree", "returns", "secrets", "source")

    def __init__(
        self,
        source: str,
        program: cel.Expression,
        reads: Reads,
        secrets: frozenset[str],
        path: list[Key] | None,
        tree: Node | None,
        in_map: bool,
    ) -> None:
        self.source = source
        self.secrets = secrets
        self.returns = program.return_type().name()
        self._program = program
        self._reads = reads
        self._path = path
        self._tree = tree
        self._in_map = in_map
        self._mixing: tuple[cel.Expression, Node] | None = None

    def evaluate(self, variables: Variables) -> Any:
        """The value as JSON.

        CEL refuses a variable that holds an integer beyond 64 bits anywhere. Such integers are doubles in the
        evaluation, which rounds them; a plain path gives them as they are. Whole numbers and fractions may be mixed.

        Raises:
            ExpressionFailed: with a sentence that says why there is none.
        """
        data = variables.of(self._reads)
        if self._path is not None:
            return _walk(self._path, data)
        if self._tree is not None:
            self._check_cost(self._tree, data)
        value, fault = self._run(self._program, data)
        if fault is not None and _BEYOND_64_BITS in fault:
            data = _with_doubles(data)
            value, fault = self._run(self._program, data)
        if fault is not None and cel_numbers.is_mixed(fault):
            program, tree = self._mixing_program()
            self._check_cost(tree, data)  # always: what CEL calculates by itself costs next to nothing, this does not
            value, fault = self._run(program, data)
            if fault is not None and _BEYOND_64_BITS in fault:  # in what the first evaluation did not come to
                value, fault = self._run(program, _with_doubles(data))
        if fault is not None:
            raise self._failed(failure(fault))
        return to_json(value)

    def _mixing_program(self) -> tuple[cel.Expression, Node]:
        if self._mixing is None:
            serialized = cel_numbers.exchanged(self._program.serialize())
            self._mixing = _mixing_environment(self._in_map).deserialize(serialized), tree_of(serialized)
        return self._mixing

    def _check_cost(self, tree: Node, data: dict[str, Any]) -> None:
        try:
            check_cost(tree, data)
        except TooCostly:
            raise self._failed(_TOO_COSTLY) from None

    def _run(self, program: cel.Expression, data: dict[str, Any]) -> tuple[Any, str | None]:
        """CEL's value, or its message on why there is none."""
        try:
            result = program.eval(data=data)
            value = result.plain_value()
        except (RuntimeError, UnicodeError, MemoryError) as error:
            return None, str(error)
        except (TypeError, SystemError):  # how the binding says that it does not know a type
            return None, _OPTIONAL
        finally:
            release()
        return value, str(value) if result.type() == cel.Type.ERROR else None

    def _failed(self, reason: str) -> ExpressionFailed:
        source = " ".join(self.source.split())
        return ExpressionFailed(f"{source if len(source) <= 200 else source[:199] + '…'}: {reason}")


@dataclass(frozen=True, slots=True)
class CompiledSource:
    """An expression that compiles, and the steps that it names, which may not be there."""

    expression: Expression
    references: tuple[StepReference, ...]


def compile_expression(source: str, scope: Scope) -> Expression | tuple[Fault, ...]:
    """Compile one expression, or say all that is wrong with it."""
    if len(source.encode("utf-8", "surrogatepass")) > MAX_EXPRESSION_BYTES:
        return (Fault("expression-too-long", f"An expression has at most {MAX_EXPRESSION_BYTES:,} bytes.", 1),)
    compiled = _compile(source, scope.in_map)
    if isinstance(compiled, tuple):
        return compiled
    faults = tuple(fault for reference in compiled.references if (fault := _reference_fault(reference, scope)))
    return faults or compiled.expression


def to_json(value: Any, depth: int = 0) -> Any:
    """A CEL value as JSON: instants and durations as ISO 8601, bytes as base64, types by name, keys as strings.

    Raises:
        ExpressionFailed: NaN and infinity have no JSON; two keys become the same; it is nested beyond `MAX_DEPTH`.
    """
    match value:
        case list() | dict() if depth >= MAX_DEPTH:
            raise ExpressionFailed(f"The result is nested more than {MAX_DEPTH} deep.")
        case list():
            return [to_json(item, depth + 1) for item in value]
        case dict():
            result = {_key(key): to_json(item, depth + 1) for key, item in value.items()}
            if len(result) < len(value):
                raise ExpressionFailed("Two keys of the result are the same in JSON, where keys are strings.")
            return result
        case _:
            return _scalar_to_json(value)


def _scalar_to_json(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case float():
            raise ExpressionFailed("The result is not a finite number, which JSON cannot hold.")
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case timedelta():
            return iso_of(value)
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
        case cel.Type():
            return value.name().lower()
        case _:
            raise ExpressionFailed(f"A {type(value).__name__} has no JSON.")


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _environment(variables: tuple[str, ...], functions: Sequence[cel.FunctionDecl] = FUNCTIONS) -> cel.Env:
    types = dict.fromkeys(variables, cel.Type.DYN) | {"steps": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)}
    extensions = [ext_math.ExtMath(), ext_optional.ExtOptional(), ext_encoders.ExtEncoders()]
    return cel.NewEnv(variables=types, extensions=extensions, functions=functions)


_NAMES = {False: VARIABLES, True: VARIABLES + ITEM_VARIABLES}
_ENVIRONMENTS = {in_map: _environment(names) for in_map, names in _NAMES.items()}


@cache
def _mixing_environment(in_map: bool) -> cel.Env:
    return _environment(_NAMES[in_map], [*FUNCTIONS, *cel_numbers.FUNCTIONS])


def _program(source: str, in_map: bool) -> cel.Expression:
    """CEL's program; unchecked where the checker is against nothing but a mixture of types that JSON has.

    Raises:
        RuntimeError: CEL's message on what is wrong.
    """
    environment = _ENVIRONMENTS[in_map]
    try:
        return environment.compile(source)
    except RuntimeError as error:
        if not cel_numbers.is_checked_too_strictly(str(error)):
            raise
    return environment.compile(source, disable_check=True)


@lru_cache(maxsize=512)
def _compile(source: str, in_map: bool) -> CompiledSource | tuple[Fault, ...]:
    """Compile with CEL. What is known before that it could not do in a reasonable time is refused here."""
    tokens = tokens_of(source)
    if (fault := _token_fault(source, tokens)) is not None:
        return (fault,)
    try:
        program = _program(source, in_map)
    except RuntimeError as error:
        return compile_faults(source, str(error), _NAMES[in_map])
    try:
        returns = program.return_type().name()
    except RuntimeError:  # the checker takes keys of any type
        return (Fault("expression-type", _KEYS, 1),)
    if "optional_type" in returns:
        return (Fault("expression-type", _OPTIONAL, 1),)
    if may_make_optionals(tokens) and keeps_optionals(tree_of(program.serialize())):
        return (Fault("expression-type", _KEPT, 1),)
    secrets = secret_references(tokens)
    if faults := tuple(fault for secret in secrets if (fault := _secret_fault(secret))):
        return faults
    tree = tree_of(program.serialize()) if may_be_costly(tokens) else None
    secret_names = frozenset(secret.name for secret in secrets if secret.name is not None)
    reads = reads_of(tokens, frozenset(_NAMES[in_map]))
    expression = Expression(source, program, reads, secret_names, plain_path(tokens), tree, in_map)
    return CompiledSource(expression, references(tokens))


def _token_fault(source: str, tokens: list[Token]) -> Fault | None:
    if not tokens:
        return Fault("expression-syntax", "The expression is empty.", 1)
    if len(tokens) > MAX_TOKENS:
        limit = f"An expression has at most {MAX_TOKENS:,} names, numbers, strings and signs."
        return Fault("expression-too-complex", limit, tokens[MAX_TOKENS].offset + 1)
    bindings = [token for token in tokens if token.text in OPTIONAL_MACROS]
    if len(bindings) > MAX_OPTIONAL_MACROS:
        limit = f"An expression has at most {MAX_OPTIONAL_MACROS} uses of optMap and optFlatMap."
        return Fault("expression-too-complex", limit, bindings[MAX_OPTIONAL_MACROS].offset + 1)
    for column, character in enumerate(source, 1):
        if "\ud800" <= character <= "\udfff":
            return Fault("expression-syntax", "Half of a surrogate pair is not valid Unicode.", column)
    return None


def _reference_fault(reference: StepReference, scope: Scope) -> Fault | None:
    name, column = reference.step_id, reference.offset + 1
    if name not in scope.steps:
        return Fault("unknown-step", f"There is no step {name!r}.", column)
    container = scope.containers.get(name)
    if container is not None and container in scope.upstream:
        message = f"Step {name!r} runs once per item of {container!r}; read the list of what came of it, the output of {container!r}."
        return Fault("step-not-upstream", message, column)
    if name not in scope.upstream:
        message = f"Step {name!r} is not upstream of this one, so its output may not be there yet."
        return Fault("step-not-upstream", message, column)
    if reference.member is not None and reference.member not in STEP_MEMBERS:
        return Fault("unknown-variable", f"A step has output, error and status, not {reference.member!r}.", column)
    return None


def _secret_fault(reference: SecretReference) -> Fault | None:
    """Which secrets a step reads is known when it is published: only those are decrypted for it."""
    if reference.name is None:
        message = 'Name the secret, as in secrets.shop or secrets["shop"]: it cannot be picked at run time.'
        return Fault("secret-not-named", message, reference.offset + 1)
    if not SECRET_NAME.fullmatch(reference.name):
        return Fault("secret-name", NAME_RULE, reference.offset + 1)
    return None


def _walk(path: list[Key], data: dict[str, Any]) -> Any:
    value: Any = data
    for depth, key in enumerate(path):
        if not _has(value, key):
            parent = "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in path[:depth])[1:]
            raise ExpressionFailed(f"{parent or 'The run'} has no {key!r}.")
        value = value[key]
    return value


def _has(value: Any, key: Key) -> bool:
    if isinstance(value, dict):
        return isinstance(key, str) and key in value
    return isinstance(value, list) and isinstance(key, int) and key < len(value)


def _with_doubles(value: Any) -> Any:
    """The same JSON with every integer beyond 64 bits as a double."""
    match value:
        case int() if not -(2**63) <= value < 2**64:
            try:
                return float(value)
            except OverflowError:
                return math.inf if value > 0 else -math.inf
        case list():
            return [_with_doubles(item) for item in value]
        case dict():
            return {key: _with_doubles(item) for key, item in value.items()}
        case _:
            return value
