"""The disk runs full under PostgreSQL and what it logs before it commits; then there is room again."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from threading import Event

import asyncpg
import httpx
import pytest

from factories import chain, node
from recorder import Recorder
from served import Served
from small_disk import Ballast, with_small_disk
from stack import Api, until
from stepwire.embedded.postgres import EmbeddedPostgres
from works import Works, fetch

DISK_MEGABYTES = 160
LARGE = {"text": "".join(chr(33 + number * number % 90) for number in range(100_000))}
PROBLEM = "application/problem+json"


@pytest.fixture
def served() -> Iterator[Served]:
    """``stepwire serve`` whose data is on a small disk of its own."""
    with tempfile.TemporaryDirectory(prefix="stepwire-disk-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        running = Served(Path(folder), prefix=with_small_disk(home, DISK_MEGABYTES))
        yield running
        running.api.http.close()
        assert running.process.stop() == 0


def has_broken_down(database: str) -> bool:
    """Whether PostgreSQL ended itself for want of room in its write-ahead log; has it begin a new part of that."""
    try:
        fetch(database, "SELECT pg_logical_emit_message(false, 'test', 'x'), pg_switch_wal()")
    except (OSError, asyncpg.CannotConnectNowError):
        return True  # it recovers, or tries to
    except (asyncpg.PostgresError, asyncpg.InterfaceError):
        return False  # it may be the one that has just been told
    return False


def what_is_wrong(api: Api) -> set[str]:
    with suppress(httpx.TransportError):
        checks = api.http.get("/health/ready").json()["checks"]
        return {name for name, state in checks.items() if state != "ok"}
    return set()


class Seen:
    """What clients were answered: method and path's kind, and status. Only what a client may repeat is a refusal."""

    def __init__(self) -> None:
        self.refused: set[str] = set()

    def take(self, name: str, answer: httpx.Response) -> httpx.Response | None:
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        if answer.status_code != 503:
            return answer
        assert answer.headers["content-type"] == PROBLEM
        assert answer.json()["type"] == "/problems/unavailable"
        assert answer.headers["retry-after"]
        self.refused.add(name)
        return None


def test_a_disk_that_is_full_is_said_and_all_goes_on_by_itself_when_there_is_room(
    served: Served, recorder: Recorder
) -> None:
    api, seen, is_over = served.api, Seen(), Event()
    large = api.publish(chain(node("a", "core.transform", {"values": {"text": "{{ input.text }}"}})))
    accepted: dict[str, str] = {}

    def post(number: int) -> None:
        """Start runs with much to store, each until it is accepted."""
        with api.client() as client:
            while not is_over.is_set():
                key = f"full-{number}-{len(accepted)}"
                accepted[key] = until(lambda key=key: start(client, key), f"{key} being accepted", 90)

    def start(client: httpx.Client, key: str) -> str | None:
        with suppress(httpx.TransportError):
            path, headers = f"/api/v1/workflows/{large}/run", {"Idempotency-Key": key}
            answer = seen.take("run", client.post(path, json={"input": LARGE}, headers=headers))
            return None if answer is None else str(answer.json()["id"])
        return None

    def is_known() -> bool:
        """Whether everything says what it should of a disk that is full."""
        with suppress(httpx.TransportError):
            seen.take("create", api.http.post("/api/v1/workflows", json={"name": "Large", "description": "x" * 1000}))
            seen.take("list", api.http.get("/api/v1/runs"))
            seen.take("cancel", api.http.post(f"/api/v1/runs/{doomed}/cancel"))
            if api.http.get("/health/ready").status_code == 503:
                seen.refused.add("ready")
        return {"run", "create", "ready"} <= seen.refused

    with closing(Works(api, recorder)) as works, ThreadPoolExecutor(4) as pool:
        database = EmbeddedPostgres(served.home).url
        ballast = Ballast(served.process.popen.pid, Path(served.environment["STEPWIRE_HOME"]))
        asking = works.asking()
        until(lambda: works.is_paused(asking), "the run being paused")
        recorder.hold()
        works.delayed()
        works.calling()
        doomed = works.calling()
        until(lambda: len(recorder.requests) == 4, "calls being under way")
        posting = [pool.submit(post, number) for number in range(3)]
        try:
            ballast.fill()
            recorder.let_go()
            until(is_known, f"a full disk being known of; {seen.refused}")
            until(lambda: has_broken_down(database), "PostgreSQL ending for want of room")
            until(lambda: "database" in what_is_wrong(api), "the database being known to be away")
        finally:
            ballast.drop()
            is_over.set()
        for each in posting:
            each.result()
        until(api.is_ready, "the API being ready again")
        works.resume(asking)
        works.cancel(doomed)
        works.parent()
        for run_id in accepted.values():
            ended = works.ended(run_id)
            assert ended["status"] == "completed", ended["error"]
        works.check(database)

    stored = fetch(database, "SELECT id FROM run WHERE workflow_id = $1", large)
    assert {str(record["id"]) for record in stored} == set(accepted.values())
