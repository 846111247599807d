"""What a configuration comes to when it is evaluated, step type by step type."""

from typing import Any

import pytest

from factories import chain, definition, edge, node
from stack import Api, until

WAYS = [
    {"handle": "none", "when": "!has(input.total)"},
    {"handle": "large", "when": "{{ input.total > 100 }}"},
    {"handle": "named", "equals": "gold"},
]


def steps(server: Api, run: dict[str, Any]) -> list[dict[str, Any]]:
    return list(server.http.get(f"/api/v1/runs/{run['id']}/steps").json()["items"])


@pytest.mark.parametrize(
    ("config", "given"),
    [
        ({"expression": "input.gone"}, None),
        ({"expression": "{{ input.text }}"}, {"expression": "yes"}),
    ],
)
def test_a_step_whose_configuration_has_no_value_or_one_that_does_not_fit_has_begun_in_its_turn(
    server: Api, config: dict[str, Any], given: Any
) -> None:
    graph = definition(
        [node("a"), node("b", "core.condition", config), node("c")], [edge("a", "b"), edge("b", "c", "error")]
    )
    run = server.execute(graph, {"text": "yes"})

    before, failed, after = steps(server, run)
    assert [before["step_id"], failed["step_id"], after["step_id"]] == ["a", "b", "c"]
    assert (failed["status"], failed["attempt"], failed["input"]) == ("failed", 1, given)
    assert before["started_at"] <= failed["started_at"] <= failed["completed_at"] <= after["started_at"]
    assert [each["event"] for each in server.events(run["id"]) if each["step_id"] == "b"] == [
        "step.scheduled",
        "step.started",
        "step.failed",
    ]


@pytest.mark.parametrize(
    ("value", "way"),
    [
        ({}, "none"),
        ({"total": 7}, "default"),
        ({"total": 107}, "large"),
        ({"total": 7, "tier": "gold"}, "named"),
    ],
)
def test_what_comes_after_the_first_match_of_a_switch_cannot_fail_it(
    server: Api, value: dict[str, Any], way: str
) -> None:
    config = {"value": "{{ input.?tier.orValue(null) }}", "cases": WAYS}

    assert server.execute(chain(node("s", "core.switch", config)), value)["output"] == {"s": {"handle": way}}


@pytest.mark.parametrize(
    ("total", "code", "sentence"),
    [
        ("x", "expression-failed", "input.total > 100: > does not work on string and int."),
        (None, "expression-failed", "input.total > 100: > does not work on null and int."),
    ],
)
def test_a_case_of_a_switch_that_is_come_to_and_has_no_value_fails_it(
    server: Api, total: Any, code: str, sentence: str
) -> None:
    run = server.execute(chain(node("s", "core.switch", {"cases": WAYS})), {"total": total})

    assert (run["status"], run["error"]["code"], run["error"]["message"]) == ("failed", code, sentence)


def test_a_case_of_a_switch_that_is_neither_true_nor_false_fails_it(server: Api) -> None:
    cases = [{"handle": "a", "when": "{{ input.yes }}"}, {"handle": "b", "when": "true"}]

    run = server.execute(chain(node("s", "core.switch", {"cases": cases})), {"yes": "yes"})

    assert run["error"]["code"] == "bad-config"
    assert run["error"]["message"] == "What case 'a' has for `when` is neither true nor false."


def test_a_whole_number_fits_where_an_integer_is_wanted_however_it_is_written(server: Api) -> None:
    each = node("each", "core.map", {"items": "input.list", "concurrency": "{{ input.share * 4 }}"})
    inner = {**node("answer", "webhook.respond", {"status": 204.0, "body": 1.5}), "parentId": "each"}

    run = server.execute(definition([each, inner]), {"list": [1], "share": 0.5})

    assert run["output"] == {"each": [{"answer": {"status": 204, "headers": {}, "body": 1.5}}]}


def test_a_form_that_an_expression_gives_is_judged_before_anybody_is_asked(server: Api) -> None:
    graph = chain(node("ask", "core.approval", {"schema": "{{ input.form }}"}))
    workflow = server.publish(graph)

    refused = server.finished(server.start(workflow, {"form": {"type": "no-such"}})["id"])

    assert (refused["status"], refused["error"]["code"]) == ("failed", "bad-config")
    asked = server.start(workflow, {"form": {"required": ["yes"]}})["id"]
    until(lambda: server.run(asked)["status"] == "paused", "the question")
    answer = server.http.post(f"/api/v1/runs/{asked}/resume", json={"step_id": "ask", "data": {}})
    assert answer.status_code == 422


def test_a_step_that_fails_on_purpose_is_tried_again_as_its_policy_says(server: Api) -> None:
    policy = {"max_attempts": 3, "initial_interval": 0}
    graph = chain(node("stop", "core.fail", {"message": "not yet"}, retry=policy))

    run = server.execute(graph)

    assert (run["error"]["code"], run["error"]["attempt"]) == ("failed-on-purpose", 3)
    events = [each["event"] for each in server.events(run["id"])]
    assert events.count("step.retrying") == 2
    assert events.count("step.started") == 3
