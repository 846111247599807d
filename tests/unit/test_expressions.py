"""``{{ … }}`` in a configuration: what it means, what is wrong with it and where, and how little it may cost."""

import json
import re
import subprocess
import sys
import tracemalloc
from typing import Any

import msgspec
import pytest
from cel_expr_python import cel
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwire.definition.cel_numbers import exchanged
from stepwire.definition.cel_reads import reads_of
from stepwire.definition.cel_tokens import closing, tokens_of
from stepwire.definition.expressions import MAX_DEPTH, ExpressionFailed, Scope, Variables
from stepwire.definition.templates import Template, compile_value, has_expression, pointer
from stepwire.errors import Issue

SCOPE = Scope(upstream=frozenset({"a", "any id", "}}"}), steps=frozenset({"a", "any id", "}}", "later"}))
IN_MAP = Scope(upstream=frozenset(), steps=frozenset(), in_map=True)
BEYOND = 10**30
INPUT = {"n": 5, "s": "x", "none": None, "list": [1, 2, {"q": 1}], "map": {"k": "v", "a-b": 7}, "flag": True}


def evaluated(value: Any, data: Any = INPUT, bare: frozenset[str] = frozenset(), **variables: Any) -> Any:
    compiled, issues = compile_value(value, IN_MAP if "item" in variables else SCOPE, bare)
    assert issues == []
    fixed = {"input": data, "trigger": {"type": "manual"}, "run": {"id": "r"}, "secrets": {}, **variables}
    steps = {"a": {"v": 1}, "any id": {"v": 2}, "}}": {"v": 3}}
    read = Variables(
        fixed.__getitem__, frozenset(steps), lambda name: {"status": "completed", "output": steps[name], "error": None}
    )
    return compiled.evaluate(read)


def issues_of(text: str, scope: Scope = SCOPE) -> list[Issue]:
    return compile_value({"key": text}, scope)[1]


def reason(text: str, data: Any = INPUT) -> str:
    with pytest.raises(ExpressionFailed) as failed:
        evaluated(text, data)
    return failed.value.detail


# What a template means


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ input.n }}", 5),
        ("{{input.n}}", 5),
        ("{{ input.n + 1 }}", 6),
        ("{{ input.list }}", [1, 2, {"q": 1}]),
        ("{{ input.none }}", None),
        ("{{ input.flag && true }}", True),
        ("{{ 'text' }}", "text"),
        ("{{ {'a': [1, {'b': null}]} }}", {"a": [1, {"b": None}]}),
    ],
)
def test_a_string_that_is_one_expression_keeps_its_type(text, value):
    result = evaluated(text)

    assert (result, type(result)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n is {{ input.n }}!", "n is 5!"),
        (" {{ input.n }}", " 5"),
        ("{{ input.n }}{{ input.n }}", "55"),
        ("[{{ input.none }}]", "[]"),
        ("{{ input.s }} {{ input.flag }} {{ input.list }}", 'x true [1,2,{"q":1}]'),
        ("{{ 'a}}b' }} and {{ {'k': {}} }}", 'a}}b and {"k":{}}'),
    ],
)
def test_expressions_in_a_longer_string_become_text_and_null_becomes_nothing(text, value):
    assert evaluated(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{{{", "{{"),
        ("{{{{ input.n }}", "{{ input.n }}"),
        ("{{{{{{ input.n }}", "{{5"),
        ("{{{{{{{{", "{{{{"),
        ("a {{{{ b {{ input.n }} c {{{{ d", "a {{ b 5 c {{ d"),
        ("}} } {", "}} } {"),
        ("", ""),
    ],
)
def test_four_braces_are_two_literal_ones(text, value):
    assert evaluated(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("{{ {'a': {'b': 1}}}}", {"a": {"b": 1}}),
        ("{{{'a': 1}}}", {"a": 1}),
        ("{{ '}}' }}", "}}"),
        ('{{ "}}" + \'"}}"\' }}', '}}"}}"'),
        (r"{{ 'it\'s }}' }}", "it's }}"),
        (r"{{ r'\d' + '}}' }}", "\\d}}"),
        ('{{ R"}}\\d" }}', "}}\\d"),
        ("{{ '''it's }} \n''' }}", "it's }} \n"),
        ('{{ """say "}}" now""" }}', 'say "}}" now'),
        ("{{ r'''\\d'}}''' }}", "\\d'}}"),
        ("{{ b'}}' }}", "fX0="),
        ("{{ 1 // }} not yet\n + 1 }}", 2),
        ("{{ 'http://x' + '}}' }}", "http://x}}"),
        ('{{ steps["}}"].output.v }}', 3),
    ],
)
def test_an_expression_ends_where_cel_says_it_does(text, value):
    assert evaluated(text) == value
    assert (
        evaluated(f"<{text}>{{{{ input.n }}}}")
        == f"<{value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}>5"
    )


@pytest.mark.parametrize("string", [r"r'\'", r'R"\"', r"r'''\'''", r"bR'\'"])
def test_a_backslash_escapes_nothing_in_a_raw_string(string):
    """CEL's grammar has these strings end there, though its runtime refuses a raw string that ends in a backslash."""
    text = f"{{{{ {string} }}}} '}}}}"

    assert closing(text, 2) == text.index("}}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ steps.a.output.v }}", 1),
        ("{{ steps . a . output . v }}", 1),
        ("{{ steps.a.output.v + 1 }}", 2),
        ('{{ steps["any id"].output.v }}', 2),
        ("{{ steps['any id'].output.v + 1 }}", 3),
        ("{{ steps['any id']['status'] }}", "completed"),
        ("{{ .steps.a.output.v }}", 1),
        ("{{ size(steps) }}", 3),
        ("{{ steps['a' + ''].output.v }}", 1),
        ("{{ steps.a.error == null ? steps.a.output.v : 0 }}", 1),
    ],
)
def test_steps_are_read_by_name_by_any_id_or_all_together(text, value):
    assert evaluated(text) == value


def test_only_the_steps_that_an_expression_names_are_fetched():
    compiled, _ = compile_value(["{{ steps.a.output }}", "{{ steps['any id'].output.v + 1 }}", "{{ input.n }}"], SCOPE)
    fetched: list[str] = []

    def step(name: str) -> dict[str, Any]:
        fetched.append(name)
        return {"output": {"v": 1}}

    compiled.evaluate(Variables({"input": INPUT}.__getitem__, frozenset({"a", "any id", "}}"}), step))

    assert fetched == ["a", "any id"]


def test_only_the_variables_that_an_expression_names_are_handed_out():
    compiled, _ = compile_value(["{{ 1 + 2 }}", "{{ input.n + 1 }}", "{{ {'a': [.input]} }}", "{{ 'run' }}"], SCOPE)
    asked: list[str] = []

    def named(name: str) -> Any:
        asked.append(name)
        return INPUT

    compiled.evaluate(Variables(named, frozenset(), dict))

    assert asked == ["input", "input"]


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("input.a.b > 1", {"input": {"a": {"b": None}}}),
        ("input['a b'].c + input.d", {"input": {"a b": {"c": None}, "d": None}}),
        ("input.a.b + input.a", {"input": {"a": None}}),
        ("input.a + input.a.b", {"input": {"a": None}}),
        ("size(input) + input.a", {"input": None}),
        ("input.list[0].q + 1", {"input": {"list": None}}),
        ("input.a.?b.orValue(1)", {"input": {"a": None}}),
        ("input.a.startsWith('x')", {"input": {"a": None}}),
        ("input[input.key]", {"input": None}),
        ("has(input.a.b) ? trigger.type : .run.id", {"input": {"a": {"b": None}}, "trigger": {"type": None}, "run": {"id": None}}),
        ("[{'run': 1}].map(input, input.run)", {"input": None}),
        ("steps.a.output.v + steps['b'].error.code", {"steps": {"a": {"output": {"v": None}}, "b": {"error": {"code": None}}}}),
        ("1 + 2", {}),
    ],
)  # fmt: skip
def test_what_an_expression_reads(source, reads):
    assert reads_of(tokens_of(source), frozenset({"input", "steps", "trigger", "run"})) == reads


def test_a_deep_path_is_read_whole_from_some_depth_on():
    names = [f"n{number}" for number in range(25)]
    data: Any = 1
    for name in reversed(names):
        data = {name: data}

    assert evaluated("{{ 1 + input." + ".".join(names) + " }}", data) == 2
    assert reason("{{ 1 + input." + ".".join(names) + ".more }}", data).endswith(
        "A field is read from a value that is not an object."
    )


def test_nothing_but_what_an_expression_reads_is_handed_to_the_evaluator():
    """It would refuse the set, as it is no JSON."""
    assert evaluated("{{ input.n + 1 }}", {"n": 1, "other": {1}}) == 2
    assert evaluated("{{ input.a.n + 1 }}", {"a": {"n": 1, "other": {1}}}) == 2


def test_a_bare_place_holds_an_expression_without_braces_and_other_places_hold_text():
    bare = frozenset({"/when", "/cases/*/when"})
    config = {"when": "input.n > 3", "cases": [{"when": "input.n", "name": "input.n"}], "other": {"when": "input.n"}}

    result = evaluated(config, bare=bare)

    assert result == {"when": True, "cases": [{"when": 5, "name": "input.n"}], "other": {"when": "input.n"}}


def test_a_bare_place_may_have_braces_too():
    assert evaluated({"when": "{{ input.n > 3 }}"}, bare=frozenset({"/when"})) == {"when": True}


def test_item_and_index_are_there_in_a_map_and_nowhere_else():
    assert evaluated("{{ item.price * index }}", item={"price": 3}, index=2) == 6
    assert evaluated("{{ item.price }}", item={"price": 3}, index=2) == 3
    assert [issue.code for issue in issues_of("{{ item.price }}")] == ["unknown-variable"]


@pytest.mark.parametrize(("value", "size"), [("abc", 3), ("éé", 4), (["é"], 6), ({"a": 1}, 7)])
def test_what_a_step_is_given_is_counted_in_bytes(value, size):
    compiled, _ = compile_value(["{{ input.x }}", "{{ input.n }}"], SCOPE)
    read = Variables({"input": {"x": value, "n": 1}}.__getitem__, frozenset(), dict)

    assert compiled.evaluate(read, size) == [value, 1]
    with pytest.raises(ExpressionFailed, match=rf"more than {size - 1} bytes"):
        compiled.evaluate(read, size - 1)


def test_a_configuration_without_expressions_is_given_back_as_it_is():
    config = {"a": ["{{{{", {"b": 1}], "c": None}

    compiled, _ = compile_value(config, SCOPE)

    assert compiled.is_static
    assert compiled.evaluate(Variables({}.__getitem__, frozenset(), dict)) is compiled.value
    assert compiled.value == {"a": ["{{", {"b": 1}], "c": None}


@pytest.mark.parametrize(("text", "expected"), [("{{ a }}", True), ("{{", True), ("{{{{", False), ("{{{{{{ a", True)])
def test_whether_a_string_holds_an_expression(text, expected):
    assert has_expression(text) is expected


def test_pointers_escape_tilde_and_slash():
    assert pointer("a/b~c") == "a~1b~0c"


# What comes back


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("18446744073709551615u", 2**64 - 1),
        ("b'\\xff'", "/w=="),
        ("timestamp('2024-01-01T00:00:00Z') + duration('90s')", "2024-01-01T00:01:30Z"),
        ("duration('1.5s')", "PT1.5S"),
        ("type(1)", "int"),
        ("{3: 'a', true: {2u: 'b'}}", {"3": "a", "true": {"2": "b"}}),
        ("[input.?map.?k.orValue('-'), input.?nope.orValue('-')]", ["v", "-"]),
        ("google.protobuf.Int64Value{value: 3}", 3),
        ("{'a': timestamp('2024-01-01T00:00:00Z')}", {"a": "2024-01-01T00:00:00Z"}),
        ("input.map.`a-b`", 7),
    ],
)
def test_every_cel_value_has_one_form_in_json(source, value):
    result = evaluated(f"{{{{ {source} }}}}")

    assert result == value
    assert msgspec.json.decode(msgspec.json.encode(result)) == value


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("double('nan')", "not a finite number"),
        ("[1.0 / 0.0]", "not a finite number"),
        ("{1: 'a', '1': 'b'}", "Two keys"),
        ("dyn(input.?n)", "end the expression with .orValue"),
    ],
)
def test_what_has_no_form_in_json_fails_with_a_sentence(source, sentence):
    assert sentence in reason(f"{{{{ {source} }}}}")


def test_a_result_may_be_as_deep_as_json_and_no_deeper():
    deep: Any = 1
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]

    assert evaluated("{{ [input.x] }}", {"x": deep}) == [deep]
    assert "nested more than" in reason("{{ [[input.x]] }}", {"x": deep})


@pytest.mark.parametrize(
    "number", [BEYOND, -BEYOND, 10**400, -(2**63) - 1, 2**64], ids=["1e30", "-1e30", "1e400", "below int", "above uint"]
)
def test_integers_beyond_64_bits_are_exact_in_a_path_and_harmless_elsewhere(number):
    data = {"n": 5, "big": number, "list": [{"big": number}]}

    assert evaluated("{{ input.big }}", data) == number
    assert evaluated("{{ input.list[0].big }}", data) == number
    assert evaluated("{{ input.n + 1 }}", data) == 6
    assert evaluated("{{ input.list.map(each, each.big > 0.0) }}", data) == [number > 0]


def test_an_integer_beyond_64_bits_is_a_double_in_an_evaluation():
    assert evaluated("{{ [input.big] }}", {"big": BEYOND}) == [1e30]
    assert evaluated("{{ 1 + 1.5 > 2.0 ? [input.big] : [] }}", {"big": BEYOND}) == [1e30]


NUMBERS = {"whole": 2, "part": 1.5, "list": [1, 2], "zero": 0, "huge": 2**63, "beyond": 10**25, "text": "x"}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("input.whole * 1.5", 3.0),
        ("input.whole * input.part - input.whole + input.part / input.whole", 1.75),
        ("input.list.map(each, each * 1.5)", [1.5, 3.0]),
        ("(input.whole + 1) * input.part", 4.5),
        ("-7 / input.whole * 1.0", -3.0),
        ("input.huge * 0.5", 2.0**62),
        ("input.beyond + 1", 1e25),
        ("input.huge - 1", 2.0**63),
        ("1 + 1.5", 2.5),
        ("double(input.whole) * 2 > 3", True),
        ("size(input.list) * 0.5 == 1", True),
        ("input.text == 'x' ? 0.5 : 0", 0.5),
        ("input.text == 'y' ? 'none' : 3 * 0.5", 1.5),
        ("[1] + [0.5 * input.whole]", [1, 1.0]),
        ("input.text + string(input.whole * 1.5) + 'y'", "x3y"),
        ("timestamp('2030-01-01T00:00:01Z') - duration(string(int(input.whole * 0.5)) + 's')", "2030-01-01T00:00:00Z"),
        ("base64.encode(b'a' + b'b') == 'YWI=' ? math.greatest(1, 2) * 1.5 : 0", 3.0),
    ],
)
def test_whole_numbers_and_fractions_may_be_mixed_whichever_the_data_has(source, value):
    result = evaluated(f"{{{{ {source} }}}}", NUMBERS)

    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("input.whole * 0.5 + input.text", "+ does not work on double and string"),
        ("input.whole / input.zero * 0.5", "Division by zero"),
        ("0.5 * input.whole + double(input.huge * 3u)", "Integer overflow"),
        ("0.5 * input.whole + double(input.huge - input.huge - 1u)", "Integer overflow"),
        ("input.part / input.zero", "not a finite number"),
        ("-input.part / input.zero", "not a finite number"),
        ("0.0 / input.zero", "not a finite number"),
        ("input.whole * true", "* does not work on any value and bool"),
        ("1 + 'a'", "+ does not work on int and string"),
        ("1.5 + 2 + 'a'", "+ does not work on double and string"),
        ("input.text ? 0.5 : 1", "neither true nor false"),
        ("input.?text.?x.orValue(0)", "[? ] does not work"),
    ],
)
def test_mixed_numbers_leave_what_is_wrong_as_wrong_as_it_was(source, sentence):
    text = f"{{{{ {source} }}}}"
    _, issues = compile_value(text, SCOPE)

    assert sentence in (issues[0].message if issues else reason(text, NUMBERS))


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("'AÄß'.lowerAscii()", "aÄß"),
        ("'aäß'.upperAscii()", "Aäß"),
        ("' a '.trim()", "a"),
        ("'abc'.indexOf('c') + 'abc'.indexOf('z')", 1),
        ("'abc'.substring(1) + 'abc'.substring(0, 1)", "bca"),
        ("'a-b'.replace('-', '+')", "a+b"),
        ("'a,b'.split(',') + 'cd'.split('')", ["a", "b", "c", "d"]),
        ("['a', 'b'].join() + ['a', 'b'].join('-')", "aba-b"),
        ("base64.encode(b'a')", "YQ=="),
        ("math.greatest(1, 2)", 2),
    ],
)
def test_string_functions(source, value):
    assert evaluated(f"{{{{ {source} }}}}") == value


@pytest.mark.parametrize("source", ["input.map(x, x * 1.5)", "input.filter(x, x * 1.5 > 2.0).map(x, [x] + input)"])
def test_a_loop_adds_to_its_list_by_itself_when_numbers_are_mixed(source):
    program = cel.NewEnv(variables={"input": cel.Type.DYN}).compile(source)

    calls = re.findall(rb"\x12\x03(_\+_|add|mul)", exchanged(program.serialize()))

    assert calls.count(b"_+_") == source.count("map") + source.count("filter")
    assert calls.count(b"mul") == 1
    assert calls.count(b"add") == source.count("+")


# What is wrong, and where


@pytest.mark.parametrize(
    ("text", "code", "at", "sentence"),
    [
        ("{{ steps.nope.output }}", "unknown-step", "steps", "There is no step 'nope'."),
        ('{{ 1 + steps["no id"].output }}', "unknown-step", "steps", "There is no step 'no id'."),
        ("{{ steps.later.output }}", "step-not-upstream", "steps", "Step 'later' is not upstream"),
        ("{{ steps.a.result }}", "unknown-variable", "steps", "output, error and status, not 'result'"),
        ("{{ input.n > 3 ? steps.nope : 1 }}", "unknown-step", "steps", "'nope'"),
        ("{{ .steps.nope }}", "unknown-step", "steps", "'nope'"),
        ("{{ 1 + .steps.nope }}", "unknown-step", "steps", "'nope'"),
        ("{{ foo.bar + 'foo' }}", "unknown-variable", "foo", "There is no variable 'foo'"),
        ("{{ 1 + foo.bar.baz }}", "unknown-variable", "foo", "There is no variable 'foo'"),
        ("héllo 😀 {{ '😀' + foo }}", "unknown-variable", "foo", "can read input, steps, trigger, run and secrets."),
        ("{{ frob(1) }}", "unknown-variable", "frob", "There is no function 'frob'"),
        ("{{ input.s.frob(1) }}", "unknown-variable", "frob", "There is no function 'frob'"),
        ("{{ 1 + * 2 }}", "expression-syntax", "*", "* is not expected here."),
        ("{{ 1 2 }}", "expression-syntax", "2", "2 is not expected here: an operator may be missing."),
        ("{{ [1, 2 }}", "expression-syntax", "}}", "The expression ends too early: ] is missing."),
        ("{{ (1 }}", "expression-syntax", "}}", ") is missing."),
        ("{{ 1 + }}", "expression-syntax", "}}", "The expression ends too early."),
        ("{{ 1 + 'abc }}", "expression-syntax", "'abc", "A string is not closed"),
        (
            "{{ 1 + 'a' }}",
            "expression-syntax",
            "+",
            "+ does not work on int and string; string(…) makes a text of the other.",
        ),
        ("{{ {'k': 1} in [1] }}", "expression-syntax", "in", "in does not work on map(string, int) and list(int)."),
        ("line\nline {{ 1 +\n foo }}", "unknown-variable", "foo", "There is no variable 'foo'"),
        ("a {{ input.n", "expression-syntax", "{{", "The expression is not closed: }} is missing."),
        ("{{ input.n }} {{ '}} ", "expression-syntax", "'}}", "A string is not closed"),
        ("{{ {'a': 1 }}", "expression-syntax", "{{", "not closed"),
        ("ab {{}}", "expression-syntax", "}}", "The expression is empty."),
        ("{{ // }}\n }}", "expression-syntax", " //", "The expression is empty."),
        ("{{ input.?s }}", "expression-type", " input", "end the expression with .orValue"),
    ],
)
def test_an_issue_says_what_is_wrong_in_a_sentence_and_points_at_it(text, code, at, sentence):
    [issue] = issues_of(text)

    assert (issue.code, issue.path) == (code, "/key")
    assert sentence in issue.message
    assert "expecting" not in issue.message
    assert issue.column == text.index(at) + 1


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'steps.nope' }}",
        "{{ input.?steps.?nope.orValue(1) }}",
        "{{ input.?steps.nope.orValue(1) }}",
        "{{ input.map.steps.nope }}",
        "{{ input.map // steps.nope\n }}",
        "{{{{ steps.nope }}",
    ],
)
def test_steps_are_names_only_where_they_are_variables(text):
    assert issues_of(text) == []


def test_every_issue_is_reported_at_its_json_pointer():
    config = {"a/b": ["fine", "{{ foo }} {{ input.n }} {{ steps.nope }} {{"], "c": {"d": "{{ 1 + }}"}}

    _, issues = compile_value(config, SCOPE)

    assert [(issue.path, issue.code, issue.column) for issue in issues] == [
        ("/a~1b/1", "unknown-variable", 4),
        ("/a~1b/1", "unknown-step", 28),
        ("/a~1b/1", "expression-syntax", 42),
        ("/c/d", "expression-syntax", 8),
    ]


def test_a_bare_expression_has_its_column_in_the_string():
    _, [issue] = compile_value({"when": "1 + foo"}, SCOPE, frozenset({"/when"}))

    assert (issue.path, issue.column) == ("/when", 5)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("input.nope", "input has no 'nope'."),
        ("input.map.nope.deeper", "input.map has no 'nope'."),
        ("input.list[7]", "input.list has no 7."),
        ("input.nope + 1", "input.nope + 1: There is no key 'nope'."),
        ("input.list[7] + 1", "There is no item 7 in a list of 3"),
        ("input.n + 'x'", "input.n + 'x': + does not work on int and string; string(…) makes a text of the other."),
        ("input.s + input.none", "+ does not work on string and null."),
        ("input.none.split(',')", "split() does not work on null and string."),
        ("input.none.size()", ": size() does not work on null."),
        ("timestamp('2030-01-01')", "The text is no instant such as 2030-01-31T12:00:00Z."),
        ("duration('PT5S')", "The text is no duration such as 90s or 1h30m."),
        ("-input.s", "- does not work on string."),
        ("size(input.n)", "size() does not work on int."),
        ("input.n ? 1 : 2", "The condition before ? is neither true nor false."),
        ("input.n.map(x, x)", "Only a list or an object can be gone through."),
        ("input.n / 0", "Division by zero."),
        ("input.s.substring(5)", "There is no part from 5 to 1"),
        ("dyn([1]).join()", "join() takes a list of strings."),
    ],
)
def test_a_failed_evaluation_says_which_expression_and_why(source, sentence):
    assert sentence in reason(f"{{{{ {source} }}}}")


# How little an expression may cost

CHAIN = "a+a+a+a+a+a+a+a+a+a"
HOSTILE = {
    "strings kept in a map": ("input.list.map(i, input.text + input.text)", {"list": [1] * 5000, "text": "x" * 200_000}),
    "strings thrown away": ("input.list.map(i, size(input.text + 'x'))", {"list": [1] * 5000, "text": "x" * 200_000}),
    "lists in a map": ("input.list.map(i, size(input.list + input.list))", {"list": [1] * 9000}),
    "a long list copied at each step": ("input.list.map(i, i)", {"list": [1] * 9000}),
    "text that grows tenfold": ("['aaaaaaaaaa']" + f".map(a, {CHAIN})" * 9, {}),
    "bytes that grow tenfold": ("[b'" + "a" * 1000 + "']" + f".map(a, {CHAIN})" * 5, {}),
    "a result that shares its parts": ("[[1]]" + ".map(a, [a,a,a,a,a,a,a,a,a,a])" * 8, {}),
    "a comparison of shared parts": ("[[1]]" + ".map(a, [a,a,a,a,a,a,a,a,a,a])" * 8 + ".map(a, a == a)", {}),
    "half a million lists to measure": ("input.list.exists(i, size(i) == 9)", {"list": [[[]]] * 250_000}),
    "a large value a few times": ("[input.list, input.list, input.list, input.list, input.list]", {"list": [1] * 500_000}),
    "a large value many times over": ("[" + ",".join(["input.list"] * 200) + "]", {"list": [1] * 100_000}),
    "a search for a long text": ("input.a.contains(input.b)", {"a": "a" * 1_000_000, "b": "a" * 500_000 + "b"}),
    "a large regex": ("input.a.matches('(a{0,1000})(a{0,1000})(a{0,1000})b')", {"a": "a" * 260_000}),
    "a regex of unicode classes": (r"input.a.matches('(?:\\pL?){100}1')", {"a": "é" * 100_000}),
    "regexes compiled in a loop": ("input.l.map(i, 'a'.matches(string(i) + input.r))", {"l": [1] * 3000, "r": "(a|b)" * 900}),
    "equality in a loop": ("input.list.exists(i, input.list != input.list)", {"list": [1] * 9000}),
    "search in a loop": ("input.list.exists(i, -1 in input.list)", {"list": [1] * 9000}),
    "unicode classes compiled in a loop": (r"input.l.exists(i, i.matches('\\pL\\pN'))", {"l": ["a"] * 5000}),
    "a text split to a million characters": ("size(input.s.split(''))", {"s": "a" * 1_000_000}),
    "text split to characters": ("input.list.map(i, input.s.split(''))", {"list": [1] * 9000, "s": "a" * 100_000}),
    "text replaced in a loop": ("input.list.exists(i, input.s.replace('a', 'b') == '')", {"list": [1] * 9000, "s": "a" * 90_000}),
    "base64 in a loop": ("input.list.exists(i, base64.encode(bytes(input.s)) == '')", {"list": [1] * 9000, "s": "a" * 90_000}),
    "lists that are added where numbers are mixed": ("size(input.l + input.l + [input.n * 0.5])", {"l": [1] * 200_000, "n": 1}),
    "such lists in a loop": ("input.l.exists(i, size(input.l + [i * 0.5]) == 0)", {"l": [1] * 3000}),
    "nested loops": ("input.l.map(a, input.l.map(b, input.l.map(c, 1)))", {"l": [1] * 3000}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_expression_is_refused_before_it_is_evaluated(name):
    source, data = HOSTILE[name]
    message = reason(f"{{{{ {source} }}}}", data)

    assert "could take too much memory or time" in message


@pytest.mark.parametrize(
    "source",
    [
        "optional.of(1)" + ".optMap(a, a)" * 5 + ".orValue(1)",
        "[" + ",".join(["1"] * 1500) + "]",
        "1" + "+1" * 40,
        "[" * 40 + "]" * 40,
    ],
)
def test_an_expression_too_complex_to_compile_is_an_issue(source):
    [issue] = issues_of("{{ " + source + " }}")

    assert issue.code == "expression-too-complex"


@pytest.mark.parametrize(
    "source", ["{1.5: 1}", "{null: 1}", "[{[1]: 2}]", "{'a': {duration('1s'): 1}}", "type({1.5: 1})"]
)
def test_a_map_whose_keys_are_of_a_type_that_keys_cannot_have_is_an_issue(source):
    [issue] = issues_of("{{ " + source + " }}")

    assert (issue.code, "keys of a map" in issue.message) == ("expression-type", True)


KEPT = [
    "{'a': dyn(optional.none())}", "[{'a': optional.none()}, 1]", "[{'a': input.?x}, 1 + 1.5]", "[dyn(input.?x)]",
    "{'a': {'b': dyn(input[?'x'])}}.a.b", "{'a': true ? input.?x : 1}", "{(1 < 1.5): input.?x}", "[dyn(input.list.first())]",
    "[dyn({'a': optional.of(1)})].join()", "[dyn(optional.of('a'))].join()", "optional.of(input.?x).value()",
    "[1].map(x, dyn(optional.of(x)))", "{'a': dyn(input.?x.or(input.?y))}", "[optional.of({'a': dyn(input.?x)}).value()]",
    "optional.of(1).optMap(v, {'a': dyn(input.?x)}).orValue({})", "{'a': dyn(1).orValue(input.?x)}",
    "{(1 / 1.5): input.?x.y}", "[{'a': input.?x.y}, 1]", "[{'a': input.?list[0]}, 1]", "[{'a': input[?'x'].y[0]}, 1]",
]  # fmt: skip


@pytest.mark.parametrize("source", KEPT)
def test_an_optional_cannot_be_kept_in_anything(source):
    """CEL's binding takes the process with it when it converts a map that holds one."""
    [issue] = issues_of("{{ " + source + " }}")

    assert (issue.code, "optional" in issue.message) == ("expression-type", True)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{?'a': input.?n, ?'b': input.?x, 'c': 2}", {"a": 5, "c": 2}),
        ("[?input.?x, 2, ?input.?n]", [2, 5]),
        ("{'x': input.?x.y.orValue('none'), 'n': input.?n.or(input.?x).value()}", {"x": "none", "n": 5}),
        ("[1, 2].map(i, input.list[?i].orValue(i)).size()", 2),
        ("input.?n.optMap(v, {'v': v, 'x': input.?x.orValue(1.5 + v)}).orValue({})", {"v": 5, "x": 6.5}),
        ("[{'k': 1}, {}].filter(each, each.?k.hasValue())", [{"k": 1}]),
    ],
)
def test_an_optional_may_be_unwrapped_anywhere(source, value):
    assert evaluated("{{ " + source + " }}") == value


def test_nulls_cost_the_process_nothing():
    """CEL's binding gives back a reference to None with each, of which Python 3.11 has some thousand."""
    code = (
        "from stepwire.definition.expressions import Scope, Variables, compile_expression\n"
        "expression = compile_expression('[input]', Scope(upstream=(), steps=()))\n"
        "variables = Variables(lambda name: [None] * 100_000, frozenset(), lambda name: {})\n"
        "assert expression.evaluate(variables) == [[None] * 100_000]"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("source", ["input.text.split(' ').size()", "input.words.join(' ').size()"])
def test_lists_that_functions_are_given_or_make_do_not_stay(source):
    """The words of one evaluation are a megabyte, and its text is a tenth of that."""
    words = [str(number) for number in range(20_000)]
    data = {"words": words, "text": " ".join(words)}
    evaluated(f"{{{{ {source} }}}}", data)
    tracemalloc.start()

    for _ in range(20):
        evaluated(f"{{{{ {source} }}}}", data)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert grown < 10 * 1_000_000


def test_an_expression_has_at_most_4_kib_counted_in_bytes():
    longest = "'" + "é" * 2046 + "'"

    assert issues_of("{{" + longest + "  }}") == []
    assert [issue.code for issue in issues_of("{{" + longest + "   }}")] == ["expression-too-long"]


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("input.l.map(x, {'n': x.name, 'p': x.price * 2.0})", {"l": [{"name": "abcdef", "price": 1.5, "tags": ["a"]}] * 2000}),
        ("input.l.filter(x, x.price > 1.0).map(x, x.name + input.end)", {"l": [{"name": "abc", "price": 1.5}] * 1500, "end": "!"}),
        (r"input.csv.split('\n').map(l, l.split(',')).filter(f, size(f) == 3).map(f, f[0].trim())", {"csv": "abc, def,ghi\n" * 300}),
        ("input.l.filter(x, x.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}$'))", {"l": ["2024-01-01"] * 1000}),
        ("input.o.map(o, input.c[o.c].name)", {"o": [{"c": "1"}] * 2000, "c": {str(i): {"name": "x", "more": "y" * 500} for i in range(99)}}),
        ("input.l.map(x, x.name).join(', ')", {"l": [{"name": "abcdef"}] * 2500}),
        ("input.s.contains('needle') || input.s.matches('a.*b')", {"s": "hay " * 60_000}),
        ("input.l.exists(x, x == -1)", {"l": [1] * 9_900}),
        ("input.l.map(x, size(input.l))", {"l": ["x" * 100] * 3000}),
        ("input.l.map(x, {'n': x.name, 'p': x.price * 2 + 1})", {"l": [{"name": "abcdef", "price": 1.5, "tags": ["a"]}] * 2000}),
        ("[input.n * 0.5] + input.l + input.l", {"l": list(range(50_000)), "n": 1}),
    ],
)  # fmt: skip
def test_ordinary_work_on_ordinary_data_is_done(source, data):
    evaluated(f"{{{{ {source} }}}}", data)


def test_more_iterations_than_cel_allows_fail_with_a_sentence():
    assert "more than 10,000 items" in reason("{{ input.l.exists(x, x == 2) }}", {"l": [1] * 10_001})


# For every string and every value

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"))  # the binding cuts keys at a NUL; jsonb has none
IN_64_BITS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.text(st.sampled_from("{} ab\n'\"é")) | st.text())
def test_text_without_two_opening_braces_is_itself_and_escaping_makes_any_text_so(text):
    assert evaluated(text.replace("{{", "")) == text.replace("{{", "") or "{{" in text.replace("{{", "")
    assert evaluated(text.replace("{{", "{{{{")) == text


@given(JSON)
def test_a_path_gives_every_json_value_as_it_is(value):
    assert evaluated("{{ input }}", value) == value
    assert evaluated("{{ input.x }}", {"x": value}) == value
    assert evaluated('{{ input.list[1]["any key"] }}', {"list": [0, {"any key": value}]}) == value


@given(IN_64_BITS)
def test_an_evaluation_gives_every_json_value_as_it_is(value):
    result = evaluated("{{ true ? input.x : 0 }}", {"x": value})

    assert msgspec.json.encode(result, order="sorted") == msgspec.json.encode(value, order="sorted")


NAMES = st.sampled_from(["a", "b", "c"])
READ = st.recursive(
    st.lists(NAMES, max_size=3).map(lambda names: ".".join(["input", *names])),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["size({})", "has({}.a)", "[{}]", "{}[0]", "{}['b']", "string({})", "{}.?a.orValue(1)",
                                   "{}.map(input, input.a)", "{}.all(x, x == input.b)", "{}.c.size()", "dyn({})"]), inner)
        .map(lambda parts: parts[0].replace("{}", parts[1])),
        st.tuples(inner, st.sampled_from(["+", "==", "in", ">", "||"]), inner).map(" ".join).map("({})".format),
    ),
    max_leaves=4,
)  # fmt: skip
OBJECTS = st.recursive(
    st.sampled_from([1, 2.5, "a", True, None]),
    lambda inner: st.dictionaries(NAMES, inner) | st.lists(inner, max_size=2),
    max_leaves=8,
)


@given(READ, OBJECTS)
def test_an_expression_has_the_same_value_on_what_it_reads_as_on_everything(source, data):
    """The second one reads all of the input."""
    compiled, issues = compile_value([f"{{{{ [{source}][0] }}}}", f"{{{{ [{source}, input][0] }}}}"], SCOPE)
    if issues:
        assert {issue.path for issue in issues} == {"/0", "/1"}
        return
    little, much = (outcome_of(each, data) for each in compiled.value)

    assert little == much


def outcome_of(template: Template, data: Any) -> Any:
    try:
        return template.evaluate(Variables({"input": data}.__getitem__, frozenset(), dict))
    except ExpressionFailed as failed:
        return failed.detail.rpartition(": ")[2]


def literal(text: str) -> st.SearchStrategy[str]:
    """A CEL string with this content, in one of the ways to write it; what cannot stand there is left out."""
    plain = text.replace("\\", "").replace("\n", "").replace("\r", "")
    single, double = plain.replace("'", "\\'"), plain.replace('"', '\\"')
    return st.sampled_from([
        f"'{single}'", f'"{double}"', f"b'{single}'", f"'''{single}\n'''", f'"""{double}\n"""',
        "r'" + plain.replace("'", "") + "\\'", 'R"' + plain.replace('"', "") + '\\"', "r'''" + plain.replace("'", "") + "\\'''",
    ])  # fmt: skip


PIECE = st.recursive(
    st.sampled_from(["input", "1", "+", ",", ":", "[", ")", "?", "."])
    | st.text(st.sampled_from("}{'\"/ab\\ ")).flatmap(literal)
    | st.text(st.sampled_from("}{'\"ab")).map(lambda text: f"//{text}\n"),
    lambda inner: st.lists(inner, max_size=4).map(lambda pieces: "{" + " ".join(pieces) + "}"),
    max_leaves=10,
)


@given(st.lists(PIECE, max_size=5).map(" ".join), st.sampled_from(["", " }}", "}", " '}}' {"]))
def test_the_closing_braces_are_the_first_outside_of_strings_comments_and_maps(source, rest):
    assert closing("{{" + source + "}}" + rest, 2) == 2 + len(source)
    assert closing("{{{" + source + "}}", 2) is None


@given(
    st.text(st.sampled_from("{}'\"/\\ .[]()steps input,:?+-1\n\x00é\ud800")).map("{{ {} }}".replace("{}", "%s").__mod__)
    | st.text(st.characters()).map(lambda text: "{{" + text + "}}")
    | st.lists(PIECE | st.sampled_from(["{{", "}}", "steps.a", "steps", "..", "''", "'''"])).map("".join)
)
@settings(max_examples=4 * settings.default.max_examples)
def test_no_string_crashes_the_compiler_and_every_issue_lies_in_the_string(text):
    compiled, issues = compile_value(text, SCOPE)

    assert issues or compiled.value is not None
    assert all(1 <= (issue.column or 0) <= len(text) + 1 for issue in issues)
