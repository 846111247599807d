"""Crashes in mid-run: nothing accepted is lost, nothing is doubled that cannot be recognised."""

import json
from collections.abc import Iterator
from functools import reduce
from typing import Any

import pytest

from factories import chain, definition, edge, node
from recorder import Recorder
from served import Served, kill
from stack import Api, until
from stepwire.engine.events import revive
from stepwire.engine.model import RunState
from stepwire.engine.transition import apply


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = Served(tmp_path_factory.mktemp("crashes"))
    yield running
    running.api.http.close()
    assert running.process.stop() == 0


def calls(recorder: Recorder) -> dict[str, Any]:
    """Two calls side by side and a delay, then a join and one more call."""
    return definition(
        [
            node("one", "http.request", {"url": f"{recorder.url}/one", "method": "POST"}),
            node("two", "http.request", {"url": f"{recorder.url}/two", "method": "POST"}),
            node("wait", "core.delay", {"duration": 0.1}),
            node("join", "core.merge", {}),
            node("last", "http.request", {"url": f"{recorder.url}/last", "method": "POST"}),
        ],
        [edge("one", "join"), edge("two", "join"), edge("wait", "join"), edge("join", "last")],
    )


def check_journal(api: Api, run: dict[str, Any]) -> list[str]:
    """The events are 1, 2, 3 …, and replaying them gives the stored steps. Gives their names."""
    events = api.events(run["id"])
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    journal = [revive(each["event"], each["step_id"], each["data"], each["at"]) for each in events]
    state = reduce(apply, journal, RunState())
    stored = {step["step_id"]: step for step in api.http.get(f"/api/v1/runs/{run['id']}/steps").json()["items"]}
    assert state.status == run["status"]
    assert {step_id: (step.status, step.attempt, step.output) for step_id, step in state.steps.items()} == {
        step_id: (step["status"], step["attempt"], step["output"]) for step_id, step in stored.items()
    }
    return [event["event"] for event in events]


def test_a_run_survives_the_worker_that_was_killed_in_the_middle_of_a_call(served: Served, recorder: Recorder) -> None:
    recorder.hold()
    run = served.api.start(served.api.publish(calls(recorder)))
    until(lambda: len(recorder.requests) == 2, "both calls being under way")
    kill(served.child("worker"))
    recorder.let_go()
    ended = served.api.finished(run["id"])

    assert ended["status"] == "completed"
    names = check_journal(served.api, ended)
    assert names.count("step.retrying") == 2
    keys = [request.headers["idempotency-key"] for request in recorder.requests]
    assert {key: keys.count(key) for key in keys} == {
        f"{run['id']}:one": 2, f"{run['id']}:two": 2, f"{run['id']}:last": 1,
    }  # fmt: skip


def test_a_step_that_must_not_run_twice_fails_when_its_worker_is_killed(served: Served, recorder: Recorder) -> None:
    recorder.hold()
    drawn = chain(node("once", "http.request", {"url": recorder.url}, retry={"on_worker_lost": False}))
    run = served.api.start(served.api.publish(drawn))
    until(lambda: recorder.requests, "the call being under way")
    kill(served.child("worker"))
    recorder.let_go()
    ended = served.api.finished(run["id"])

    assert (ended["status"], ended["error"]["code"]) == ("failed", "worker-lost")
    assert len(recorder.requests) == 1
    check_journal(served.api, ended)


def test_a_run_is_stored_when_its_request_is_answered(served: Served) -> None:
    workflow_id = served.api.publish(chain(node("a", "core.log", {})))
    run = served.api.start(workflow_id)
    kill(*served.all())
    served.process.popen.wait(30)
    served.start()
    ended = served.api.finished(run["id"])

    assert ended["status"] == "completed"
    check_journal(served.api, ended)


@pytest.mark.parametrize("victim", ["worker", "api", "valkey", "postgres", "everything"])
def test_every_accepted_run_finishes_whatever_is_killed_under_load(
    served: Served, recorder: Recorder, victim: str
) -> None:
    workflow_id = served.api.publish(calls(recorder))
    accepted = [served.api.start(workflow_id)["id"] for _ in range(15)]
    match victim:
        case "valkey":
            kill(served.valkey())
        case "postgres":
            kill(served.postmaster())
        case "everything":
            kill(*served.all())
            served.process.popen.wait(30)
            served.start()
        case _:
            kill(served.child(victim))
    until(served.api.is_ready, "the API being ready again")
    accepted += [served.api.start(workflow_id)["id"] for _ in range(5)]
    ended = [served.api.finished(run_id) for run_id in accepted]

    assert {run["status"] for run in ended} == {"completed"}, json.dumps([run["error"] for run in ended])
    for run in ended:
        check_journal(served.api, run)
    effects = {request.headers["idempotency-key"] for request in recorder.requests}
    assert effects == {f"{run_id}:{step}" for run_id in accepted for step in ("one", "two", "last")}
