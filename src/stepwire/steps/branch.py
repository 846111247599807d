"""``core.condition`` and ``core.switch``: which way a run goes on."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from stepwire.definition.plan import Handles
from stepwire.steps.base import BuiltIn, InlineContext, Outcome, StepFailed


class ConditionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    expression: Annotated[
        bool, Meta(title="Expression", description="True or false", examples=["{{ input.amount > 100 }}"])
    ]


class Condition(BuiltIn):
    """Go on at ``true`` or at ``false``."""

    type = "core.condition"
    kind: ClassVar[Literal["pure"]] = "pure"
    title = "Condition"
    description = "Goes on at the handle `true` or `false`, as the expression says."
    category = "Flow"
    icon = "split"
    config = ConditionConfig
    expressions = frozenset({"/expression"})
    output_schema: ClassVar = {"type": "object", "properties": {"result": {"type": "boolean"}}, "required": ["result"]}
    examples: ClassVar = [{"expression": "{{ input.amount > 100 }}"}]

    def handles(self, config: Mapping[str, Any]) -> Handles:
        return Handles(outputs=("true", "false"))

    def evaluate(self, config: ConditionConfig, context: InlineContext) -> Outcome:
        return Outcome(output={"result": config.expression}, handles=("true" if config.expression else "false",))


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way out: taken when the value equals ``equals``, or when ``when`` is true."""

    handle: Annotated[str, Meta(title="Handle", min_length=1, max_length=100)]
    equals: Annotated[Any, Meta(title="Equals")] | UnsetType = UNSET
    when: (
        Annotated[Any, Meta(title="When", description="True or false", extra_json_schema={"type": "boolean"})]
        | UnsetType
    ) = UNSET  # what is no truth value is refused when it is come to, if it is


class SwitchConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    value: Annotated[Any, Meta(title="Value", description="What the cases are compared with")] = None
    cases: Annotated[list[Case], Meta(title="Cases", description="The first match wins", max_length=100)] = []


class Switch(BuiltIn):
    """Go on at the handle of the first case that matches, else at the default one."""

    type = "core.switch"
    kind: ClassVar[Literal["pure"]] = "pure"
    title = "Switch"
    description = "Goes on at the handle of the first case that matches, else at the default handle."
    category = "Flow"
    icon = "route"
    config = SwitchConfig
    expressions = frozenset({"/cases/*/when"})
    deferred = frozenset({"/cases/*/when"})  # "first match wins": what comes later cannot fail it
    output_schema: ClassVar = {"type": "object", "properties": {"handle": {"type": "string"}}, "required": ["handle"]}
    examples: ClassVar = [
        {
            "value": "{{ input.tier }}",
            "cases": [{"handle": "gold", "equals": "gold"}, {"handle": "large", "when": "{{ input.total > 1000 }}"}],
        }
    ]

    def handles(self, config: Mapping[str, Any]) -> Handles:
        cases = config.get("cases")
        named = [case.get("handle") for case in cases if isinstance(case, dict)] if isinstance(cases, list) else []
        return Handles(outputs=(*(name for name in named if isinstance(name, str) and name), "default"))

    def check(self, config: Mapping[str, Any]) -> str | None:
        cases = config.get("cases")
        for number, case in enumerate(cases if isinstance(cases, list) else []):
            if isinstance(case, dict) and ("equals" in case) == ("when" in case):
                return f"Case {number + 1} needs either `equals` or `when`."
            if isinstance(case, dict) and case.get("handle") == "error":
                return f"Case {number + 1} needs another handle: `error` is where a failure of the step goes on."
            if isinstance(case, dict) and isinstance(case.get("handle"), str) and "{{" in case["handle"]:
                return f"Case {number + 1} needs another handle: edges leave from it, so no expression names it."
        return None

    def evaluate(self, config: SwitchConfig, context: InlineContext) -> Outcome:
        handle = next((case.handle for case in config.cases if _matches(case, config.value)), "default")
        return Outcome(output={"handle": handle}, handles=(handle,))


def _matches(case: Case, value: Any) -> bool:
    if isinstance(case.when, bool):
        return case.when
    if isinstance(case.when, dict) and isinstance(case.when.get("error"), str):
        raise StepFailed("expression-failed", case.when["error"])
    if case.when is not UNSET:
        raise StepFailed("bad-config", f"What case {case.handle!r} has for `when` is neither true nor false.")
    if case.equals is UNSET:
        raise StepFailed("bad-config", f"Case {case.handle!r} needs either `equals` or `when`.")
    return _same(case.equals, value)


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON values: 1 and 1.0 are the same number, but true is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)
