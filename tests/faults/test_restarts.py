"""What an API has answered holds, whatever is killed right after; what it cannot do meanwhile, it says."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from factories import chain, node
from served import Served, kill
from stack import Api, Process, until

ONE = chain(node("a", "core.log", {"message": "a"}))
WORKFLOWS, RUNS = "/api/v1/workflows", "/api/v1/runs"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = Served(tmp_path_factory.mktemp("restarts"))
    yield running
    assert running.api is not None
    running.api.http.close()
    assert running.process.stop() == 0


def test_a_worker_that_is_told_to_end_when_it_has_just_begun_does(
    server_environment: dict[str, str], tmp_path: Path
) -> None:
    """A hard end, when something does not end by itself, has the code 1."""
    codes = []
    for number in range(3):
        worker = Process("worker", server_environment, tmp_path / f"worker-{number}.log")
        until(lambda worker=worker: "is ready" in worker.log.read_text(), "the worker being ready")
        codes.append(worker.stop())

    assert codes == [0, 0, 0]


def api_of(served: Served) -> Api:
    assert served.api is not None
    return served.api


def strike(served: Served, victim: str) -> list[int]:
    """Kill it; gives what was killed."""
    killed = {
        "api": lambda: [served.child("api")],
        "PostgreSQL": lambda: [served.postmaster()],
        "PostgreSQL and Valkey": lambda: [served.postmaster(), served.valkey()],
        "everything": served.all,
    }[victim]()
    kill(*killed)
    if victim == "everything":
        served.process.popen.wait(30)
        served.start()
    return killed


def is_back(served: Served, killed: list[int]) -> bool:
    with suppress(OSError, IndexError, StopIteration):  # a server that is just being started
        now = {served.child("api"), served.postmaster(), served.valkey()}
        return now.isdisjoint(killed) and api_of(served).is_ready()
    return False


@pytest.mark.parametrize("victim", ["api", "PostgreSQL", "PostgreSQL and Valkey", "everything"])
@pytest.mark.parametrize("operation", ["create", "duplicate", "run"])
def test_what_was_answered_is_there_after_a_kill_and_its_key_still_is_the_same(
    served: Served, operation: str, victim: str
) -> None:
    api, key = api_of(served), {"Idempotency-Key": str(uuid4())}
    workflow_id = api.publish(ONE)
    path = {"create": WORKFLOWS, "duplicate": f"{WORKFLOWS}/{workflow_id}/duplicate"}.get(
        operation, f"{WORKFLOWS}/{workflow_id}/run"
    )
    body = {"name": "Lasting"} if operation == "create" else {}
    another = {"create": {"name": "Another"}, "run": {"input": {"n": 1}}}.get(operation)
    answered = api.http.post(path, json=body, headers=key)

    killed = strike(served, victim)

    replayed = until(lambda: unless_away(api, path, body, key), "an answer")
    until(lambda: is_back(served, killed), "all servers being back")
    there = api.http.get(answered.headers["location"])
    assert (answered.status_code, replayed.status_code) == (201, 200)
    assert (replayed.headers["idempotency-replayed"], replayed.json()["id"]) == ("true", answered.json()["id"])
    assert (there.status_code, there.json()["id"]) == (200, answered.json()["id"])
    if another is not None:
        assert api.http.post(path, json=another, headers=key).status_code == 422


def unless_away(api: Api, path: str, body: object, key: dict[str, str]) -> httpx.Response | None:
    """The answer, once the API is there and does not say that something else is away."""
    try:
        answer = api.http.post(path, json=body, headers=key)
    except httpx.TransportError:
        return None
    return None if answer.status_code == 503 else answer


def test_an_order_that_cannot_be_stored_just_now_is_answered_so(served: Served) -> None:
    """Not as a fault of the server: the client may repeat it, and it will work."""
    api = api_of(served)
    run_id = api.execute(ONE)["id"]
    seen: dict[str, set[int]] = defaultdict(set)
    whole = {"cancel": {409, 503}, "retry": {409, 503}, "socket-ticket": {201, 503}}

    for _ in range(5):
        killed = strike(served, "PostgreSQL")
        while not is_back(served, killed):
            for verb in whole:
                answer = api.http.post(f"{RUNS}/{run_id}/{verb}")
                seen[verb].add(answer.status_code)
                assert answer.status_code != 503 or answer.headers["retry-after"] == "1"
        if all(503 in statuses for statuses in seen.values()) and len(seen) == len(whole):
            break
    for verb in whole:
        seen[verb].add(api.http.post(f"{RUNS}/{run_id}/{verb}").status_code)

    assert seen == whole
