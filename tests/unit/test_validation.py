"""Every rule of validation, each at its place; all at once."""

import json
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from factories import REGISTRY, chain, definition, definitions, edge, node
from stepwire.definition.step import config_schema
from stepwire.definition.validate import MAX_ISSUES, check

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
        (definition([node("a", LOG, timeout="PT0S")]), [("bad-config", "a", None, "/data/timeout", None)]),
        (
            definition([node("a", "core.switch", {"cases": [{"handle": "error", "equals": 1}]})]),
            [("bad-config", "a", None, "/data/config", None)],
        ),
        (
            definition(
                [node("m", "core.map", {"items": [1]}, retry={"max_attempts": 2}), node("a") | {"parentId": "m"}]
            ),
            [("bad-config", "m", None, "/data/retry", None)],
        ),
        (
            definition([node("m", "core.map", {"items": [1] * 10_001}), node("a") | {"parentId": "m"}]),
            [("bad-config", "m", None, "/data/config", None)],
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


@pytest.mark.parametrize("count", [25, 26])
def test_a_workflow_has_at_most_a_hundred_uses_of_opt_map_since_each_doubles_what_is_compiled(count: int) -> None:
    source = "input.?a.optMap(a, a).optMap(b, b).optFlatMap(c, optional.of(c)).optMap(d, d).orValue(1)"
    found = issues(chain(*(node(f"s{number}", LOG, {"message": f"{{{{ {source} }}}}"}) for number in range(count))))

    assert [code for code, *_ in found] == ([] if count == 25 else ["too-many-optionals"])


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


def said(raw: dict[str, Any]) -> list[str]:
    return [issue.message for issue in check(raw, REGISTRY).issues]


@pytest.mark.parametrize(
    ("step_type", "meant"),
    [("core.lgo", "core.log"), ("http.requst", "http.request"), ("core.switchh", "core.switch"), ("core.marge", "core.merge")],
)  # fmt: skip
def test_a_misspelt_step_type_is_told_what_was_meant(step_type: str, meant: str) -> None:
    (message,) = said(definition([node("a", step_type, {})]))

    assert f"Did you mean {meant!r}?" in message


def test_who_names_a_step_in_a_container_from_behind_it_is_told_where_its_outputs_are() -> None:
    each, inner = node("each", "core.map", {"items": [1]}), {**node("inner"), "parentId": "each"}
    after = node("after", LOG, {"message": "{{ steps.inner.output }}"})

    checked = check(definition([each, inner, after], [edge("each", "after")]), REGISTRY)

    assert [each.message for each in checked.issues] == [
        "Step 'inner' runs once per item of 'each'; read the list of what came of it, the output of 'each'."
    ]


def test_of_alternatives_it_is_said_what_is_wanted() -> None:
    def said(config: dict[str, Any]) -> str:
        graph = definition([node("a", "http.request", {"url": "https://example.com", **config})])
        return check(graph, REGISTRY).issues[0].message

    assert said({"headers": {"A": None}}) == "null is given; true or false or a number or a string is wanted."
    assert said({"timeout": 301}) == "301 is greater than the maximum of 300.0."


@pytest.mark.parametrize(
    ("size", "depth", "is_sound"), [(1000, 0, True), (1001, 0, False), (328, 2, True), (329, 2, False)]
)
def test_the_ids_that_make_a_steps_path_have_a_limit(size: int, depth: int, is_sound: bool) -> None:
    ids = [str(level) * size for level in range(depth + 1)]
    nodes = [node(each, "core.map", {"items": [1]}) for each in ids[:-1]] + [node(ids[-1])]
    for outer, inner in pairwise(nodes):
        inner["parentId"] = outer["id"]

    assert issues(definition(nodes)) == ([] if is_sound else [("bad-id", ids[-1], None, None, None)])


@pytest.mark.parametrize("container", ["each", "a[0].b", "a[0].b[1].c"])
def test_no_id_reads_like_a_step_within_an_item(container: str) -> None:
    nodes = [node(container, "core.map", {"items": [1]}), {**node("x"), "parentId": container}]
    like = f"{container}[1].x"

    assert issues(definition([*nodes, node(like)])) == [("ambiguous-id", like, None, None, None)]
    assert issues(definition([*nodes, node(f"{container}[1]x"), node("other[1].x")])) == []


def test_an_id_that_is_longer_in_bytes_than_in_characters_is_measured_in_bytes() -> None:
    assert issues(definition([node("é" * 501)])) == [("bad-id", "é" * 501, None, None, None)]


def test_a_step_without_an_id_contains_nothing() -> None:
    assert issues(definition([node(""), node("a")])) == [("bad-id", "", None, None, None)]


def test_a_switch_has_no_handle_that_an_expression_names() -> None:
    case = {"handle": "{{ input.way }}", "equals": 1}

    assert issues(definition([node("a", "core.switch", {"cases": [case]})])) == [
        ("bad-config", "a", None, "/data/config", None)
    ]


def test_a_whole_number_of_attempts_is_one_however_it_is_written() -> None:
    assert issues(definition([node("a", LOG, retry={"max_attempts": 3.0})])) == []
    assert issues(definition([node("a", LOG, retry={"max_attempts": 2.5})])) != []


def test_a_misspelt_handle_is_told_what_was_meant_and_a_strange_one_is_not() -> None:
    nodes = [node("a", "core.condition"), node("b")]

    assert "Did you mean 'true'?" in said(definition(nodes, [edge("a", "b", "ture")]))[0]
    assert "Did you mean" not in said(definition(nodes, [edge("a", "b", "nothing")]))[0]


def test_a_node_without_any_type_and_one_with_a_strange_type_of_its_own_are_told_apart() -> None:
    raw = definition(
        [{"id": "1", "data": {"label": "x"}}, {"id": "2", "type": "input", "data": None}, node("3", "x", {})]
    )

    assert [each[3] for each in issues(raw)] == ["/data/step_type"] * 3
    assert said(raw)[0].startswith("The node names no step type")
    assert said(raw)[1].startswith("There is no step type 'input'")


def test_every_fault_of_a_retry_is_said() -> None:
    retry = {
        "max_attempts": 0,
        "initial_interval": "x",
        "max_interval": [],
        "multiplier": 10**400,
        "jitter": 2,
        "x/y": 1,
    }

    assert [each[3] for each in issues(definition([node("a", LOG, retry=retry)]))] == [
        "/data/retry/max_attempts", "/data/retry/initial_interval", "/data/retry/max_interval", "/data/retry/multiplier",
        "/data/retry/jitter", "/data/retry/x~1y",
    ]  # fmt: skip
    assert issues(definition([node("a", LOG, retry=[])])) == [("bad-config", "a", None, "/data/retry", None)]


@pytest.mark.parametrize("timeout", [10**400, "PT٣S", "P", "pt5s", "5", True, [], {}, -1, "PT" + "9" * 400 + "S"])
def test_a_timeout_that_is_none_is_said(timeout: Any) -> None:
    assert issues(definition([node("a", LOG, timeout=timeout)])) == [("bad-config", "a", None, "/data/timeout", None)]


@pytest.mark.parametrize(
    ("step_type", "config", "place"),
    [
        ("core.condition", {"expression": "1 + 1"}, "/expression"),
        ("core.condition", {"expression": "is {{ true }}"}, "/expression"),
        ("core.switch", {"cases": [{"handle": "a", "when": "{{ 'yes' }}"}]}, "/cases/0/when"),
        ("webhook.respond", {"status": "{{ [200] }}"}, "/status"),
        ("core.workflow", {"workflow_id": "{{ input.id }}", "input": "{{ null }}"}, "/input"),
        ("http.request", {"url": "https://example.com", "timeout": "{{ {'a': 1} }}"}, "/timeout"),
    ],
)
def test_an_expression_whose_type_is_known_not_to_fit_is_said(step_type: str, config: Any, place: str) -> None:
    raw = definition([node("a", step_type, config)])

    assert issues(raw) == [("expression-type", "a", None, f"/data/config{place}", None)]


@pytest.mark.parametrize(
    ("step_type", "config"),
    [
        ("core.condition", {"expression": "input.a"}),
        ("core.condition", {"expression": "{{ input.a > 1.0 }}"}),
        ("webhook.respond", {"status": "{{ 100.0 * 2.0 }}"}),
        ("webhook.respond", {"status": "{{ 200 }}", "body": "{{ [1] }}"}),
        ("http.request", {"url": "{{ 'https://' + input.host }}", "timeout": "{{ duration('5s') }}"}),
        ("core.delay", {"until": "{{ timestamp('2030-01-01T00:00:00Z') }}"}),
        ("core.workflow", {"workflow_id": "{{ 5 }}"}),
    ],
)
def test_an_expression_whose_type_may_fit_is_not_complained_of(step_type: str, config: Any) -> None:
    assert issues(definition([node("a", step_type, config)])) == []


EDITOR_NODE = {
    "position": {"x": 1.5, "y": -2}, "measured": {"width": 150, "height": 40}, "width": 150, "selected": True,
    "dragging": False, "positionAbsolute": {"x": 0, "y": 0}, "style": {"zIndex": -1}, "sourcePosition": "right",
    "extent": "parent", "expandParent": True, "draggable": None, "className": "nice",
}  # fmt: skip
EDITOR_EDGE = {
    "sourceHandle": None, "targetHandle": None, "type": "smoothstep", "animated": True, "label": "then", "selected": False,
    "markerEnd": {"type": "arrowclosed"}, "style": {"stroke": "#f00"}, "data": None, "interactionWidth": 20,
}  # fmt: skip


def test_what_an_editor_draws_around_the_steps_does_not_matter() -> None:
    raw = {
        "nodes": [
            {"id": "g", "type": "group", **EDITOR_NODE},
            {"id": "inner", "type": "group", "parentId": "g", "data": {}, **EDITOR_NODE},
            {"id": "text", "type": "note", "data": {"text": "{{ nothing"}},
            {"id": "1", "type": LOG, "parentId": "inner", "data": None, **EDITOR_NODE},
            {"id": "a/b[0].c é", "type": "custom", "parentId": "", "data": {"step_type": LOG, "label": "", "config": None}},
            node("end", LOG, {"message": '{{ steps["a/b[0].c é"].output }}'}) | EDITOR_NODE,
        ],
        "edges": [
            {"id": "1", "source": "1", "target": "a/b[0].c é", **EDITOR_EDGE},
            {"id": "1", "source": "a/b[0].c é", "target": "end", **EDITOR_EDGE},
        ],
        "viewport": {"x": 0.1, "y": 0, "zoom": 0.5},
        "more": [None],
    }  # fmt: skip

    assert issues(raw) == []


def test_cycles_apart_are_each_said_with_their_own_steps() -> None:
    drawn = [edge(*pair) for pair in ("ab", "ba", "bc", "cd", "de", "ec", "ff")]

    assert said(definition([node(name) for name in "abcdef"], drawn)) == [
        "The steps a → b → a form a cycle.",
        "The steps c → d → e → c form a cycle.",
        "The steps f → f form a cycle.",
    ]


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"nodes": None}, "/nodes"),
        ({"nodes": {}}, "/nodes"),
        ({"nodes": [None]}, "/nodes/0"),
        ({"nodes": [{"type": LOG}]}, "/nodes/0"),
        ({"nodes": [{"id": 1}]}, "/nodes/0/id"),
        ({"nodes": [{"id": "a", "data": []}]}, "/nodes/0/data"),
        ({"edges": [{"id": "e", "source": "a"}]}, "/edges/0"),
        ({"edges": [{"id": "e", "source": "a", "target": None}]}, "/edges/0/target"),
    ],
)
def test_what_is_no_graph_is_said_at_its_place(raw: dict[str, Any], path: str) -> None:
    assert issues(raw) == [("shape", None, None, path, None)]


def test_very_many_faults_are_counted_and_not_all_said() -> None:
    found = issues(definition([node("a")], [edge("a", "gone", edge_id=f"e{number}") for number in range(50_000)]))

    assert len(found) == MAX_ISSUES + 1
    assert found[-1][0] == "too-many-issues"


def test_a_mebibyte_of_escaped_braces_is_one_literal() -> None:
    plan = check(definition([node("a", LOG, {"message": "{{{{" * 2000})]), REGISTRY).plan

    assert plan is not None
    assert plan.steps["a"].config.value["message"] == "{{" * 2000


@given(st.data(), definitions())
def test_no_change_to_a_valid_definition_makes_validation_stumble(data: st.DataObject, raw: dict[str, Any]) -> None:
    """Some value, anywhere in it, is put out or replaced."""
    place: Any = raw
    for _ in range(data.draw(st.integers(0, 4))):
        inner = (
            place[data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))]
            if place
            else None
        )
        if not isinstance(inner, dict | list) or not inner:
            break
        place = inner
    if place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if data.draw(st.booleans()):
            del place[key]
        else:
            place[key] = data.draw(JSON | st.floats() | st.just(10**400) | st.just("{{ steps.s0.output }}"))
    checked = check(raw, REGISTRY)

    assert (checked.plan is None) == bool(checked.issues)
    json.dumps([issue.message for issue in checked.issues])
