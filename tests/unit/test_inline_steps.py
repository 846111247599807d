"""The steps without I/O: what they choose, wait for, and refuse."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from factories import REGISTRY
from stepwire.definition.durations import seconds_of
from stepwire.definition.input_schema import InputSchema
from stepwire.errors import InvalidInput, InvalidInputSchema
from stepwire.steps.base import InlineContext, InlineStep, Outcome, StepFailed, Wait

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def evaluate(step_type: str, config: dict[str, Any], **context: Any) -> Outcome | Wait:
    step = REGISTRY[step_type]
    assert isinstance(step, InlineStep)
    known = {"now": NOW, "run_input": {"n": 1}, "sources": {}} | context
    return step.evaluate(msgspec.convert(config, step.config), InlineContext(**known))


@pytest.mark.parametrize(("value", "handle"), [(True, "true"), (False, "false")])
def test_a_condition_takes_the_handle_of_its_value(value: bool, handle: str) -> None:
    assert evaluate("core.condition", {"expression": value}) == Outcome({"result": value}, (handle,))


@pytest.mark.parametrize(
    ("value", "cases", "handle"),
    [
        ("b", [{"handle": "one", "equals": "a"}, {"handle": "two", "equals": "b"}], "two"),
        ("c", [{"handle": "one", "equals": "a"}], "default"),
        ("a", [{"handle": "one", "equals": "a"}, {"handle": "two", "equals": "a"}], "one"),
        (1, [{"handle": "yes", "equals": True}, {"handle": "one", "equals": 1.0}], "one"),
        (None, [{"handle": "null", "equals": None}], "null"),
        (
            {"a": [1, True]},
            [{"handle": "no", "equals": {"a": [1, 1]}}, {"handle": "yes", "equals": {"a": [1.0, True]}}],
            "yes",
        ),
        ("x", [{"handle": "no", "when": False}, {"handle": "yes", "when": True}], "yes"),
        ("x", [], "default"),
    ],
)
def test_a_switch_takes_the_first_case_that_matches(value: Any, cases: list[Any], handle: str) -> None:
    assert evaluate("core.switch", {"value": value, "cases": cases}) == Outcome({"handle": handle}, (handle,))


def test_a_merge_has_the_outputs_of_the_live_sources() -> None:
    assert evaluate("core.merge", {}, sources={"a": 1, "b": None}) == Outcome({"a": 1, "b": None})


def test_a_trigger_gives_the_runs_input() -> None:
    assert evaluate("trigger.manual", {}) == Outcome({"n": 1})


@pytest.mark.parametrize(
    ("config", "seconds"),
    [({"duration": 90}, 90), ({"duration": "PT1M30S"}, 90), ({"until": "2026-01-01T01:01:30+01:00"}, 90)],
)
def test_a_delay_waits_until_it_is_over(config: dict[str, Any], seconds: int) -> None:
    due_at = NOW + timedelta(seconds=seconds)

    assert evaluate("core.delay", config) == Wait(due_at, {"until": "2026-01-01T00:01:30Z"})


def test_a_delay_that_is_over_is_none() -> None:
    assert evaluate("core.delay", {"duration": 0}) == Outcome({"until": "2026-01-01T00:00:00Z"})
    assert isinstance(evaluate("core.delay", {"until": "2020-01-01T00:00:00Z"}), Outcome)


@pytest.mark.parametrize("config", [{}, {"duration": "soon"}, {"until": "2026-01-01T00:00:00"}, {"duration": -1}])
def test_a_delay_that_says_nothing_fails(config: dict[str, Any]) -> None:
    with pytest.raises(StepFailed):
        evaluate("core.delay", config)


def test_a_fail_step_fails_with_its_message() -> None:
    with pytest.raises(StepFailed, match="no stock"):
        evaluate("core.fail", {"message": "no stock"})
    with pytest.raises(StepFailed, match=r"^x{4096}$"):
        evaluate("core.fail", {"message": "x" * 5000})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0),
        (1.5, 1.5),
        ("PT5S", 5),
        ("PT0.25S", 0.25),
        ("P1DT12H", 129_600),
        ("P2W", 1_209_600),
        ("PT1H1M", 3660),
        ("PT0,5S", 0.5),
    ],
)
def test_a_duration_is_seconds_or_iso_8601(value: Any, seconds: float) -> None:
    assert seconds_of(value) == seconds


@pytest.mark.parametrize("value", [None, True, -1, "5", "P", "PT", "PT-5S", float("nan"), "P" + "9" * 400 + "D"])
def test_what_is_no_duration_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"duration|ISO|ten years"):
        seconds_of(value)


@pytest.mark.parametrize("value", ["P1M", "P1Y", "P1Y2M10DT2H30M", "P1M1D"])
def test_months_and_years_are_told_that_they_have_no_fixed_length(value: str) -> None:
    with pytest.raises(ValueError, match="give days, such as P30D"):
        seconds_of(value)


def test_an_input_schema_says_every_place_that_does_not_fit() -> None:
    schema = InputSchema({"properties": {"a": {"type": "string"}, "b": {"minimum": 3}}, "$defs": {"x": {}}})
    schema.check({"a": "x", "b": 3})
    with pytest.raises(InvalidInput) as refused:
        schema.check({"a": 1, "b": 2})

    assert {issue.path for issue in refused.value.issues} == {"/input/a", "/input/b"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"},
        {"$ref": "https://example.com/schema.json"},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"minimum": "three"},
        {"$ref": "#/nowhere"},
        {"pattern": "("},
        {"pattern": "((a{1000}){1000}){1000}"},
        {"$ref": "#/$defs/0", "$defs": {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)}},
        {"$ref": "#/$defs/0", "$defs": {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(20_000)}},
    ],
)
def test_an_input_schema_that_cannot_be_used_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputSchema):
        InputSchema(schema)


SELF = {"properties": {"x": {"$ref": "#"}}}
COSTLY = [
    {"properties": {"y": {"pattern": "^(a+)+$"}}},
    {"properties": {"y": {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False, "type": "integer"}}},
    {"allOf": [SELF, SELF], "properties": {"y": {"type": "integer"}}},
    {"oneOf": [SELF, SELF | {"required": ["z"]}], "properties": {"y": {"type": "integer"}}},
]


@pytest.mark.parametrize("schema", COSTLY, ids=str)
def test_an_input_schema_that_could_take_for_ever_does_not(schema: dict[str, Any]) -> None:
    """Expressions that search in vain, and references that branch at every level: 2^60 steps done one by one."""
    value: dict[str, Any] = {"y": "a" * 5000 + "!"}
    for _ in range(60):
        value = {"x": value, "y": value["y"]} if "properties" in str(schema) and "#" in str(schema) else value

    found = InputSchema(schema)
    with pytest.raises(InvalidInput) as refused:
        found.check(value)
    assert refused.value.issues


def test_a_recursive_input_schema_says_where_a_tree_does_not_fit() -> None:
    branches = {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "value": {"type": "integer"}}
    schema = InputSchema({"type": "object", "properties": branches, "additionalProperties": False})
    schema.check({"left": {"right": {"value": 1}}})
    with pytest.raises(InvalidInput) as refused:
        schema.check({"left": {"value": 1, "right": {"value": "x"}}, "right": {"other": 1}})

    assert {issue.path for issue in refused.value.issues} == {"/input/left/right/value", "/input/right"}
