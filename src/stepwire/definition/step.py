"""One node compiled to a step, with everything that is wrong with its ``data``."""

from functools import lru_cache
from typing import Any

import msgspec
from jsonschema_rs import Draft202012Validator, ValidationError

from stepwire.definition.durations import seconds_of
from stepwire.definition.expressions import Scope
from stepwire.definition.graph import Node
from stepwire.definition.nearest import did_you_mean
from stepwire.definition.plan import NO_RETRY, Catalog, Link, RetryPolicy, Step, StepSpec
from stepwire.definition.templates import Compiled, compile_value, has_expression, pointer
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
        retry=data.retry(),
        timeout=data.duration("timeout"),
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


class _Data:
    """A node's ``data``, read key by key, collecting what is wrong."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.issues: list[Issue] = []

    def wrong(self, path: str, message: str, code: str = "bad-config") -> None:
        self.issues.append(Issue(code=code, message=message, node_id=self.node.id, path=path))

    def duration(self, key: str) -> float | None:
        value = self.node.settings.get(key)
        if value is None:
            return None
        try:
            return seconds_of(value)
        except ValueError as error:
            self.wrong(f"/data/{key}", str(error))
            return None

    def choice(self, key: str, choices: tuple[str, str]) -> Any:
        value = self.node.settings.get(key)
        if value is not None and value not in choices:
            self.wrong(f"/data/{key}", f"{key} is one of {', '.join(choices)}.")
        return value if value in choices else choices[0]

    def retry(self) -> RetryPolicy:
        raw = self.node.settings.get("retry")
        if raw is None:
            return NO_RETRY
        if not isinstance(raw, dict):
            self.wrong("/data/retry", "retry is an object.")
            return NO_RETRY
        values: dict[str, Any] = {}
        for key, value in raw.items():  # one by one, so that each that is wrong is said
            try:
                values[key] = seconds_of(value) if key in _INTERVALS else value
                msgspec.convert({key: values[key]}, RetryPolicy)
            except ValueError as error:
                self.wrong(f"/data/retry/{pointer(key)}", str(error).partition(" - at `$")[0].rstrip(".") + ".")
        return NO_RETRY if self.issues else msgspec.convert(values, RetryPolicy)


def _compile_config(data: _Data, spec: StepSpec, scope: Scope) -> Compiled:
    raw = data.node.settings.get("config")
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        data.wrong("/data/config", "The configuration is an object.")
        return Compiled({}, is_static=True)
    for error in _validator(spec.config).iter_errors(raw):
        if not _may_be_expression(error.instance, error.instance_path, spec.expressions):
            path = "".join(f"/{pointer(key)}" for key in error.instance_path)
            data.wrong(f"/data/config{path}", _message(error)[:300].rstrip(".") + ".")
    if (fault := spec.check(raw)) is not None:
        data.wrong("/data/config", fault)
    compiled, issues = compile_value(raw, scope, spec.expressions)
    data.issues.extend(
        msgspec.structs.replace(issue, node_id=data.node.id, path=f"/data/config{issue.path or ''}") for issue in issues
    )
    return compiled


def _message(error: ValidationError) -> str:
    """What is wrong, with all that it could be."""
    options = getattr(error.kind, "options", None)
    if not isinstance(options, list):
        return str(error.message)
    return f"{error.instance!r} is not one of {', '.join(map(str, options))}"


def _may_be_expression(instance: Any, path: Any, bare: frozenset[str]) -> bool:
    """A string with an expression in it may become any type when it is evaluated."""
    if not isinstance(instance, str):
        return False
    pattern = "".join("/*" if isinstance(key, int) else f"/{key}" for key in path)
    return has_expression(instance) or pattern in bare
