"""A stranger's step type, looked through before it is taken in, and held at arm's length after that.

Its attributes are read once. Its functions get copies and may raise or return anything: what they do wrong fails the
step, or the one request, that asked them.
"""

import inspect
import logging
import re
from collections.abc import Mapping
from typing import Any, cast, get_args

import msgspec
from jsonschema_rs import ReferencingError, ValidationError, meta

from stepwire.definition.graph import DECORATIONS
from stepwire.definition.plan import ConfigType, Handles, StepKind
from stepwire.definition.schema_graph import DIALECT
from stepwire.definition.step import config_schema
from stepwire.errors import StepwireError
from stepwire.steps.base import EffectContext, EffectStep, InlineContext, InlineStep, Outcome, Wait
from stepwire.steps.outcome import plain_json, plain_outcome, raised, text

log = logging.getLogger(__name__)
MAX_SHOWN_BYTES = 256 << 10  # of what the catalog says about one step type
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_KINDS = tuple(kind for kind in get_args(StepKind) if kind != "trigger")  # triggers fire by their built-in names


class Malformed(StepwireError):
    """A plug-in that is no step type, with a sentence on what is wrong."""

    kind, title = "malformed-step-type", "Not a step type"


class PluginStep:
    """A step type from an installed package."""

    def __init__(self, step: Any) -> None:
        """Look it through.

        Raises:
            Malformed: what is wrong. Anything else that its own code raises.
        """
        self._step = step
        self.is_container = False
        self.deferred: frozenset[str] = frozenset()
        self.type = _matching(step, "type")
        self.kind: StepKind = _one_of(step, "kind", _KINDS)
        self.title, self.description = _string(step, "title"), _string(step, "description")
        self.category, self.icon = _string(step, "category"), _string(step, "icon")
        self.config = _config(step)
        self.expressions = frozenset(_strings(step, "expressions"))
        self.output_schema: dict[str, Any] | None = _json(step, "output_schema", dict, type(None))
        self.examples: list[dict[str, Any]] = _json(step, "examples", list)
        _judge_schema(self.output_schema)
        _judge_functions(step, self.kind)
        self._default_handles = _plain_handles(self._step.handles({}))

    def handles(self, config: Mapping[str, Any]) -> Handles:
        """As the plug-in says; those of an empty configuration where it cannot say."""
        try:
            return _plain_handles(self._step.handles(copied(config)))
        except BaseException:
            log.exception("Step type %s cannot name the handles of a configuration", self.type)
            return self._default_handles

    def check(self, config: Mapping[str, Any]) -> str | None:
        """As the plug-in says; a check that breaks is a fault of the configuration, too."""
        try:
            fault = self._step.check(copied(config))
        except BaseException as error:
            log.exception("Step type %s cannot check a configuration", self.type)
            return f"The step type's own check failed. {raised(error).detail}"
        return None if fault is None else text(fault, 1000)

    def evaluate(self, config: Any, context: InlineContext) -> Outcome | Wait:
        """Run an inline attempt."""
        return cast("Outcome | Wait", cast("InlineStep", self._step).evaluate(config, context))  # judged by `plain`

    async def execute(self, config: Any, context: EffectContext) -> Outcome | Wait:
        """Run an attempt of an effect."""
        return await cast("EffectStep", self._step).execute(config, context)

    def plain(self, given: Any, config: Any, max_bytes: int) -> Outcome | Wait:
        """What an attempt with this raw configuration returned, if it is fit to be stored. Raises: StepFailed."""
        return plain_outcome(given, self.handles(config).outputs, max_bytes)


def copied(value: Any) -> Any:
    """A JSON value of the reader's own: plans share their configurations between runs."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _get(step: object, name: str) -> Any:
    try:
        return getattr(step, name)
    except AttributeError:
        raise Malformed(f"It has no `{name}`.") from None


def _string(step: object, name: str) -> str:
    value = _get(step, name)
    if not isinstance(value, str) or not value.strip() or value != text(value, 2000):
        raise Malformed(f"Its `{name}` is not a text of 1 to 2,000 characters.")
    return str(value)


def _strings(step: object, name: str) -> list[str]:
    values = _get(step, name)
    if not isinstance(values, frozenset | set | tuple | list) or not all(isinstance(each, str) for each in values):
        raise Malformed(f"Its `{name}` is not a set of strings.")
    return [str(each) for each in values]


def _matching(step: object, name: str) -> str:
    value = _string(step, name)
    if not _NAME.fullmatch(value) or value in DECORATIONS:
        raise Malformed(f"Its `{name}` is not a name such as `acme.greet`: letters, digits, `.`, `_` and `-`.")
    return value


def _one_of(step: object, name: str, choices: tuple[Any, ...]) -> Any:
    value = _get(step, name)
    if value not in choices:
        raise Malformed(f"Its `{name}` is not one of {', '.join(choices)}.")
    return value


def _json(step: object, name: str, *types: type) -> Any:
    value = _get(step, name)
    try:
        plain = plain_json(value, MAX_SHOWN_BYTES)
    except StepwireError as error:
        raise Malformed(f"Its `{name}` cannot be shown: {error.detail}") from None
    if not isinstance(plain, types) or (isinstance(plain, list) and not all(isinstance(each, dict) for each in plain)):
        raise Malformed(f"Its `{name}` is not what it should be: a JSON Schema, a list of configurations.")
    return plain


def _config(step: object) -> ConfigType:
    config = _get(step, "config")
    if not isinstance(config, type) or not issubclass(config, msgspec.Struct) or config.__struct_config__.array_like:
        raise Malformed("Its `config` is not a msgspec.Struct class that reads an object.")
    try:
        plain_json(config_schema(config), MAX_SHOWN_BYTES)
        msgspec.convert({}, config)
    except msgspec.ValidationError:
        pass  # it has required fields
    except Exception as error:
        raise Malformed(f"Its `config` cannot be read from JSON: {text(str(error), 500)}") from error
    return config


def _judge_schema(schema: dict[str, Any] | None) -> None:
    try:
        meta.validate({"$schema": DIALECT} | ({} if schema is None else schema))
    except (ValidationError, ReferencingError, ValueError, TypeError) as error:
        raise Malformed(
            f"Its `output_schema` is no JSON Schema: {text(getattr(error, 'message', error), 500)}"
        ) from None


def _judge_functions(step: object, kind: StepKind) -> None:
    wanted = "execute" if kind == "effect" else "evaluate"
    for name in ("handles", "check", wanted):
        if not callable(_get(step, name)):
            raise Malformed(f"Its `{name}` is not a function.")
    if inspect.iscoroutinefunction(_get(step, wanted)) is not (kind == "effect"):
        raise Malformed(f"A step of kind {kind} has {'an async' if kind == 'effect' else 'a plain'} `{wanted}`.")


def _plain_handles(given: Any) -> Handles:
    if not isinstance(given, Handles):
        raise Malformed("Its `handles` does not return Handles.")
    both: tuple[Any, ...] = (given.inputs, given.outputs)
    for names in both:
        if not isinstance(names, tuple) or not all(isinstance(name, str) and name == text(name, 100) for name in names):
            raise Malformed("Its handles are not tuples of names of up to 100 characters.")
    return Handles(tuple(map(str, given.inputs)), tuple(map(str, given.outputs)))
