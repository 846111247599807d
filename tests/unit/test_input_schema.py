"""JSON Schema 2020-12 for inputs: what fits, what is refused, where it is said, and what attacks come to."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwire.definition import input_schema
from stepwire.definition.input_schema import MAX_ISSUES, InputSchema
from stepwire.definition.schema_cost import BUDGET, SchemaCost
from stepwire.definition.schema_graph import DIALECT, MAX_BYTES, SchemaGraph
from stepwire.errors import InvalidInput, InvalidInputSchema

TREE = {"type": "object", "properties": {"value": {"type": "integer"}, "children": {"items": {"$ref": "#"}}}}
BRANCHES = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}, "additionalProperties": {"type": "integer"}}
ADDRESS = {
    "$id": "https://example.com/order",
    "properties": {"to": {"$ref": "address"}, "from": {"$ref": "https://example.com/address#/properties/street"}},
    "$defs": {"a": {"$id": "address", "properties": {"street": {"type": "string"}, "next": {"$ref": "#"}}}},
}


def faults(schema: Any, value: Any) -> list[tuple[str | None, str]]:
    with pytest.raises(InvalidInput) as refused:
        InputSchema(schema).check(value)
    assert refused.value.issues
    assert {issue.code for issue in refused.value.issues} == {"input"}
    return [(issue.path, issue.message) for issue in refused.value.issues]


def refusal(schema: Any) -> tuple[str | None, str]:
    with pytest.raises(InvalidInputSchema) as refused:
        InputSchema(schema)
    (issue,) = refused.value.issues
    return issue.path, issue.message


def nested(levels: int, key: str, innermost: Any) -> Any:
    for _ in range(levels):
        innermost = {key: innermost}
    return innermost


@pytest.mark.parametrize(
    ("schema", "fits", "does_not"),
    [
        (True, [1, None, {}], []),
        (False, [], [1, None, {}]),
        ({"type": "integer"}, [1, 1.0, 10**400, -5], [1.5, "1", True, None]),
        ({"type": "number"}, [1, 1.5, 10**400], [True, "1"]),
        ({"type": ["string", "null"]}, ["a", None], [1, False]),
        ({"type": "boolean"}, [True], [1, 0]),
        ({"type": "object"}, [{}], [[]]),
        ({"type": "array"}, [[]], [{}]),
        ({"enum": [1, "a", {"b": [2]}]}, [1, 1.0, "a", {"b": [2.0]}], [True, "b", {"b": []}]),
        ({"const": {"a": 1, "b": 2}}, [{"b": 2, "a": 1}], [{"a": 1}]),
        ({"const": 10**300}, [10**300], [10**300 + 1]),
        ({"multipleOf": 0.1}, [0.3, 4], [0.35]),
        ({"multipleOf": 3}, [9, 10**400 - 1], [10, 10**400]),
        ({"maximum": 3}, [3, "x"], [4, 3.1]),
        ({"exclusiveMaximum": 3}, [2.9], [3]),
        ({"minimum": 2**70}, [2**70], [2**70 - 1]),
        ({"exclusiveMinimum": 3}, [3.1], [3]),
        ({"maxLength": 2}, ["é😀", 555], ["abc"]),
        ({"minLength": 1}, ["😀"], [""]),
        ({"pattern": "^[a-z]+$"}, ["abc", 1], ["ab1", ""]),
        ({"pattern": "b"}, ["abc"], ["ac"]),
        ({"pattern": "^\\d{2}$"}, ["12"], ["١٢"]),
        ({"pattern": "^\\p{L}+$"}, ["Zoë"], ["a b"]),
        ({"maxItems": 1}, [[1]], [[1, 2]]),
        ({"minItems": 1}, [[1]], [[]]),
        ({"uniqueItems": True}, [[1, True, "1"], [{"a": 1}, {"a": 2}]], [[1, 1.0], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]]),
        ({"maxProperties": 1}, [{"a": 1}], [{"a": 1, "b": 2}]),
        ({"minProperties": 1}, [{"a": 1}], [{}]),
        ({"required": ["a"]}, [{"a": None}, 5], [{}]),
        ({"dependentRequired": {"a": ["b"]}}, [{}, {"b": 1}, {"a": 1, "b": 1}], [{"a": 1}]),
        ({"properties": {"a": {"type": "string"}}}, [{}, {"a": "x", "b": 1}], [{"a": 1}]),
        ({"patternProperties": {"^x": {"type": "string"}}}, [{"x1": "a", "y": 1}], [{"x1": 1}]),
        (
            {"properties": {"a": {}}, "patternProperties": {"^x": {}}, "additionalProperties": False},
            [{"a": 1, "x1": 1}],
            [{"b": 1}],
        ),
        ({"additionalProperties": {"type": "string"}}, [{"a": "x"}], [{"a": 1}]),
        ({"propertyNames": {"maxLength": 2}}, [{"ab": 1}], [{"abc": 1}]),
        ({"items": {"type": "string"}}, [[], ["a"]], [["a", 1]]),
        ({"prefixItems": [{"type": "string"}], "items": False}, [["a"], []], [[1], ["a", 1]]),
        ({"contains": {"type": "string"}}, [[1, "a"]], [[], [1]]),
        ({"contains": {"const": 1}, "minContains": 2, "maxContains": 3}, [[1, 1]], [[1], [1, 1, 1, 1]]),
        ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, [2], [0, 4]),
        ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, ["a", 6], [4]),
        ({"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]}, [2, 3], [6, 5]),
        ({"not": {"type": "string"}}, [1], ["a"]),
        ({"if": {"minimum": 5}, "then": {"multipleOf": 2}, "else": {"multipleOf": 3}}, [6, 3], [7, 4]),
        ({"dependentSchemas": {"a": {"required": ["b"]}}}, [{}, {"a": 1, "b": 1}], [{"a": 1}]),
        (
            {"allOf": [{"properties": {"a": {}}}], "properties": {"b": {}}, "unevaluatedProperties": False},
            [{"a": 1, "b": 1}],
            [{"a": 1, "c": 1}],
        ),
        ({"anyOf": [{"prefixItems": [{"const": 1}]}, {}], "unevaluatedItems": False}, [[1]], [[2], [1, 2]]),
        (TREE, [{"children": [{"value": 1, "children": []}]}], [{"children": [{"children": [{"value": "x"}]}]}]),
        (BRANCHES, [{"left": {"right": {"x": 1}}}], [{"left": {"right": {"x": "1"}}}]),
        ({"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": {"type": "string"}}}, ["x"], [1]),
        ({"$ref": "#/definitions/a", "definitions": {"a": {"type": "string"}}, "maxLength": 1}, ["x"], [1, "xy"]),
        ({"$ref": "#a", "$defs": {"x": {"$anchor": "a", "type": "string"}}}, ["x"], [1]),
        ({"$dynamicAnchor": "n", "items": {"$dynamicRef": "#n"}, "type": "array"}, [[[], []]], [[1]]),
        (ADDRESS, [{"to": {"street": "x", "next": {"street": "y"}}}], [{"to": {"next": {"street": 1}}}, {"from": 1}]),
        ({"$schema": DIALECT, "title": "T", "default": 1, "format": "email", "x-ui": {"type": "z"}}, ["no mail"], []),
        ({"properties": {"$ref": {"type": "string"}, "type": {"type": "string"}}}, [{"$ref": "x"}], [{"$ref": 1}]),
    ],
    ids=lambda value: json.dumps(value)[:60],
)  # fmt: skip
def test_a_keyword_says_what_fits(schema: Any, fits: list[Any], does_not: list[Any]) -> None:
    check = InputSchema(schema).check
    for value in fits:
        check(value)
    for value in does_not:
        for _, message in faults(schema, value):
            assert message != "The value does not fit the schema.", "it is said what is wrong"


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"properties": {"a": {"type": "string"}, "b": {"minimum": 3}}}, {"a": 1, "b": 2}, {"/input/a", "/input/b"}),
        ({"required": ["a", "b"]}, {}, {"/input"}),
        ({"properties": {"a/b": {"items": {"type": "string"}}}}, {"a/b": ["x", 1, 2]}, {"/input/a~1b/1", "/input/a~1b/2"}),
        ({"additionalProperties": {"type": "string"}}, {"~": 1}, {"/input/~0"}),
        ({"prefixItems": [{}, {"const": 1}], "items": {"const": 2}}, [0, 0, 0], {"/input/1", "/input/2"}),
        ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"properties": {"x": False}}}}, {"x": 1}, {"/input/x"}),
        ({"if": {"required": ["k"]}, "then": {"properties": {"v": {"type": "string"}}}}, {"k": 1, "v": 1}, {"/input/v"}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 1, {"/input"}),
        ({"properties": {"a": {"unevaluatedProperties": False}}}, {"a": {"b": 1}}, {"/input/a"}),
        (TREE, {"children": [{"value": 1}, {"children": [{"value": "x"}]}]}, {"/input/children/1/children/0/value"}),
    ],
)  # fmt: skip
def test_a_fault_is_said_at_its_place(schema: Any, value: Any, expected: set[str]) -> None:
    assert {path for path, _ in faults(schema, value)} == expected


def test_a_fault_is_said_once_and_only_so_many_are() -> None:
    assert len(faults({"allOf": [{"type": "string"}] * 3}, 1)) == 1
    assert len(faults({"items": {"type": "string"}}, [1] * 131_000)) == MAX_ISSUES


def test_faults_can_be_found_in_something_else_than_an_input() -> None:
    schema = InputSchema({"properties": {"ok": {"type": "boolean"}}}, "/nodes/3/data/config/schema")
    with pytest.raises(InvalidInput) as refused:
        schema.check({"ok": 1}, "/data")

    assert refused.value.issues[0].path == "/data/ok"
    assert refused.value.detail.startswith("The data does not fit")
    with pytest.raises(InvalidInputSchema) as unusable:
        InputSchema({"properties": {"a": {"type": "x"}}}, "/nodes/3/data/config/schema")
    assert unusable.value.issues[0].path == "/nodes/3/data/config/schema/properties/a/type"


@pytest.mark.parametrize(
    ("schema", "path", "says"),
    [
        ({"type": "nothing"}, "/type", "nothing"),
        ({"minimum": "three"}, "/minimum", "three"),
        ({"properties": {"a": {"items": [{}]}}}, "/properties/a/items", "boolean"),
        ({"$ref": "https://example.com/schema.json"}, "/$ref", "outside"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "/properties/a/$ref", "outside"),
        ({"$dynamicRef": "other#a"}, "/$dynamicRef", "outside"),
        ({"$ref": DIALECT}, "/$ref", "outside"),
        ({"$ref": "#/$defs/none"}, "/$ref", "nothing at"),
        ({"$ref": "#none"}, "/$ref", "nothing at"),
        ({"x": [5], "$ref": "#/x/0"}, "/$ref", "not a schema"),
        ({"x": {"type": "y"}, "$ref": "#/x"}, "/x/type", "y"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema", "dialect"),
        ({"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}, "/$defs/b", "Two places"),
        ({"$ref": "#"}, "", "refers to itself"),
        ({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}, "/$defs/a", "itself"),
        ({"items": {"pattern": "("}}, "/items/pattern", "no regular expression"),
        ({"patternProperties": {"a/(": {}}}, "/patternProperties/a~1(", "no regular expression"),
        ({"pattern": "((a{1000}){1000}){1000}"}, "/pattern", "too large"),
        ({"pattern": "^(?=a)b"}, "/pattern", "looks around"),
        ({"pattern": r"(a)\1"}, "/pattern", "looks around"),
        (nested(65, "not", {}), "", "levels deep"),
        (nested(300, "x", {}), "", "levels deep"),
        ({"description": "x" * MAX_BYTES}, "", "KiB"),
        ({"properties": {str(n): {} for n in range(2000)}}, "", "2,000"),
        ({"properties": {str(n): {"pattern": f"{n}"} for n in range(101)}}, "/properties/100/pattern", "100"),
        ({"const": "\ud800"}, "", "not JSON"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_a_schema_that_cannot_be_used_is_refused_at_its_place(schema: Any, path: str, says: str) -> None:
    found, message = refusal(schema)

    assert found is not None
    assert found.startswith(f"/input_schema{path}")
    assert says in message
    assert len(message) < 400


def doubled(levels: int) -> dict[str, Any]:
    """Each definition refers to the next twice."""
    steps = {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/0", "$defs": steps | {str(levels): {}}}


def unevaluated(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"properties": {"a": {}}}
    for _ in range(levels):
        schema = {"anyOf": [schema], "unevaluatedProperties": False}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        doubled(40),
        unevaluated(25),
        {"$ref": "#/$defs/0", "$defs": {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(1500)} | {"1500": {}}},
    ],
    ids=["doubled", "unevaluated", "chain"],
)
def test_a_schema_that_costs_too_much_for_any_value_is_refused(schema: dict[str, Any]) -> None:
    assert "too many subschemas" in refusal(schema)[1].lower()


TWICE = {"allOf": [{"properties": {"a": {"$ref": "#"}}}] * 2}
STATES = "(?:[ab]*a[ab]{200}c|[ab]*b[ab]{200}d)"
TOO_LARGE = {
    "references that branch": (TWICE, nested(60, "a", {})),
    "lists of alternatives": ({"oneOf": [{"items": {"$ref": "#"}}, {"contains": {"$ref": "#"}}]}, json.loads("[" * 60 + "]" * 60)),
    "many keywords for many items": ({"items": {"allOf": [{"type": "integer"}] * 1000}}, [0] * 131_000),
    "a long enum": ({"items": {"enum": list(range(1, 10_000))}}, [0] * 131_000),
    "many properties": ({"items": {"properties": {f"p{n}": {} for n in range(1500)}}}, [{}] * 80_000),
    "a pattern with many states": ({"pattern": STATES}, "ab" * 125_000),
    "patterns for keys": ({"patternProperties": {STATES: {}}}, {"ab" * 60_000: 1, "ba" * 60_000: 1}),
    "large numbers, made unique": ({"uniqueItems": True}, [2**75 + n for n in range(10_000)]),
    "huge numbers, compared": ({"items": {"allOf": [{"maximum": 10**900 + n} for n in range(60)]}}, [10**899] * 250),
    "huge numbers, divided": ({"items": {"allOf": [{"multipleOf": 0.1 + n} for n in range(100)]}}, [10**900] * 250),
    "lists made unique again and again": ({"allOf": [{"uniqueItems": True}] * 1000}, list(range(9000))),
}  # fmt: skip


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_value_that_would_take_too_long_is_refused_unchecked(name: str) -> None:
    schema, value = TOO_LARGE[name]
    ((path, message),) = faults(schema, value)

    assert path == "/input"
    assert "too large or too deep" in message


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": "^(a+)+$"}, "a" * 100_000 + "!"),
        ({"allOf": [{"type": "string"}] * 500}, {"a": "x" * 200_000}),
        ({"propertyNames": {"maxLength": 1}}, {f"key {n}": n for n in range(3000)}),
        ({"anyOf": [{"type": "string"}] * 100}, {"a": ["x"] * 30_000}),
        (TWICE | {"required": ["b"]}, nested(12, "a", {})),
    ],
    ids=lambda value: str(value)[:40],
)
def test_saying_what_is_wrong_is_bounded_too(schema: Any, value: Any) -> None:
    """In a process of its own with so much memory: were it not, this would end it."""
    program = (
        "import json, resource, sys\n"
        "from stepwire.definition.input_schema import InputSchema\n"
        "from stepwire.errors import InvalidInput\n"
        "schema, value = json.load(sys.stdin)\n"
        "check = InputSchema(schema).check\n"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: check(value)\n"
        "except InvalidInput as error: assert all(len(issue.message) < 200 for issue in error.issues)\n"
        "else: raise SystemExit(1)\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used < 32 * 1024, 'KiB'\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], input=json.dumps([schema, value]), text=True, check=True, timeout=60
    )


def test_what_is_ordinary_stays_far_below_the_budget() -> None:
    item = {
        "type": "object",
        "required": ["sku"],
        "properties": {"sku": {"pattern": "^[A-Z]{3}-\\d{4}$"}, "n": {"minimum": 1}},
    }
    schema = {
        "properties": {"items": {"type": "array", "items": item, "uniqueItems": True}},
        "additionalProperties": False,
    }
    graph = SchemaGraph(schema)
    value = {"items": [{"sku": f"ABC-{n:04}", "n": 1} for n in range(5000)]}

    assert SchemaCost(graph).of(graph.subschemas[0], value) < BUDGET / 2
    InputSchema(schema).check(value)
    InputSchema({"items": {"type": "integer"}}).check([0] * 131_000)
    InputSchema(TREE).check(nested(60, "value", 1)["value"] and {"children": [{"children": []}] * 1000})


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, nested(300, "a", 1), float("nan"), [float("inf")]])
def test_what_is_no_json_does_not_stumble(value: Any) -> None:
    faults({"type": "integer", "items": False, "properties": {"a": {"$ref": "#"}}}, value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(2**80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
    max_leaves=8,
)
KEYWORDS = st.sampled_from([
    "$ref", "$dynamicRef", "$id", "$anchor", "$schema", "$defs", "type", "enum", "const", "pattern", "minimum", "multipleOf",
    "maxLength", "required", "uniqueItems", "properties", "patternProperties", "additionalProperties", "propertyNames", "items",
    "prefixItems", "contains", "minContains", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas",
    "dependentRequired", "unevaluatedProperties", "unevaluatedItems", "x",
])  # fmt: skip
LEAVES = VALUES | st.sampled_from(
    ["#", "#/x", "#/$defs/a", "#a", "a", "http://[", "integer", "^a", "(", "(?=a)", True, ["a"], 1]
)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=4), max_leaves=12
)
SOUND = st.recursive(
    st.sampled_from([
        True, False, {"type": "string"}, {"minimum": 3}, {"enum": [1, "a", None]}, {"pattern": "^a"}, {"uniqueItems": True},
        {"required": ["a"]}, {"maxLength": 2}, {"multipleOf": 0.5}, {"dependentRequired": {"a": ["b"]}},
        {"properties": {"a": {"$ref": "#"}}}, {"items": {"$ref": "#"}},
    ]),
    lambda inner: st.one_of(
        *(st.fixed_dictionaries({key: inner}) for key in ("not", "items", "contains", "additionalProperties", "propertyNames")),
        *(st.fixed_dictionaries({key: st.lists(inner, min_size=1, max_size=3)}) for key in ("allOf", "anyOf", "oneOf", "prefixItems")),
        *(
            st.fixed_dictionaries({key: st.dictionaries(st.sampled_from("abx"), inner, max_size=3)})
            for key in ("properties", "patternProperties", "dependentSchemas")
        ),
        st.fixed_dictionaries({"if": inner, "then": inner, "else": inner}),
        st.fixed_dictionaries({"anyOf": st.tuples(inner, inner).map(list), "unevaluatedProperties": inner, "unevaluatedItems": inner}),
    ),
    max_leaves=8,
)  # fmt: skip


def answer(schema: Any, value: Any) -> InvalidInput | InvalidInputSchema | None:
    try:
        InputSchema(schema).check(value)
    except (InvalidInput, InvalidInputSchema) as error:
        return error
    return None


@given(ANYTHING, VALUES)
def test_whatever_the_schema_it_is_refused_or_answers(schema: Any, value: Any) -> None:
    error = answer(schema, value)

    assert error is None or all(issue.path for issue in error.issues)


@given(SOUND, VALUES)
def test_a_value_that_does_not_fit_is_told_what_is_wrong(schema: Any, value: Any) -> None:
    """The search for faults follows the schema in its own way, and comes to the same as the validator."""
    error = answer(schema, value)

    assert error is None or error.issues[0].message != "The value does not fit the schema."


def test_the_budget_of_the_search_may_run_out_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = InputSchema({"type": "object", "properties": {"a": {"items": {"type": "string"}}}})
    value = {"a": [1] * 20}
    found = set()
    for budget in range(0, 60_000, 500):
        monkeypatch.setattr("stepwire.definition.schema_faults.BUDGET", budget)
        with pytest.raises(InvalidInput) as refused:
            schema.check(value)
        found.add(len(refused.value.issues))

    assert {1, 20} <= found
    assert input_schema.MAX_ISSUES == 50
