"""What can be done with workflows and runs besides making them: delete, duplicate, archive; cancel, retry, resume."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from factories import chain, definition, edge, node
from recorder import Recorder
from stack import Api, until

ONE = chain(node("a", "core.log", {"message": "a"}))
WAITING = chain(node("wait", "core.delay", {"duration": 3600}), node("after", "core.log", {"message": "b"}))


def workflows(server: Api, path: str, method: str = "POST", **options: Any) -> Any:
    return server.http.request(method, f"/api/v1/workflows/{path}", **options)


def runs(server: Api, path: str, **options: Any) -> Any:
    return server.http.post(f"/api/v1/runs/{path}", **options)


def failing(recorder: Recorder) -> dict[str, Any]:
    """A step before, one that calls the recorder, one beside it that waits, and one after both."""
    return definition(
        [
            node("before", "core.log", {"message": "n is {{ input.n }}"}),
            node("call", "http.request", {"url": f"{recorder.url}/call"}),
            node("beside", "core.delay", {"duration": 0.01}),
            node("after", "core.merge", {}),
        ],
        [edge("before", "call"), edge("before", "beside"), edge("call", "after"), edge("beside", "after")],
    )


# Workflows


def test_a_draft_is_deleted(server: Api) -> None:
    workflow_id = server.create(ONE)["id"]

    assert workflows(server, workflow_id, "DELETE").status_code == 204
    assert workflows(server, workflow_id, "GET").status_code == 404
    assert workflows(server, workflow_id, "DELETE").status_code == 404


@pytest.mark.parametrize("status", ["published", "archived"])
def test_what_is_no_draft_is_not_deleted(server: Api, status: str) -> None:
    workflow_id = server.publish(ONE)
    if status == "archived":
        workflows(server, f"{workflow_id}/archive")

    refused = workflows(server, workflow_id, "DELETE")

    assert (refused.status_code, refused.json()["type"]) == (400, "/problems/workflow-not-deletable")
    assert workflows(server, workflow_id, "GET").json()["status"] == status


def test_a_duplicate_is_a_draft_with_the_next_version_of_its_line(server: Api) -> None:
    workflow_id = server.publish(ONE, description="about", input_schema={"type": "object"})
    first = workflows(server, f"{workflow_id}/duplicate")
    second = workflows(server, f"{first.json()['id']}/duplicate").json()
    third = workflows(server, f"{workflow_id}/duplicate").json()

    original, copy = workflows(server, workflow_id, "GET").json(), first.json()
    assert first.status_code == 201
    assert first.headers["location"] == f"/api/v1/workflows/{copy['id']}"
    assert (copy["status"], copy["published_at"], copy["source_id"]) == ("draft", None, workflow_id)
    assert second["source_id"] == copy["id"]
    assert [each["version"] for each in (original, copy, second, third)] == [1, 2, 3, 4]
    same = ("name", "description", "definition", "input_schema")
    assert [copy[field] for field in same] == [original[field] for field in same]


def test_an_archived_workflow_takes_no_run_and_those_that_it_has_go_on(server: Api) -> None:
    workflow_id = server.publish(chain(node("wait", "core.delay", {"duration": 0.5})))
    run = server.start(workflow_id)

    archived = workflows(server, f"{workflow_id}/archive")
    refused = workflows(server, f"{workflow_id}/run", json={})

    assert (archived.status_code, archived.json()["status"]) == (200, "archived")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/workflow-not-published")
    assert server.finished(run["id"])["status"] == "completed"
    assert workflows(server, f"{workflow_id}/archive").status_code == 200
    assert workflows(server, f"{workflow_id}/publish").status_code == 409
    assert workflows(server, f"{workflow_id}", "PUT", json={"name": "x"}).status_code == 409


def test_a_draft_cannot_be_archived(server: Api) -> None:
    refused = workflows(server, f"{server.create(ONE)['id']}/archive")

    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/workflow-not-published")


# Entity tags


def test_who_has_the_workflow_already_gets_no_body(server: Api) -> None:
    made = server.create(ONE)
    tag = workflows(server, made["id"], "GET").headers["etag"]

    def again(header: str) -> Any:
        return workflows(server, made["id"], "GET", headers={"If-None-Match": header})

    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = again(known)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    workflows(server, made["id"], "PUT", json={"name": "Another"})
    changed = again(tag)
    assert (changed.status_code, changed.json()["name"]) == (200, "Another")
    assert changed.headers["etag"] != tag


@pytest.mark.parametrize("change", ["PUT", "DELETE", "publish"])
@pytest.mark.parametrize("tag", ['"999"', 'W/"{}"', '"x"', "garbage", ""])
def test_a_change_of_what_was_changed_meanwhile_is_refused(server: Api, change: str, tag: str) -> None:
    made = server.create(ONE)
    current = workflows(server, made["id"], "GET").headers["etag"].strip('"')
    path, method = (made["id"], change) if change.isupper() else (f"{made['id']}/{change}", "POST")

    def attempt(if_match: str) -> int:
        body = {"json": {"name": "x"}} if change == "PUT" else {}
        return int(workflows(server, path, method, headers={"If-Match": if_match}, **body).status_code)

    assert attempt(tag.format(current)) == 412
    assert attempt(f'"0", "{current}"') in (200, 204)


def test_a_workflow_that_is_any_may_be_changed(server: Api) -> None:
    made = server.create(ONE)

    answer = workflows(server, made["id"], "PUT", json={"name": "x"}, headers={"If-Match": "*"})

    assert answer.status_code == 200


@pytest.mark.parametrize("tags", [('"0"', "{}"), ("{}", '"0"')])
def test_tags_and_preferences_may_come_in_several_lines(server: Api, tags: tuple[str, str]) -> None:
    made = server.create(ONE)
    tag = workflows(server, made["id"], "GET").headers["etag"]
    lines = [each.format(tag) for each in tags]

    known = workflows(server, made["id"], "GET", headers=[("If-None-Match", line) for line in lines])
    published = workflows(server, f"{made['id']}/publish", headers=[("If-Match", line) for line in lines])
    waited = workflows(server, f"{made['id']}/run", headers=[("Prefer", "respond-async"), ("Prefer", "wait=30")])

    assert (known.status_code, published.status_code) == (304, 200)
    assert (waited.headers["preference-applied"], waited.json()["status"]) == ("wait=30", "completed")


# Runs


def test_a_waiting_run_is_cancelled(server: Api) -> None:
    run = server.start(server.publish(WAITING))
    until(lambda: server.run(run["id"])["context"]["steps"].get("wait", {}).get("status") == "waiting", "the wait")

    answer = runs(server, f"{run['id']}/cancel")
    ended = server.finished(run["id"])

    assert answer.status_code == 202
    assert ended["status"] == "cancelled"
    assert {each["status"] for each in ended["context"]["steps"].values()} == {"cancelled"}
    events = [event["event"] for event in server.events(run["id"])]
    assert events[-3:] == ["step.cancelled", "step.cancelled", "run.cancelled"]
    again = runs(server, f"{run['id']}/cancel")
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")
    assert len(server.events(run["id"])) == len(events)


def test_a_call_in_flight_is_stopped_when_its_run_is_cancelled(server: Api, recorder: Recorder) -> None:
    recorder.hold()
    run = server.start(server.publish(failing(recorder)), {"n": 1})
    until(lambda: recorder.requests, "the call")

    runs(server, f"{run['id']}/cancel")

    ended = server.finished(run["id"])  # while the other side still says nothing
    assert ended["status"] == "cancelled"
    assert ended["context"]["steps"]["call"]["status"] == "cancelled"
    assert ended["context"]["steps"]["before"]["status"] == "completed"


@pytest.mark.parametrize("verb", ["cancel", "resume"])
def test_a_run_that_has_ended_is_neither_cancelled_nor_resumed(server: Api, verb: str) -> None:
    run = server.execute(ONE)
    body = {"json": {"step_id": "a"}} if verb == "resume" else {}

    refused = runs(server, f"{run['id']}/{verb}", **body)

    kind = {"cancel": "/problems/run-finished", "resume": "/problems/run-not-paused"}[verb]
    assert (refused.status_code, refused.json()["type"]) == (409, kind)
    assert server.run(run["id"]) == run


def test_a_delay_is_not_a_step_that_waits_for_somebody(server: Api) -> None:
    run = server.start(server.publish(WAITING))

    refused = runs(server, f"{run['id']}/resume", json={"step_id": "wait", "data": {}})

    assert refused.status_code == 409
    runs(server, f"{run['id']}/cancel")


def test_a_failed_run_is_taken_up_from_its_failed_steps(server: Api, recorder: Recorder) -> None:
    recorder.answers = [(500, {}, {})]
    run = server.start(server.publish(failing(recorder)), {"n": 1})
    failed = server.finished(run["id"])
    before = server.events(run["id"])

    answer = runs(server, f"{run['id']}/retry")
    ended = server.finished(run["id"])

    assert failed["status"] == "failed"
    assert (answer.status_code, answer.json()["error"], answer.json()["completed_at"]) == (202, None, None)
    assert answer.json()["status"] in ("running", "completed")
    assert (ended["status"], set(ended["output"]["after"])) == ("completed", {"call", "beside"})
    events = server.events(run["id"])
    retried = events[len(before)]
    assert events[: len(before)] == before
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert retried["event"] == "run.retried"
    assert "call" in retried["data"]["step_ids"]
    assert "before" not in {event["step_id"] for event in events[len(before) :]}
    keys = [request.headers["idempotency-key"] for request in recorder.requests]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    refused = runs(server, f"{run['id']}/retry")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/run-not-failed")


def test_a_run_may_fail_and_be_taken_up_again_and_again(server: Api, recorder: Recorder) -> None:
    recorder.answers = [(500, {}, {})] * 3
    run = server.start(server.publish(failing(recorder)), {"n": 1})
    for _ in range(3):
        assert server.finished(run["id"])["status"] == "failed"
        assert runs(server, f"{run['id']}/retry").status_code == 202

    assert server.finished(run["id"])["status"] == "completed"
    assert len(recorder.requests) == 4


def test_a_run_that_was_taken_up_again_can_be_cancelled(server: Api, recorder: Recorder) -> None:
    recorder.answers = [(500, {}, {})]
    run = server.start(server.publish(failing(recorder)), {"n": 1})
    server.finished(run["id"])
    recorder.hold()
    runs(server, f"{run['id']}/retry")
    until(lambda: len(recorder.requests) == 2, "the second call")

    assert runs(server, f"{run['id']}/cancel").status_code == 202
    assert server.finished(run["id"])["status"] == "cancelled"
    assert runs(server, f"{run['id']}/retry").status_code == 409


# Waiting for the answer


@pytest.mark.parametrize("prefer", ["wait=30", "respond-async, wait=30", "WAIT = 30; foo=bar", 'wait="30"'])
def test_an_answer_is_held_until_the_run_is_over(server: Api, prefer: str) -> None:
    workflow_id = server.publish(chain(node("wait", "core.delay", {"duration": 0.2})))

    answer = workflows(server, f"{workflow_id}/run", json={}, headers={"Prefer": prefer, "Idempotency-Key": "k"})
    replayed = workflows(server, f"{workflow_id}/run", json={}, headers={"Prefer": prefer, "Idempotency-Key": "k"})

    assert (answer.status_code, answer.json()["status"]) == (201, "completed")
    assert answer.headers["preference-applied"] == "wait=30"
    assert (replayed.status_code, replayed.json()) == (200, answer.json())


def test_an_answer_is_held_no_longer_than_the_client_would_wait(server: Api) -> None:
    workflow_id = server.publish(WAITING)

    began = time.monotonic()
    answer = workflows(server, f"{workflow_id}/run", json={}, headers={"Prefer": "wait=1"})

    assert time.monotonic() - began >= 1
    assert (answer.status_code, answer.headers["preference-applied"]) == (201, "wait=1")
    assert answer.json()["status"] in ("queued", "running")
    runs(server, f"{answer.json()['id']}/cancel")


@pytest.mark.parametrize(
    ("prefer", "said"),
    [("wait=100000", "wait=60"), ("wait=0", "wait=0"), ("wait", None), ("wait=-1", None), ("x", None)],
)
def test_what_is_preferred_is_bounded_and_what_is_not_understood_is_ignored(
    server: Api, prefer: str, said: str | None
) -> None:
    answer = workflows(server, f"{server.publish(ONE)}/run", json={}, headers={"Prefer": prefer})

    assert (answer.status_code, answer.headers.get("preference-applied")) == (201, said)


def test_a_retry_is_waited_for(server: Api, recorder: Recorder) -> None:
    recorder.answers = [(500, {}, {})]
    run = server.start(server.publish(failing(recorder)), {"n": 1})
    server.finished(run["id"])

    answer = runs(server, f"{run['id']}/retry", headers={"Prefer": "wait=30"})

    assert (answer.status_code, answer.json()["status"]) == (202, "completed")


# Every verb, of what is not there


MISSING: list[Callable[[Api], Any]] = [
    lambda server: workflows(server, f"{NOBODY}/duplicate"),
    lambda server: workflows(server, f"{NOBODY}/archive"),
    lambda server: workflows(server, NOBODY, "DELETE"),
    lambda server: runs(server, f"{NOBODY}/cancel"),
    lambda server: runs(server, f"{NOBODY}/retry"),
    lambda server: runs(server, f"{NOBODY}/resume", json={"step_id": "a"}),
    lambda server: runs(server, f"{NOBODY}/socket-ticket"),
]
NOBODY = "019583a0-0000-7000-8000-000000000000"


@pytest.mark.parametrize("call", MISSING)
def test_what_is_not_there_is_not_found(server: Api, call: Callable[[Api], Any]) -> None:
    answer = call(server)

    assert answer.status_code == 404
    assert answer.json()["type"] in ("/problems/workflow-not-found", "/problems/run-not-found")
