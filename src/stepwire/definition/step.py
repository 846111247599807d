"""One node compiled to a step, with everything that is wrong with its ``data``."""

from functools import lru_cache
from typing import Any

import msgspec
from jsonschema_rs import Draft202012Validator, ValidationError

from stepwire.definition.durations import seconds_of
from stepwire.definition.expressions import Expression, Scope
from stepwire.definition.graph import Node
from stepwire.definition.nearest import did_you_mean
from stepwire.definition.numbers import with_integers
from stepwire.definition.plan import NO_RETRY, Catalog, Link, RetryPolicy, Step, StepSpec
from stepwire.definition.templates import Compiled, Template, compile_value, has_expression, pointer
from stepwire.errors import Issue

_ON_ERROR = ("fail", "continue")
_JOIN = ("all", "any")
_INTERVALS = ("initial_interval", "max_interval")


def compile_step(
    node: Node,
    catalog: Catalog,
    scope: Scope,
    incoming: tuple[Link, ...],
    downstream: tuple[str, ...],
    wired: frozenset[str],
) -> tuple[Step | None, list[Issue]]:
    """The node as a step, or None with what is wrong, each with its JSON pointer into ``data``."""
    spec = catalog.get(node.step_type or "")
    if spec is None:
        return None, [_unknown(node, catalog)]
    data = _Data(node)
    config = _compile_config(data, spec, scope)
    step = Step(
        id=node.id,
        type=spec.type,
        kind=spec.kind,
        config=config,
        retry=data.retry(spec),
        timeout=data.timeout(),
        on_error=data.choice("on_error", _ON_ERROR),
        join=data.choice("join", _JOIN),
        incoming=incoming,
        downstream=downstream,
        wired=wired,
    )
    return (None if data.issues else step), data.issues


def _unknown(node: Node, catalog: Catalog) -> Issue:
    name = node.step_type
    message = "The node names no step type in data.step_type"
    if name is not None:
        shown = name if len(name) <= 100 else f"{name[:100]}…"
        message = f"There is no step type {shown!r}"
    message += "; GET /api/v1/catalog/steps lists them." + did_you_mean(name, (spec.type for spec in catalog))
    return Issue(code="unknown-step-type", message=message, node_id=node.id, path="/data/step_type")


def config_schema(config: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema 2020-12 of a configuration, its object at the top so that a form generator can start there."""
    schema = msgspec.json.schema(config)
    definitions = schema.pop("$defs")
    top = definitions.pop(schema.pop("$ref").removeprefix("#/$defs/"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top} | (
        {"$defs": definitions} if definitions else {}
    )


@lru_cache(maxsize=256)
def _validator(config: type[msgspec.Struct]) -> Draft202012Validator:
    return Draft202012Validator(config_schema(config))


@lru_cache(maxsize=256)
def _texts(config: type[msgspec.Struct]) -> frozenset[str]:
    """The places of a configuration that take nothing but text, ``*`` for any member of an object or a list."""
    places: dict[str, Any] = {}
    for name, each in config_schema(config).get("properties", {}).items():
        places |= {f"/{name}": each, f"/{name}/*": each.get("additionalProperties", each.get("items"))}
    return frozenset(
        place
        for place, each in places.items()
        if isinstance(each, dict) and each.get("type") == "string" and "enum" not in each
    )


class _Data:
    """A node's ``data``, read key by key, collecting what is wrong."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.issues: list[Issue] = []

    def wrong(self, path: str, message: str, code: str = "bad-config") -> None:
        self.issues.append(Issue(code=code, message=message, node_id=self.node.id, path=path))

    def timeout(self) -> float | None:
        value = self.node.settings.get("timeout")
        if value is None:
            return None
        try:
            seconds = seconds_of(value)
        except ValueError as error:
            self.wrong("/data/timeout", str(error))
            return None
        if seconds == 0:
            self.wrong("/data/timeout", "A timeout is longer than 0 seconds; leave it out for none.")
        return seconds

    def choice(self, key: str, choices: tuple[str, str]) -> Any:
        value = self.node.settings.get(key)
        if value is not None and value not in choices:
            self.wrong(f"/data/{key}", f"{key} is one of {', '.join(choices)}.")
        return value if value in choices else choices[0]

    def retry(self, spec: StepSpec) -> RetryPolicy:
        raw = self.node.settings.get("retry")
        if raw is None:
            return NO_RETRY
        if not isinstance(raw, dict):
            self.wrong("/data/retry", "retry is an object.")
            return NO_RETRY
        values: dict[str, Any] = {}
        for key, value in raw.items():  # one by one, so that each that is wrong is said
            try:
                values[key] = seconds_of(value) if key in _INTERVALS else with_integers(value)
                msgspec.convert({key: values[key]}, RetryPolicy)
            except ValueError as error:
                self.wrong(f"/data/retry/{pointer(key)}", str(error).partition(" - at `$")[0].rstrip(".") + ".")
        if self.issues:
            return NO_RETRY
        policy = msgspec.convert(values, RetryPolicy)
        if spec.is_container and policy.max_attempts > 1:
            self.wrong("/data/retry", "A container is not tried again as a whole; give the steps in it a retry.")
        return policy


def _compile_config(data: _Data, spec: StepSpec, scope: Scope) -> Compiled:
    raw = data.node.settings.get("config")
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        data.wrong("/data/config", "The configuration is an object.")
        return Compiled({}, is_static=True)
    templates: dict[tuple[str | int, ...], set[str]] = {}
    for error in _validator(spec.config).iter_errors(raw):
        if not _may_be_expression(error.instance, error.instance_path, spec.expressions):
            path = "".join(f"/{pointer(key)}" for key in error.instance_path)
            data.wrong(f"/data/config{path}", _message(error)[:300].rstrip(".") + ".")
        else:
            templates[tuple(error.instance_path)] = _types(error)
    if (fault := spec.check(raw)) is not None:
        data.wrong("/data/config", fault)
    compiled, issues = compile_value(raw, scope, spec.expressions, _texts(spec.config), spec.deferred)
    data.issues.extend(
        msgspec.structs.replace(issue, node_id=data.node.id, path=f"/data/config{issue.path or ''}") for issue in issues
    )
    for where, wanted in templates.items():
        if (given := _type_at(compiled.value, where)) is not None and wanted and given not in wanted:
            path = "".join(f"/{pointer(key)}" for key in where)
            message = f"The expression gives {_SPOKEN[given]}; {' or '.join(_SPOKEN[each] for each in sorted(wanted))} is wanted."
            data.issues.append(
                Issue(code="expression-type", message=message, node_id=data.node.id, path=f"/data/config{path}")
            )
    return compiled


def _message(error: ValidationError) -> str:
    """What is wrong, with all that it could be; of alternatives, what is wrong with the one that was meant."""
    alternatives = getattr(error.kind, "context", None)
    if alternatives:
        meant = [each for alternative in alternatives for each in alternative if not hasattr(each.kind, "types")]
        if meant:
            return _message(meant[0])
        wanted = " or ".join(dict.fromkeys(_SPOKEN[each] for each in sorted(_types(error) - {"integer"})))
        return f"{msgspec.json.encode(error.instance).decode()[:100]} is given; {wanted} is wanted"
    options = getattr(error.kind, "options", None)
    if not isinstance(options, list):
        return str(error.message)
    return f"{error.instance!r} is not one of {', '.join(map(str, options))}"


_SPOKEN = {
    "array": "a list", "boolean": "true or false", "integer": "an integer", "null": "null", "number": "a number",
    "object": "an object", "string": "a string",
}  # fmt: skip
_OF_TEXT = frozenset({"pattern", "minLength", "maxLength", "format"})  # what only text is told
_JSON_TYPES = {
    "BOOL": "boolean", "INT": "integer", "UINT": "integer", "DOUBLE": "number", "STRING": "string", "BYTES": "string",
    "TIMESTAMP": "string", "DURATION": "string", "LIST": "array", "MAP": "object", "NULL": "null",
}  # fmt: skip


def _types(error: ValidationError) -> set[str]:
    """The JSON types that would do in place of a text; none where there is no telling. Any number may turn out to be an
    integer.
    """
    wanted: set[str] = set()
    for alternative in getattr(error.kind, "context", None) or [[error]]:
        types = {name for each in alternative for name in getattr(each.kind, "types", ())}
        if not types and not {each.kind.name for each in alternative} <= _OF_TEXT:
            return set()
        wanted |= types or {"string"}
    return wanted | ({"integer", "number"} if wanted & {"integer", "number"} else set())


def _type_at(value: Any, where: tuple[str | int, ...]) -> str | None:
    """The JSON type of what a template in a compiled configuration will give, where that is known."""
    for key in where:
        value = value[key]
    if not isinstance(value, Template):
        return None
    if len(value.parts) > 1 or value.is_text:
        return "string"
    only = value.parts[0]
    return _JSON_TYPES.get(only.returns.partition("<")[0]) if isinstance(only, Expression) else None


def _may_be_expression(instance: Any, path: Any, bare: frozenset[str]) -> bool:
    """A string with an expression in it may become any type when it is evaluated."""
    if not isinstance(instance, str):
        return False
    pattern = "".join("/*" if isinstance(key, int) else f"/{key}" for key in path)
    return has_expression(instance) or pattern in bare
