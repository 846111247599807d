"""How many runs of a workflow go on at once, which begin first, and how much is queued."""

from typing import Any

import pytest

from factories import chain, node
from recorder import Recorder
from stack import STRANGER, Api, until


def calling(recorder: Recorder) -> dict[str, Any]:
    return chain(node("call", "http.request", {"url": f"{recorder.url}/call"}))


def test_a_limited_workflow_has_one_run_after_another(server: Api, recorder: Recorder) -> None:
    recorder.hold()
    workflow = server.publish(calling(recorder), concurrency_limit=1)
    runs = [server.start(workflow)["id"] for _ in range(3)]
    until(lambda: recorder.requests, "the first call")
    held = [server.run(run_id)["status"] for run_id in runs]
    cancelled = server.http.post(f"/api/v1/runs/{runs[1]}/cancel").status_code
    until(lambda: server.run(runs[1])["status"] == "cancelled", "a held run being cancelled")
    seen = len(recorder.requests)
    recorder.let_go()
    ends = [server.finished(run_id) for run_id in runs]

    assert held == ["running", "queued", "queued"]
    assert (cancelled, seen) == (202, 1)
    assert [run["status"] for run in ends] == ["completed", "cancelled", "completed"]
    assert ends[0]["completed_at"] <= ends[2]["started_at"]


def test_a_retried_run_of_a_limited_workflow_waits_in_line_too(server: Api, recorder: Recorder) -> None:
    recorder.answers.append((400, {}, {}))
    workflow = server.publish(calling(recorder), concurrency_limit=1)
    failed = server.start(workflow)["id"]
    assert server.finished(failed)["status"] == "failed"
    recorder.hold()
    other = server.start(workflow)["id"]
    until(lambda: len(recorder.requests) == 2, "the other's call")
    assert server.http.post(f"/api/v1/runs/{failed}/retry").status_code == 202
    waiting = len(recorder.requests)
    recorder.let_go()
    ends = [server.finished(run_id) for run_id in (other, failed)]

    assert waiting == 2
    assert [run["status"] for run in ends] == ["completed", "completed"]
    assert ends[0]["completed_at"] <= ends[1]["completed_at"]


def test_the_end_of_a_child_run_gives_its_parent_no_place(server: Api, recorder: Recorder) -> None:
    recorder.answers.append((400, {}, {}))
    child = server.publish(chain(node("ask", "core.approval")))
    starting = node("start", "core.workflow", {"workflow_id": child, "wait": False})
    calling = node("call", "http.request", {"url": recorder.url})
    workflow = server.publish(chain(starting, calling), concurrency_limit=1)
    failed = server.start(workflow)["id"]
    assert server.finished(failed)["status"] == "failed"
    recorder.hold()
    other = server.start(workflow)["id"]
    until(lambda: len(recorder.requests) == 2, "the other's call")
    assert server.http.post(f"/api/v1/runs/{failed}/retry").status_code == 202

    for run in server.http.get("/api/v1/runs", params={"workflow_id": child}).json()["items"]:
        answer = {"step_id": "ask", "data": {}}
        until(lambda run=run: server.run(run["id"])["status"] == "paused", "the question")
        server.http.post(f"/api/v1/runs/{run['id']}/resume", json=answer)
        assert server.finished(run["id"])["status"] == "completed"
    for _ in range(3):  # whatever was due by then has been claimed as well
        server.execute(chain(node("rest", "core.delay", {"duration": 0.2})))
    calls = len(recorder.requests)
    recorder.let_go()

    assert [server.finished(run_id)["status"] for run_id in (other, failed)] == ["completed", "completed"]
    assert (calls, len(recorder.requests)) == (2, 3)


def test_child_runs_of_a_limited_workflow_wait_in_line(server: Api, recorder: Recorder) -> None:
    recorder.hold()
    child = server.publish(calling(recorder), concurrency_limit=1)
    parent = server.publish(chain(node("child", "core.workflow", {"workflow_id": child})))
    runs = [server.start(parent)["id"] for _ in range(2)]
    until(lambda: recorder.requests, "the first child's call")
    recorder.let_go()

    assert [server.finished(run_id)["status"] for run_id in runs] == ["completed", "completed"]
    assert len(recorder.requests) == 2


@pytest.mark.parametrize(
    "values",
    [
        {"priority": "urgent"},
        {"priority": None},
        {"concurrency_limit": 0},
        {"concurrency_limit": 1001},
        {"concurrency_limit": 1.5},
    ],
)
def test_what_is_no_priority_and_no_limit_is_refused(server: Api, values: dict[str, Any]) -> None:
    assert server.http.post("/api/v1/workflows", json={"name": "Odd", **values}).status_code == 400


def test_priority_and_limit_are_kept_changed_and_copied(server: Api) -> None:
    made = server.create(chain(node("a")), priority="high", concurrency_limit=7)
    changed = server.http.put(f"/api/v1/workflows/{made['id']}", json={"priority": "low", "concurrency_limit": None})
    copied = server.http.post(f"/api/v1/workflows/{made['id']}/duplicate").json()
    plain = server.create(chain(node("a")))

    assert (made["priority"], made["concurrency_limit"]) == ("high", 7)
    assert (changed.json()["priority"], changed.json()["concurrency_limit"]) == ("low", None)
    assert (copied["priority"], copied["concurrency_limit"]) == ("low", None)
    assert (plain["priority"], plain["concurrency_limit"]) == ("normal", None)


def test_a_whole_number_is_a_limit_however_it_is_written(server: Api) -> None:
    made = server.create(chain(node("a")), concurrency_limit=7.0)
    changed = server.http.put(f"/api/v1/workflows/{made['id']}", json={"concurrency_limit": 999.0})

    assert made["concurrency_limit"] == 7
    assert changed.json()["concurrency_limit"] == 999
    assert '"concurrency_limit":999,' in changed.text


def test_what_is_queued_can_be_read(server: Api, recorder: Recorder) -> None:
    recorder.hold()
    workflow = server.publish(calling(recorder), concurrency_limit=1)
    runs = [server.start(workflow)["id"] for _ in range(3)]
    until(lambda: recorder.requests, "the first call")
    depth = server.http.get("/api/v1/queue", params={"workflow_id": workflow}).json()
    whole = server.http.get("/api/v1/queue").json()
    with server.client(STRANGER) as stranger:
        theirs = stranger.get("/api/v1/queue", params={"workflow_id": workflow}).json()
    recorder.let_go()
    for run_id in runs:
        server.finished(run_id)
    after = server.http.get("/api/v1/queue", params={"workflow_id": workflow}).json()

    assert depth == {"queued": 2, "running": 1, "paused": 0, "oldest_queued_at": server.run(runs[1])["created_at"]}
    assert whole["queued"] >= 2
    nothing = {"queued": 0, "running": 0, "paused": 0, "oldest_queued_at": None}
    assert (theirs, after) == (nothing, nothing)
