"""What a run is not allowed, and how it says so."""

from typing import Any

import pytest

from factories import chain, definition, edge, node
from stack import Api, until

TEXT = "x" * 240_000


def transform(name: str, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return node(name, "core.transform", {"values": values}, **more)


def large(count: int) -> dict[str, Any]:
    """A container with 0.96 MB an item, and something to answer behind it, so that the run is put away meanwhile."""
    container = node("each", "core.map", {"items": list(range(count))})
    inner = {**transform("big", dict.fromkeys("abcd", "{{ input.text }}")), "parentId": "each"}
    small = {**transform("small", {"n": "{{ index }}"}), "parentId": "each"}
    ask, more = node("ask", "core.approval"), transform("more", dict.fromkeys("abcd", "{{ input.text }}"))
    last = transform("last", dict.fromkeys("abcd", "{{ input.text }}"), retry={"max_attempts": 3})
    edges = [edge("big", "small"), edge("each", "ask"), edge("ask", "more"), edge("more", "last")]
    return definition([container, inner, small, ask, more, last], edges)


@pytest.mark.parametrize(("items", "status"), [(14, "completed"), (16, "failed")])
def test_the_outputs_of_a_runs_steps_are_counted_across_the_times_that_it_was_put_away(
    server: Api, items: int, status: str
) -> None:
    run = server.start(server.publish(large(items)), {"text": TEXT})
    until(lambda: server.run(run["id"])["status"] == "paused", "the question")
    server.http.post(f"/api/v1/runs/{run['id']}/resume", json={"step_id": "ask", "data": {}})

    ended = server.finished(run["id"])

    assert ended["status"] == status
    if status == "failed":
        assert (ended["error"]["code"], ended["error"]["attempt"]) == ("context-too-large", 1)
        assert ended["context"]["steps"]["more"]["status"] == "completed"


def test_an_output_is_nested_at_most_sixty_four_deep(server: Api) -> None:
    value: Any = 1
    for _ in range(62):
        value = {"d": value}
    deeper = [transform(f"t{n}", {"v": f"{{{{ steps.t{n - 1}.output }}}}" if n else "{{ input.d }}"}) for n in range(5)]

    run = server.execute(chain(*deeper), value)

    assert (run["status"], run["error"]["code"]) == ("failed", "output-not-json")
    assert "64 deep" in run["error"]["message"]
    assert [run["context"]["steps"][f"t{n}"]["status"] for n in range(5)] == ["completed"] * 3 + ["failed", "cancelled"]


def test_one_large_value_named_a_thousand_times_is_refused_before_it_is_stored(server: Api) -> None:
    greedy = transform("greedy", {str(number): "{{ input.text }}" for number in range(1000)})

    run = server.execute(chain(greedy), {"text": TEXT})

    assert (run["status"], run["error"]["code"]) == ("failed", "input-too-large")
