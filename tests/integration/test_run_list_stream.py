"""The stream behind a list of runs: a snapshot of the newest, then what becomes of each."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from redis import Redis
from websockets.asyncio.client import ClientConnection

from factories import chain, node
from recorder import Recorder
from stack import Api
from watching import frames, watching

SHORT = chain(node("a", "core.log", {}), node("b", "core.delay", {"duration": 0.1}), node("c", "core.log", {}))
WAITING = chain(node("d", "core.delay", {"duration": 60}))
ENDS = ("run.completed", "run.failed", "run.cancelled")


@asynccontextmanager
async def listing(server: Api, owner: UUID, query: str = "") -> AsyncIterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {server.token(owner)}"}
    async with watching(server, "", query, additional_headers=headers) as socket:
        yield socket


async def until_ended(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    """Everything until so many runs have ended."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        while sum(frame["event"] in ENDS for frame in found) < count:
            found.append(json.loads(await socket.recv()))
    return found


@pytest.fixture
def owner() -> UUID:
    return uuid4()


@pytest.fixture
def own(server: Api, owner: UUID) -> Any:
    """The server, for an owner of the test's own."""
    client = Api(server.url, server.secret)
    client.http.close()
    client.http = client.client(owner)
    yield client
    client.http.close()


def whole(server: Api, run_id: str) -> list[dict[str, Any]]:
    """What the journal says about a run as a whole, as the socket says it."""
    return [{"type": "event", **event} for event in server.events(run_id) if event["step_id"] is None]


async def test_every_run_of_the_owners_is_told_of_from_its_beginning_to_its_end(own: Api, owner: UUID) -> None:
    workflow = own.publish(SHORT)
    before = own.start(workflow)
    own.finished(before["id"])
    async with listing(own, owner) as socket:
        snapshot = json.loads(await socket.recv())
        runs = [own.start(workflow)["id"] for _ in range(5)]
        events = await until_ended(socket, len(runs))

    assert (snapshot["type"], [run["run_id"] for run in snapshot["runs"]]) == ("snapshot", [before["id"]])
    assert (snapshot["runs"][0]["run_status"], snapshot["runs"][0]["seq"]) == (
        "completed",
        len(own.events(before["id"])),
    )
    for run_id in runs:
        assert [event for event in events if event["run_id"] == run_id] == whole(own, run_id)


async def test_a_run_that_is_in_the_snapshot_goes_on_from_there(own: Api, owner: UUID) -> None:
    run = own.start(own.publish(chain(node("ask", "core.approval", {"message": "?"}))))
    async with watching(
        own, run["id"], "?after=0", additional_headers={"Authorization": f"Bearer {own.token(owner)}"}
    ) as other:
        while json.loads(await other.recv()).get("event") != "run.paused":
            continue
    async with listing(own, owner) as socket:
        snapshot = json.loads(await socket.recv())
        own.http.post(f"/api/v1/runs/{run['id']}/resume", json={"step_id": "ask"})
        events = await until_ended(socket, 1)

    [shown] = snapshot["runs"]
    assert shown["run_status"] == "paused"
    assert events == [event for event in whole(own, run["id"]) if event["seq"] > shown["seq"]]


async def test_filters_keep_to_a_workflow_and_to_runs_that_come_into_a_status_or_leave_it(
    own: Api, owner: UUID, recorder: Recorder
) -> None:
    recorder.answers += [(500, {}, {})]
    failing = own.publish(chain(node("call", "http.request", {"url": recorder.url}, retry={"max_attempts": 1})))
    other = own.publish(SHORT)
    async with (
        listing(own, owner, f"?workflow_id={failing}") as of_workflow,
        listing(own, owner, "?status=failed&status=cancelled") as of_status,
    ):
        assert [json.loads(await socket.recv())["runs"] for socket in (of_workflow, of_status)] == [[], []]
        noise = own.start(other)
        own.finished(noise["id"])
        run = own.start(failing)
        assert own.finished(run["id"])["status"] == "failed"
        own.http.post(f"/api/v1/runs/{run['id']}/retry")
        by_workflow = await until_ended(of_workflow, 2)
        by_status = [json.loads(await of_status.recv())["event"] for _ in range(2)]

    assert by_workflow == whole(own, run["id"])
    assert by_status == ["run.failed", "run.retried"]


async def test_lists_are_one_owners(server: Api, own: Api, owner: UUID) -> None:
    own.execute(SHORT)
    async with listing(server, uuid4()) as socket:
        snapshot = json.loads(await socket.recv())
        own.execute(SHORT)
        await socket.send('{"type":"ping"}')
        following = json.loads(await socket.recv())

    assert (snapshot["runs"], following) == ([], {"type": "pong"})


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("", {}, 4401),
        ("?workflow_id=nonsense", None, 4400),
        ("?status=nonsense", None, 4400),
    ],
)
async def test_a_list_that_cannot_be_given_is_refused(server: Api, query: str, headers: Any, code: int) -> None:
    options = {} if headers is None else {"additional_headers": headers}
    async with watching(server, "", query, **options) as socket:
        found, closed = await frames(socket)

    assert (found[0]["type"], closed) == ("error", code)


async def test_a_redis_that_is_flushed_and_cut_off_keeps_no_list_from_being_true(
    own: Api, owner: UUID, services: dict[str, str]
) -> None:
    workflow = own.publish(SHORT)
    async with listing(own, owner) as socket:
        assert json.loads(await socket.recv())["runs"] == []
        runs = []
        with Redis.from_url(services["REDIS_URL"]) as redis:
            for _ in range(4):
                redis.flushall()
                for kind in ("normal", "pubsub"):
                    redis.client_kill_filter(_type=kind, skipme=True)
                runs.append(own.start(workflow)["id"])
                await asyncio.sleep(0.1)
        events = await until_ended(socket, len(runs))

    for run_id in runs:
        assert [event for event in events if event["run_id"] == run_id] == whole(own, run_id)
