"""Crashes in mid-run: nothing accepted is lost, nothing is doubled that cannot be recognised."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
from redis import Redis
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidHandshake, InvalidMessage
from websockets.sync.client import ClientConnection, connect

from factories import chain, definition, edge, node
from recorder import Recorder
from served import Served, kill
from stack import PATIENCE_SECONDS, Api, until
from stepwire.embedded.valkey import EmbeddedValkey
from works import check_journal


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


@contextmanager
def load(api: Api, workflow_id: str) -> Iterator[dict[str, str]]:
    """Start runs, one after another, for as long as the context lasts; gives idempotency keys and their runs' ids.

    A request whose answer did not come is repeated with its key, as a client should.
    """
    accepted: dict[str, str] = {}
    ending = threading.Event()

    def post() -> None:
        with api.client() as client:
            while not ending.wait(0.02):
                key = f"load-{len(accepted)}"
                accepted[key] = until(lambda key=key: _accepted(client, workflow_id, key), f"{key} being accepted")

    with ThreadPoolExecutor(1) as pool:
        posting = pool.submit(post)
        try:
            yield accepted
        finally:
            ending.set()
            posting.result()


def _accepted(client: httpx.Client, workflow_id: str, key: str) -> str | None:
    try:
        response = client.post(
            f"/api/v1/workflows/{workflow_id}/run", json={"input": {}}, headers={"X-Idempotency-Key": key}
        )
    except httpx.TransportError:
        return None
    assert response.status_code in (200, 201, 503), response.text
    return None if response.status_code == 503 else str(response.json()["id"])


def strike(served: Served, victim: str) -> None:
    match victim:
        case "what Valkey holds":
            with Redis.from_url(EmbeddedValkey(served.home).url) as redis:
                redis.flushall()
        case "Valkey":
            kill(served.valkey())
        case "PostgreSQL":
            kill(served.postmaster())
        case "everything":
            kill(*served.all())
            served.process.popen.wait(30)
            served.start()
        case _:
            kill(served.child(victim))


@pytest.mark.parametrize("victim", ["worker", "api", "Valkey", "what Valkey holds", "PostgreSQL", "everything"])
def test_every_accepted_run_finishes_whatever_is_lost_under_load(
    served: Served, recorder: Recorder, victim: str
) -> None:
    workflow_id = served.api.publish(calls(recorder))
    recorder.hold()
    with load(served.api, workflow_id) as accepted:
        until(lambda: len(recorder.requests) >= 10, "calls being under way")
        strike(served, victim)
        recorder.let_go()
        count = len(accepted)
        until(lambda: len(accepted) >= count + 5, "runs being accepted again")
    ended = [served.api.finished(run_id) for run_id in accepted.values()]

    assert {run["status"] for run in ended} == {"completed"}, json.dumps([run["error"] for run in ended])
    for run in ended:
        check_journal(served.api, run)
    effects = {request.headers["idempotency-key"] for request in recorder.requests}
    assert effects == {f"{run_id}:{step}" for run_id in accepted.values() for step in ("one", "two", "last")}
    assert served.api.http.get(f"/api/v1/runs?workflow_id={workflow_id}").json()["total"] == len(accepted)


def watch(api: Api, run_id: str, seen: list[int]) -> int:
    """Collect the numbers of a run's events, over as many connections as it takes; gives how many those were."""
    connections, deadline = 0, time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with (
            suppress(OSError, InvalidHandshake, InvalidMessage, ConnectionClosed),
            _socket(api, run_id, seen) as socket,
        ):
            connections += 1
            with suppress(ConnectionClosedOK):
                while True:
                    frame = json.loads(socket.recv(10))
                    if frame["type"] == "event":
                        seen.append(frame["seq"])
            return connections
        time.sleep(0.05)
    raise AssertionError(f"run {run_id} did not end; its last event was {seen[-1:]}")


def _socket(api: Api, run_id: str, seen: list[int]) -> ClientConnection:
    return connect(
        f"{api.url.replace('http', 'ws')}/ws/runs/{run_id}?after={seen[-1] if seen else 0}",
        additional_headers={"Authorization": f"Bearer {api.token()}"}, proxy=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("victim", "breaks_off"),
    [("worker", False), ("Valkey", False), ("what Valkey holds", False), ("api", True), ("PostgreSQL", None)],
)
def test_a_watcher_sees_every_event_once_whatever_is_lost_in_mid_run(
    served: Served, victim: str, breaks_off: bool | None
) -> None:
    pauses = chain(*(node(f"d{number}", "core.delay", {"duration": 0.05}) for number in range(20)))
    run = served.api.start(served.api.publish(pauses))
    seen: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch, served.api, run["id"], seen)
        until(lambda: len(seen) > 10, "events being seen")
        strike(served, victim)
        connections = watching.result(60)
    until(served.api.is_ready, "the API being ready")
    ended = served.api.finished(run["id"])

    assert ended["status"] == "completed"
    assert seen == list(range(1, len(check_journal(served.api, ended)) + 1))
    assert breaks_off is None or (connections > 1) is breaks_off
