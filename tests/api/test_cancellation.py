"""Cancelling needs no worker where nobody drives the run, and reaches the runs that it waits for before it is said."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets.sync.client as websockets

from audit import audit
from factories import chain, definition, edge, node
from fleet import Fleet
from recorder import Recorder
from stack import Api, until

CANCELLED = ("cancelled",)


@pytest.fixture
def fleet(services: dict[str, str], tmp_path: Path) -> Iterator[Fleet]:
    """An API and a worker, on a database of their own."""
    fleet = Fleet(services, tmp_path, apis=1, workers=1, number=4)
    yield fleet
    for api in fleet.apis:
        api.http.close()
    fleet.redis.close()
    fleet.kill()


def cancel(api: Api, run_id: str) -> Any:
    return api.http.post(f"/api/v1/runs/{run_id}/cancel")


def steps_of(run: dict[str, Any]) -> dict[str, str]:
    return {step_id: step["status"] for step_id, step in run["context"]["steps"].items()}


def rests(fleet: Fleet, run_id: str, step_id: str) -> None:
    """Wait until a step waits, and nobody holds its run."""
    look = "SELECT 1 FROM run JOIN step_run ON run_id = id WHERE id = $1 AND step_id = $2 AND run.lease_until IS NULL"
    waits = f"{look} AND step_run.status = 'waiting'"
    until(lambda: fleet.fetch(waits, run_id, step_id), f"{step_id} waiting with nobody driving it")


def check(fleet: Fleet, run_ids: list[str]) -> None:
    """Each is cancelled, its events are without a gap and come to what is stored, and nothing is left over."""
    asyncio.run(audit(fleet.url, dict.fromkeys(run_ids, CANCELLED), [], {}))


def test_with_no_worker_at_all_what_nobody_drives_is_cancelled_by_the_request(fleet: Fleet) -> None:
    api = fleet.apis[0]
    delayed = api.start(api.publish(chain(node("wait", "core.delay", {"duration": 3600}), node("after"))))["id"]
    paused = api.start(api.publish(chain(node("ask", "core.approval", {}), node("after"))))["id"]
    inner = {**node("ask", "core.approval", {}), "parentId": "each"}
    mapped = definition([node("each", "core.map", {"items": [1, 2], "concurrency": 1}), inner, node("after")],
                        [edge("each", "after")])  # fmt: skip
    contained = api.start(api.publish(mapped))["id"]
    retried = node("call", "http.request", {"url": "http://127.0.0.1:1"}, retry={"initial_interval": 3600, "jitter": 0,
                                                                                 "max_interval": 3600})  # fmt: skip
    retrying = api.start(api.publish(chain(retried)))["id"]
    limited = api.publish(chain(node("ask", "core.approval", {})), concurrency_limit=1)
    first = api.start(limited)["id"]
    for run_id, step_id in [
        (delayed, "wait"),
        (paused, "ask"),
        (contained, "each[0].ask"),
        (retrying, "call"),
        (first, "ask"),
    ]:
        rests(fleet, run_id, step_id)
    fleet.processes["worker-0"].kill()
    queued = api.start(api.publish(chain(node("a"), node("b"))))["id"]
    held = api.start(limited)["id"]
    runs = [delayed, paused, contained, retrying, queued, held, first]

    answers = [cancel(api, run_id) for run_id in runs]
    again = [cancel(api, run_id) for run_id in runs]

    assert {(each.status_code, each.json()["status"]) for each in answers} == {(202, "cancelled")}
    assert {(each.status_code, each.json()) for each in []} == set()
    assert [(each.status_code, each.json()) for each in again] == [(200, each.json()) for each in answers]
    assert steps_of(answers[0].json()) == {"wait": "cancelled", "after": "cancelled"}
    assert steps_of(answers[4].json()) == {"a": "cancelled", "b": "cancelled"}
    assert steps_of(answers[2].json()) == {"each": "cancelled", "after": "cancelled"}
    inside = [each["step_id"] for each in api.events(contained) if each["event"] == "step.cancelled"]
    assert inside == ["each", "each[0].ask", "after"]
    assert [each["event"] for each in api.events(queued)] == ["run.queued", *["step.cancelled"] * 2, "run.cancelled"]
    check(fleet, runs)


def test_with_no_worker_at_all_a_run_is_cancelled_with_the_runs_that_it_waits_for(fleet: Fleet) -> None:
    api = fleet.apis[0]
    leaf = api.publish(chain(node("ask", "core.approval", {})))
    middle = api.publish(
        definition([node(name, "core.workflow", {"workflow_id": leaf}) for name in ("one", "two")])
    )  # fmt: skip
    top = api.start(api.publish(chain(node("child", "core.workflow", {"workflow_id": middle}))))["id"]
    until(lambda: api.http.get("/api/v1/runs", params={"status": "paused"}).json()["total"] == 2, "two that ask")
    rests(fleet, top, "child")
    fleet.processes["worker-0"].kill()

    answer = cancel(api, top)

    runs = api.http.get("/api/v1/runs").json()["items"]
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    assert [run["status"] for run in runs] == ["cancelled"] * 4
    check(fleet, [run["id"] for run in runs])


def test_a_place_that_a_cancelled_run_had_is_given_to_the_next(fleet: Fleet) -> None:
    api = fleet.apis[0]
    limited = api.publish(chain(node("ask", "core.approval", {})), concurrency_limit=1)
    first, second = (api.start(limited)["id"] for _ in range(2))
    rests(fleet, first, "ask")

    assert cancel(api, first).json()["status"] == "cancelled"
    rests(fleet, second, "ask")

    assert cancel(api, second).json()["status"] == "cancelled"


def test_a_held_run_is_cancelled_when_the_run_that_it_waits_for_is(fleet: Fleet, recorder: Recorder) -> None:
    api = fleet.apis[0]
    recorder.answers.append((400, {}, {}))
    child = api.publish(chain(node("call", "http.request", {"url": recorder.url})))
    parent = api.publish(chain(node("child", "core.workflow", {"workflow_id": child})), concurrency_limit=1)
    held = api.start(parent)["id"]
    assert api.finished(held)["status"] == "failed"
    recorder.hold()
    (own,) = api.http.get("/api/v1/runs", params={"workflow_id": child}).json()["items"]
    api.http.post(f"/api/v1/runs/{own['id']}/retry")
    until(lambda: len(recorder.requests) == 2, "the child's second call")
    api.start(parent)
    until(lambda: len(recorder.requests) == 3, "the call for the run that has the place")
    assert api.http.post(f"/api/v1/runs/{held}/retry").status_code == 202
    fleet.processes["worker-0"].kill()

    assert cancel(api, held).status_code == 202
    fleet.replace("worker-0")

    assert [api.finished(run_id)["status"] for run_id in (own["id"], held)] == ["cancelled", "cancelled"]


def test_a_child_that_is_cancelled_without_a_worker_fails_its_parent_when_there_is_one(fleet: Fleet) -> None:
    api = fleet.apis[0]
    leaf = api.publish(chain(node("ask", "core.approval", {})))
    parent = api.start(api.publish(chain(node("child", "core.workflow", {"workflow_id": leaf}))))["id"]
    rests(fleet, parent, "child")
    (child,) = until(
        lambda: api.http.get("/api/v1/runs", params={"status": "paused"}).json()["items"], "the child asking"
    )
    fleet.processes["worker-0"].kill()

    assert cancel(api, child["id"]).json()["status"] == "cancelled"
    fleet.replace("worker-0")

    assert api.finished(parent)["error"]["code"] == "child-cancelled"


def test_who_watches_sees_the_end_that_no_worker_made(fleet: Fleet) -> None:
    api = fleet.apis[0]
    fleet.processes["worker-0"].kill()
    run_id = api.start(api.publish(chain(node("a"))))["id"]
    headers = {"Authorization": f"Bearer {api.token()}"}
    with websockets.connect(f"{api.url.replace('http', 'ws')}/ws/runs/{run_id}", additional_headers=headers) as socket:
        socket.recv(10)

        cancel(api, run_id)

        assert ['"step.cancelled"' in socket.recv(0.9), '"run.cancelled"' in socket.recv(0.9)] == [True, True]


def test_a_run_that_a_dead_worker_holds_is_cancelled_when_its_lease_has_lapsed(
    fleet: Fleet, recorder: Recorder
) -> None:
    api = fleet.apis[0]
    recorder.hold()
    run_id = api.start(api.publish(chain(node("call", "http.request", {"url": recorder.url}))))["id"]
    until(lambda: recorder.requests, "the call")
    fleet.processes["worker-0"].kill()

    until(lambda: cancel(api, run_id).json()["status"] == "cancelled", "its end")

    asyncio.run(audit(fleet.url, {run_id: CANCELLED}, [f"{run_id}:call"], {}))


# Child runs


def test_nothing_is_begun_by_a_child_run_once_its_parent_is_read_as_cancelled(
    services: dict[str, str], tmp_path: Path, recorder: Recorder, request: pytest.FixtureRequest
) -> None:
    """Two workers; children of children that call all the time. Parents are cancelled, and read, by many at once."""
    fleet = Fleet(services, tmp_path, apis=1, workers=2, number=4)
    request.addfinalizer(fleet.kill)
    api = fleet.apis[0]
    call = {"method": "POST", "url": recorder.url, "headers": {"x-top": "{{ input.top }}"}}
    calls = api.publish(chain(*(node(f"call{number}", "http.request", call) for number in range(100))))
    config = {"input": {"top": "{{ input.top }}"}}
    middle = api.publish(chain(node("child", "core.workflow", {"workflow_id": calls, **config})))
    top = api.publish(chain(node("child", "core.workflow", {"workflow_id": middle, **config})))
    ended: dict[str, tuple[int, list[str]]] = {}

    def see_through(number: int) -> None:
        with api.client() as client:
            run_id = client.post(f"/api/v1/workflows/{top}/run", json={"input": {"top": str(number)}}).json()["id"]
            until(lambda: count(number), "a call")
            time.sleep(number * 0.01)  # so that they are cancelled at different moments of what they do
            client.post(f"/api/v1/runs/{run_id}/cancel")
            until(lambda: client.get(f"/api/v1/runs/{run_id}").json()["status"] == "cancelled", "the parent's end")
            seen = count(number)
            ended[str(number)] = seen, [run_id]

    def count(number: int) -> int:
        return sum(each.headers["x-top"] == str(number) for each in list(recorder.requests))

    threads = [threading.Thread(target=see_through, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    runs = api.http.get("/api/v1/runs", params={"per_page": 200}).json()["items"]
    assert [run["status"] for run in runs] == ["cancelled"] * 48
    assert {number: count(int(number)) for number in ended} == {number: seen for number, (seen, _) in ended.items()}
    keys = [each.headers["idempotency-key"] for each in recorder.requests]
    asyncio.run(audit(fleet.url, {run["id"]: CANCELLED for run in runs}, keys, {}))
    fleet.close()
