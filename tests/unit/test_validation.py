"""Every rule of validation, each at its place; all at once."""

import json
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from factories import REGISTRY, chain, definition, edge, node
from stepwire.definition.step import config_schema
from stepwire.definition.validate import check

LOG = "core.log"


def issues(raw: dict[str, Any]) -> list[tuple[str, str | None, str | None, str | None, int | None]]:
    checked = check(raw, REGISTRY)
    assert (checked.plan is None) == bool(checked.issues)
    return [(each.code, each.node_id, each.edge_id, each.path, each.column) for each in checked.issues]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (definition([]), [("empty", None, None, None, None)]),
        (definition([{"id": "n", "type": "note", "data": {}}]), [("empty", None, None, None, None)]),
        (
            definition([node("a", LOG), node("a", LOG)]),
            [("duplicate-node", "a", None, None, None)],
        ),
        (
            definition([node("a", LOG)], [edge("a", "gone", edge_id="e")]),
            [("dangling-edge", None, "e", None, None)],
        ),
        (
            definition([node("a", LOG), {"id": "g", "type": "group"}], [edge("a", "g", edge_id="e")]),
            [("dangling-edge", None, "e", None, None)],
        ),
        (
            definition([node("a", LOG), node("b", LOG)], [edge("a", "b"), edge("b", "a")]),
            [("cycle", "a", None, None, None)],
        ),
        (definition([node("a", LOG)], [edge("a", "a")]), [("cycle", "a", None, None, None)]),
        (definition([node("a", "no.such", {})]), [("unknown-step-type", "a", None, "/data/step_type", None)]),
        (
            definition([node("a", LOG), node("b", LOG)], [edge("a", "b", "other", edge_id="e")]),
            [("unknown-handle", "a", "e", None, None)],
        ),
        (
            definition(
                [node("a", "core.condition", {"expression": True}), node("b", LOG)], [edge("a", "b", edge_id="e")]
            ),
            [("unknown-handle", "a", "e", None, None)],
        ),
        (
            definition([node("a", LOG), node("t", "trigger.manual", {})], [edge("a", "t", edge_id="e")]),
            [("unknown-handle", "t", "e", None, None), ("unreachable", "a", None, None, None)],
        ),
        (
            definition([node("t", "trigger.manual", {}), node("a", LOG)]),
            [("unreachable", "a", None, None, None)],
        ),
        (
            definition([node("a", LOG, {"level": "loud"})]),
            [("bad-config", "a", None, "/data/config/level", None)],
        ),
        (definition([node("a", LOG, {"other": 1})]), [("bad-config", "a", None, "/data/config", None)]),
        (definition([node("a", "core.delay", {})]), [("bad-config", "a", None, "/data/config", None)]),
        (
            definition([node("a", "core.delay", {"duration": "soon"})]),
            [("bad-config", "a", None, "/data/config", None)],
        ),
        (
            definition([node("a", LOG, {"message": "{{ input. }}"})]),
            [("expression-syntax", "a", None, "/data/config/message", 11)],
        ),
        (
            definition([node("a", LOG, {"message": "x {{ nothing.here }}"})]),
            [("unknown-variable", "a", None, "/data/config/message", 6)],
        ),
        (
            definition([node("a", LOG, {"message": "{{ steps.b.output }}"}), node("b", LOG)]),
            [("step-not-upstream", "a", None, "/data/config/message", 4)],
        ),
        (
            definition([node("a", LOG, {"message": "{{ steps.gone.output }}"})]),
            [("unknown-step", "a", None, "/data/config/message", 4)],
        ),
        (definition([node("a", LOG, timeout="P1Y")]), [("bad-config", "a", None, "/data/timeout", None)]),
        (definition([node("a", LOG, on_error="ignore")]), [("bad-config", "a", None, "/data/on_error", None)]),
        (definition([node("a", LOG, join="some")]), [("bad-config", "a", None, "/data/join", None)]),
        (
            definition([node("a", LOG, retry={"max_attempts": 0})]),
            [("bad-config", "a", None, "/data/retry/max_attempts", None)],
        ),
        (
            definition([node("a", LOG, retry={"initial_interval": "x"})]),
            [("bad-config", "a", None, "/data/retry/initial_interval", None)],
        ),
        (
            definition([node("a", LOG) | {"parentId": "gone"}]),
            [("unknown-parent", "a", None, None, None)],
        ),
    ],
)
def test_a_fault_is_said_at_its_place(raw: dict[str, Any], expected: list[Any]) -> None:
    assert issues(raw) == expected


def test_all_faults_are_said_at_once() -> None:
    raw = definition(
        [node("a", "no.such", {}), node("b", LOG, {"level": 1}), node("c", LOG, {"message": "{{ }}"})],
        [edge("a", "gone"), edge("b", "c"), edge("c", "b")],
    )

    assert {code for code, *_ in issues(raw)} == {
        "unknown-step-type", "bad-config", "expression-syntax", "dangling-edge", "cycle",
    }  # fmt: skip


@pytest.mark.parametrize("handle", [None, "", "default", "absent"])
def test_the_default_handle_has_many_names(handle: str | None) -> None:
    drawn = edge("a", "b", handle)
    if handle == "absent":
        del drawn["sourceHandle"]
    plan = check(definition([node("a", LOG), node("b", LOG)], [drawn]), REGISTRY).plan

    assert plan is not None
    assert plan.steps["b"].incoming[0].handle == "default"


def test_edges_that_share_an_id_are_two_and_one_drawn_twice_is_one() -> None:
    nodes = [node(name, LOG) for name in "abc"]
    plan = check(
        definition(nodes, [edge("a", "b", edge_id="e"), edge("a", "c", edge_id="e"), edge("a", "b", edge_id="f")]),
        REGISTRY,
    ).plan

    assert plan is not None
    assert plan.steps["a"].downstream == ("b", "c")
    assert len(plan.steps["b"].incoming) == 1


def test_a_nodes_own_type_is_its_step_type_where_data_names_none() -> None:
    plan = check({"nodes": [{"id": "a", "type": LOG, "data": {"config": {}}}], "edges": []}, REGISTRY).plan

    assert plan is not None
    assert plan.steps["a"].type == LOG


def test_children_of_a_group_are_steps_like_others() -> None:
    nodes = [{"id": "g", "type": "group", "data": {}}, node("a", LOG) | {"parentId": "g"}]

    assert issues(definition(nodes)) == []


@pytest.mark.parametrize("count", [2000, 2001])
def test_a_workflow_has_at_most_two_thousand_steps(count: int) -> None:
    found = issues(chain(*(node(f"s{number}", LOG, {}) for number in range(count))))

    assert [code for code, *_ in found] == ([] if count == 2000 else ["too-many-steps"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NODES = st.fixed_dictionaries(
    {"id": st.sampled_from("abc"), "data": st.fixed_dictionaries({"config": JSON, "retry": JSON, "timeout": JSON})},
    optional={
        "type": st.sampled_from([LOG, "core.switch", "core.delay", "http.request", "group", "x"]),
        "parentId": JSON,
    },
)
EDGES = st.fixed_dictionaries(
    {"id": st.just("e"), "source": st.sampled_from("abcd"), "target": st.sampled_from("abcd")},
    optional={"sourceHandle": st.sampled_from([None, "error", "x"])},
)


@given(st.fixed_dictionaries({"nodes": st.lists(NODES, max_size=4), "edges": st.lists(EDGES, max_size=4)}) | JSON)
def test_nothing_that_is_drawn_makes_validation_stumble(raw: Any) -> None:
    checked = check(raw, REGISTRY)

    assert (checked.plan is None) == bool(checked.issues)
    json.dumps([issue.message for issue in checked.issues])


@pytest.mark.parametrize("step_type", [step.type for step in REGISTRY])
def test_the_examples_of_a_step_type_fit_its_schema_and_validate(step_type: str) -> None:
    step = REGISTRY[step_type]
    schema = config_schema(step.config)
    Draft202012Validator.check_schema(schema)

    assert schema["type"] == "object"
    assert step.title
    assert step.description
    for example in step.examples:
        inner = [{**node("b"), "parentId": "a"}] if step.is_container else []
        assert issues(definition([node("a", step_type, example), *inner])) == []


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=16))
def test_cycles_are_found_when_and_only_when_there_are_some(pairs: list[tuple[int, int]]) -> None:
    graph = definition(
        [node(f"n{number}") for number in range(8)],
        [edge(f"n{source}", f"n{target}") for source, target in pairs],
    )
    found = [each.message for each in check(graph, REGISTRY).issues if each.code == "cycle"]
    sources = {number: {source for source, target in pairs if target == number} for number in range(8)}
    for message in found:
        path = [int(name[1:]) for name in message.split() if name.startswith("n")]
        assert path[0] == path[-1]
        assert all(one in sources[other] for one, other in pairwise(path)), "each step of it is an edge"
        for number in path:
            sources[number] = set()

    TopologicalSorter(sources).prepare()  # raises where a cycle is left
