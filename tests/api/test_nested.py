"""Containers and child runs."""

from typing import Any
from uuid import uuid4

import pytest

from factories import chain, definition, edge, node
from recorder import Recorder
from stack import STRANGER, Api, until


def within(container: str, *nodes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**each, "parentId": container} for each in nodes]


def mapped(config: dict[str, Any], *inner: dict[str, Any], edges: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A container over the input's list, with a step behind it."""
    container = node("each", "core.map", {"items": "{{ input.list }}", **config})
    after = node("after", "core.transform", {"values": {"result": "{{ steps.each.output }}"}})
    return definition([container, *within("each", *inner), after], [edge("each", "after"), *(edges or [])])


DOUBLE = node(
    "double", "core.transform", {"values": {"n": "{{ item * 2 }}", "at": "{{ index }}", "of": "{{ input.name }}"}}
)


def steps(server: Api, run_id: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    after: int | None = 0
    while after is not None:
        part = server.http.get(f"/api/v1/runs/{run_id}/steps", params={"after": after, "limit": 1000}).json()
        found |= {each["step_id"]: each for each in part["items"]}
        after = part["next_after"]
    return found


@pytest.mark.parametrize("concurrency", [1, 3, 100])
def test_each_item_is_run_and_the_results_are_in_the_items_order(server: Api, concurrency: int) -> None:
    raw = mapped({"concurrency": concurrency}, node("pause", "core.delay", {"duration": "{{ 0.02 * double(5 - index) }}"}), DOUBLE,
                 edges=[edge("pause", "double")])  # fmt: skip
    run = server.execute(raw, {"list": [1, 2, 3, 4, 5], "name": "x"})

    expected = [{"double": {"n": 2 * n, "at": n - 1, "of": "x"}} for n in range(1, 6)]
    assert (run["status"], run["output"]) == ("completed", {"after": {"result": expected}})
    assert set(run["context"]["steps"]) == {"each", "after"}
    assert steps(server, run["id"])["each[3].double"]["output"] == {"n": 8, "at": 3, "of": "x"}


def test_an_empty_list_is_an_empty_result(server: Api) -> None:
    assert server.execute(mapped({}, DOUBLE), {"list": [], "name": "x"})["output"] == {"after": {"result": []}}


def test_no_more_items_run_side_by_side_than_are_wanted(server: Api, recorder: Recorder) -> None:
    recorder.hold()
    raw = mapped({"concurrency": 3}, node("call", "http.request", {"url": f"{recorder.url}/{{{{ item }}}}"}))
    run = server.start(server.publish(raw), {"list": list(range(10))})
    until(lambda: len(recorder.requests) == 3, "three calls")
    recorder.let_go()

    ended = server.finished(run["id"])

    assert ended["status"] == "completed"
    assert sorted(request.path for request in recorder.requests) == [f"/{n}" for n in range(10)]
    keys = {request.headers["idempotency-key"] for request in recorder.requests}
    assert keys == {f"{run['id']}:each[{n}].call" for n in range(10)}


def test_an_item_that_fails_fails_the_container_and_cuts_the_others_off(server: Api) -> None:
    raw = mapped(
        {"concurrency": 10},
        node("check", "core.condition", {"expression": "item == 2"}),
        node("fail", "core.fail", {"message": "no {{ item }}"}),
        node("wait", "core.delay", {"duration": 3600}),
        edges=[edge("check", "fail", "true"), edge("check", "wait", "false")],
    )
    run = server.execute(raw, {"list": [1, 2, 3]})

    assert run["status"] == "failed"
    assert (run["error"]["code"], run["error"]["message"]) == ("failed-on-purpose", "Item 1: no 2")
    assert run["error"]["details"] == {"index": 1, "step_id": "each[1].fail"}
    statuses = {step_id: each["status"] for step_id, each in steps(server, run["id"]).items()}
    assert statuses["each[0].wait"] == statuses["each[2].wait"] == statuses["after"] == "cancelled"
    assert (statuses["each"], statuses["each[1].fail"]) == ("failed", "failed")


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_steps_come_page_by_page_in_the_order_they_started_then_those_that_were_not_reached(
    server: Api, limit: int
) -> None:
    raw = mapped(
        {"concurrency": 2},
        node("check", "core.condition", {"expression": "item == 2"}),
        node("fail", "core.fail", {}),
        node("wait", "core.delay", {"duration": 3600}),
        edges=[edge("check", "fail", "true"), edge("check", "wait", "false")],
    )
    run_id = server.execute(raw, {"list": [1, 2, 3]})["id"]

    listed: list[str] = []
    after: int | None = 0
    while after is not None:
        part = server.http.get(f"/api/v1/runs/{run_id}/steps", params={"after": after, "limit": limit}).json()
        listed += [each["step_id"] for each in part["items"]]
        after = part["next_after"]

    started = [each["step_id"] for each in server.events(run_id) if each["event"] == "step.started"]
    assert listed == [*started, "after", "each[0].fail", "each[1].wait"]


def test_what_failed_is_collected_and_the_others_go_on(server: Api) -> None:
    raw = mapped(
        {"on_item_error": "collect", "concurrency": 1},
        node("check", "core.condition", {"expression": "item == 2"}),
        node("fail", "core.fail", {"message": "no {{ item }}"}),
        node("fine", "core.transform", {"values": {"n": "{{ item }}"}}),
        edges=[edge("check", "fail", "true"), edge("check", "fine", "false")],
    )
    run = server.execute(raw, {"list": [1, 2, 3]})

    result = run["output"]["after"]["result"]
    assert run["status"] == "completed"
    assert (result[0], result[2]) == ({"fine": {"n": 1}}, {"fine": {"n": 3}})
    assert result[1]["error"]["message"] == "no 2"


def test_containers_within_containers(server: Api) -> None:
    inner = node("inner", "core.map", {"items": "{{ item.numbers }}"})
    leaf = node("leaf", "core.transform", {"values": {"n": "{{ item }}", "label": "{{ steps.name.output.label }}"}})
    name = node("name", "core.transform", {"values": {"label": "{{ item.name }}"}})
    raw = mapped({}, name, inner, *within("inner", leaf), edges=[edge("name", "inner")])
    raw["nodes"] = [{**each, "parentId": "inner"} if each["id"] == "leaf" else each for each in raw["nodes"]]
    value = [{"name": "a", "numbers": [1, 2]}, {"name": "b", "numbers": []}, {"name": "c", "numbers": [3]}]

    run = server.execute(raw, {"list": value})

    assert run["output"]["after"]["result"] == [
        {"inner": [{"leaf": {"n": 1, "label": "a"}}, {"leaf": {"n": 2, "label": "a"}}]},
        {"inner": []},
        {"inner": [{"leaf": {"n": 3, "label": "c"}}]},
    ]


def test_a_failed_container_is_taken_up_again_where_it_failed(server: Api, recorder: Recorder) -> None:
    recorder.answers = [(200, {}, {}), (500, {}, {})]
    raw = mapped({"concurrency": 1}, node("call", "http.request", {"url": f"{recorder.url}/{{{{ item }}}}"}))
    run = server.start(server.publish(raw), {"list": [0, 1, 2]})
    assert server.finished(run["id"])["status"] == "failed"

    server.http.post(f"/api/v1/runs/{run['id']}/retry")
    ended = server.finished(run["id"])

    assert ended["status"] == "completed"
    assert [request.path for request in recorder.requests] == ["/0", "/1", "/1", "/2"]
    assert [each["call"]["status"] for each in ended["output"]["after"]["result"]] == [200, 200, 200]


def test_ten_thousand_items_and_no_more(server: Api) -> None:
    raw = mapped({"concurrency": 100}, node("one", "core.transform", {"values": {"n": "{{ item }}"}}))
    workflow_id = server.publish(raw)
    most = server.finished(server.start(workflow_id, {"list": [1] * 10_000})["id"])
    more = server.finished(server.start(workflow_id, {"list": [1] * 10_001})["id"])

    assert most["status"] == "completed", most["error"]
    assert len(most["output"]["after"]["result"]) == 10_000
    assert (more["status"], more["error"]["code"]) == ("failed", "too-many-items")


# Child runs


def calling(workflow_id: str, **config: Any) -> dict[str, Any]:
    child = node("child", "core.workflow", {"workflow_id": workflow_id, "input": {"n": "{{ input.n }}"}, **config})
    return chain(child, node("after", "core.transform", {"values": {"got": "{{ steps.child.output }}"}}))


def test_a_child_run_is_waited_for_and_its_output_is_the_steps(server: Api) -> None:
    child_id = server.publish(chain(node("square", "core.transform", {"values": {"n": "{{ input.n * input.n }}"}})))
    run = server.execute(calling(child_id), {"n": 7})
    (child,) = server.http.get("/api/v1/runs", params={"workflow_id": child_id}).json()["items"]

    assert run["output"] == {"after": {"got": {"square": {"n": 49}}}}
    assert (child["trigger_type"], child["parent_run_id"], child["status"]) == ("workflow", run["id"], "completed")
    assert child["input"] == {"n": 7}


def test_a_child_run_that_is_not_waited_for_goes_its_own_way(server: Api) -> None:
    child_id = server.publish(chain(node("wait", "core.delay", {"duration": 0.2})))
    run = server.execute(calling(child_id, wait=False), {"n": 7})

    child_run = run["output"]["after"]["got"]["run_id"]
    assert server.finished(child_run)["status"] == "completed"


def test_a_child_that_fails_fails_its_parent_and_is_taken_up_again_with_it(server: Api, recorder: Recorder) -> None:
    recorder.answers = [(200, {}, {}), (500, {}, {"no": 1})]
    child_id = server.publish(
        chain(*(node(f"call{n}", "http.request", {"url": f"{recorder.url}/{n}"}) for n in range(2)))
    )
    run = server.execute(calling(child_id), {"n": 7})
    assert (run["status"], run["error"]["code"]) == ("failed", "child-failed")

    server.http.post(f"/api/v1/runs/{run['id']}/retry")
    ended = server.finished(run["id"])

    assert ended["status"] == "completed", ended["error"]
    assert [request.path for request in recorder.requests] == ["/0", "/1", "/1"]
    assert server.http.get("/api/v1/runs", params={"workflow_id": child_id}).json()["total"] == 1


def test_a_child_that_was_taken_up_by_itself_is_done_when_its_parent_is_taken_up(
    server: Api, recorder: Recorder
) -> None:
    recorder.answers = [(500, {}, {})]
    child_id = server.publish(chain(node("call", "http.request", {"url": recorder.url})))
    run = server.execute(calling(child_id), {"n": 7})
    child = run["error"]["details"]["run_id"]
    server.http.post(f"/api/v1/runs/{child}/retry")
    assert server.finished(child)["status"] == "completed"

    server.http.post(f"/api/v1/runs/{run['id']}/retry")
    ended = server.finished(run["id"])

    assert ended["output"]["after"]["got"]["call"]["status"] == 200
    assert len(recorder.requests) == 2


def test_cancelling_a_run_cancels_the_runs_that_it_waits_for(server: Api, recorder: Recorder) -> None:
    recorder.hold()
    grandchild = server.publish(chain(node("call", "http.request", {"url": recorder.url})))
    child = server.publish(calling(grandchild))
    run = server.start(server.publish(calling(child)), {"n": 1})
    until(lambda: recorder.requests, "the call of the grandchild")

    server.http.post(f"/api/v1/runs/{run['id']}/cancel")

    assert server.finished(run["id"])["status"] == "cancelled"
    for workflow_id in (child, grandchild):
        (each,) = server.http.get("/api/v1/runs", params={"workflow_id": workflow_id}).json()["items"]
        assert server.finished(each["id"])["status"] == "cancelled"


def test_a_child_that_is_cancelled_fails_its_parents_step(server: Api) -> None:
    child_id = server.publish(chain(node("wait", "core.delay", {"duration": 3600})))
    run = server.start(server.publish(calling(child_id)), {"n": 1})
    found = until(
        lambda: server.http.get("/api/v1/runs", params={"workflow_id": child_id}).json()["items"], "the child"
    )
    server.http.post(f"/api/v1/runs/{found[0]['id']}/cancel")

    ended = server.finished(run["id"])

    assert (ended["status"], ended["error"]["code"]) == ("failed", "child-cancelled")


@pytest.mark.parametrize(("workflow", "code"), [("missing", "workflow-not-found"), ("draft", "workflow-not-published")])
def test_a_workflow_that_cannot_be_run_fails_the_step(server: Api, workflow: str, code: str) -> None:
    found = str(uuid4()) if workflow == "missing" else server.create(chain(node("a")))["id"]
    raw = calling("{{ input.workflow }}")
    run = server.execute(raw, {"n": 1, "workflow": found})

    assert (run["status"], run["error"]["code"]) == ("failed", code)


def test_child_runs_in_a_container(server: Api) -> None:
    child_id = server.publish(chain(node("square", "core.transform", {"values": {"n": "{{ input.n * input.n }}"}})))
    child = node("child", "core.workflow", {"workflow_id": child_id, "input": {"n": "{{ item }}"}})
    run = server.execute(mapped({"concurrency": 4}, child), {"list": list(range(12))})

    assert [each["child"]["square"]["n"] for each in run["output"]["after"]["result"]] == [n * n for n in range(12)]


def test_a_workflow_that_leads_back_to_itself_is_not_published(server: Api) -> None:
    """A refers to itself; B, published, refers to C, which is to refer to B."""
    own = server.create(chain(node("a")))["id"]
    server.http.put(f"/api/v1/workflows/{own}", json={"definition": calling(own)})
    one, other = server.create(chain(node("a")))["id"], server.publish(chain(node("a")))
    server.http.put(f"/api/v1/workflows/{one}", json={"definition": calling(other)})

    refused = server.http.post(f"/api/v1/workflows/{own}/publish")
    fine = server.http.post(f"/api/v1/workflows/{one}/publish")

    assert refused.status_code == 422
    (issue,) = refused.json()["errors"]
    assert (issue["code"], issue["node_id"]) == ("recursive-workflow", "child")
    assert fine.status_code == 200


@pytest.mark.parametrize("kind", ["missing", "draft", "archived", "another owner's"])
def test_a_workflow_that_runs_one_which_cannot_be_run_is_not_published(server: Api, kind: str) -> None:
    known = str(uuid4())
    if kind == "draft":
        known = server.create(chain(node("a")))["id"]
    elif kind == "archived":
        known = server.publish(chain(node("a")))
        server.http.post(f"/api/v1/workflows/{known}/archive")
    elif kind == "another owner's":
        with server.client(STRANGER) as client:
            body = {"name": "x", "definition": chain(node("a"))}
            known = client.post("/api/v1/workflows", json=body).json()["id"]
            assert client.post(f"/api/v1/workflows/{known}/publish").status_code == 200
    made = server.create(calling(known))["id"]
    checked = server.http.post(f"/api/v1/workflows/{made}/validate").json()

    code = {"draft": "workflow-not-published", "archived": "workflow-not-published"}.get(kind, "unknown-workflow")
    assert [(issue["code"], issue["node_id"]) for issue in checked["issues"]] == [(code, "child")]
