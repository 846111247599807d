"""The live stream: a snapshot, then every event, once, in order, whatever happens to the channel."""

import asyncio
import base64
import json
import time
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from redis import Redis

from factories import chain, node
from stack import OWNER, STRANGER, Api
from stepwire.auth.tokens import LEEWAY_SECONDS, mint
from stepwire.db.pool import open_pool
from watching import frames, watching

SHORT = chain(node("a", "core.log", {}), node("b", "core.delay", {"duration": 0.3}), node("c", "core.log", {}))
LONG = chain(*(node(f"d{number}", "core.delay", {"duration": 0.05}) for number in range(20)))


async def test_a_snapshot_comes_first_then_every_event_once_and_in_order(server: Api) -> None:
    run = server.start(server.publish(SHORT))
    async with watching(server, run["id"], "?after=0") as socket:
        (snapshot, *events), code = await frames(socket)

    assert (snapshot["type"], set(snapshot["step_statuses"]), snapshot["maps"]) == ("snapshot", {"a", "b", "c"}, {})
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[-1]["event"], code) == ("run.completed", 1000)
    stored = [{"type": "event", **event} for event in server.events(run["id"])]
    assert events == stored


async def test_events_follow_on_the_snapshot_and_together_they_are_the_run(server: Api) -> None:
    run = server.start(server.publish(LONG))
    async with watching(server, run["id"]) as socket:
        (snapshot, *events), _ = await frames(socket)
    statuses = dict(snapshot["step_statuses"])
    for event in events:
        if event["step_id"] is not None:
            statuses[event["step_id"]] = event["event"].removeprefix("step.")

    assert [event["seq"] for event in events] == list(range(snapshot["seq"] + 1, snapshot["seq"] + 1 + len(events)))
    assert set(statuses.values()) == {"completed"}


async def test_a_finished_run_is_a_snapshot_and_the_end(server: Api) -> None:
    run = server.execute(SHORT)
    async with watching(server, run["id"]) as socket:
        found, code = await frames(socket)

    assert ([frame["type"] for frame in found], found[0]["run_status"], code) == (["snapshot"], "completed", 1000)


async def test_a_browser_sends_its_token_as_a_sub_protocol(server: Api) -> None:
    run = server.execute(SHORT)
    token = base64.urlsafe_b64encode(server.token().encode()).decode().rstrip("=")
    options = {"additional_headers": {}, "subprotocols": ["stepwire.v1", f"bearer.{token}"]}
    async with watching(server, run["id"], origin="http://localhost:5173", **options) as socket:
        assert socket.subprotocol == "stepwire.v1"
        _, code = await frames(socket)

    assert code == 1000


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_who_comes_late_gets_what_it_has_not_seen(server: Api, after: int) -> None:
    run = server.execute(SHORT)
    async with watching(server, run["id"], f"?after={after}") as socket:
        (snapshot, *events), code = await frames(socket)

    assert (snapshot["run_status"], code) == ("completed", 1000)
    assert events == [{"type": "event", **event} for event in server.events(run["id"])[after:]]
    assert snapshot["seq"] == events[-1]["seq"]


async def test_a_token_that_runs_out_while_it_is_used_ends_the_stream(server: Api) -> None:
    run = server.start(server.publish(chain(node("d", "core.delay", {"duration": 60}))))
    left = 3 - LEEWAY_SECONDS  # seconds until it is over, those of leeway taken off
    token = mint(server.secret, OWNER, lifetime_seconds=left, now=time.time())
    async with watching(server, run["id"], additional_headers={"Authorization": f"Bearer {token}"}) as socket:
        (snapshot, *_, last), code = await frames(socket)

    assert (snapshot["type"], last["type"], code) == ("snapshot", "error", 4401)
    assert (last["problem"]["type"], last["problem"]["status"]) == ("/problems/unauthenticated", 401)


async def test_a_database_that_goes_away_while_a_stream_opens_means_try_again(
    server: Api, services: dict[str, str]
) -> None:
    unread = server.publish(SHORT)  # the API has not read it yet: it was never run
    run = server.execute(SHORT)
    async with open_pool(services["DATABASE_URL"], size=2) as pool:
        await pool.execute("UPDATE run SET workflow_id = $1 WHERE id = $2", unread, run["id"])
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE workflow IN ACCESS EXCLUSIVE MODE")
            collecting = asyncio.create_task(opened(server, run["id"]))
            cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'workflow'::regclass AND NOT granted"
            while not collecting.done():
                await pool.fetch(cut)
                await asyncio.sleep(0.02)
        found, code = await collecting

    assert (found, code) == ([], 1012)


async def opened(server: Api, run_id: str) -> tuple[list[dict[str, Any]], int]:
    async with watching(server, run_id) as socket:
        return await frames(socket)


@pytest.mark.parametrize(
    ("query", "options", "code", "kind"),
    [
        ("", {"additional_headers": {}}, 4401, "unauthenticated"),
        ("", {"additional_headers": {"Authorization": "Bearer x.y.z"}}, 4401, "invalid-token"),
        ("", {"origin": "https://evil.example"}, 4403, "forbidden"),
        ("?after=-1", {}, 4400, "malformed-request"),
        ("?after=nine", {}, 4400, "malformed-request"),
        ("?after=10000", {}, 4409, "after-beyond-end"),
    ],
)
async def test_a_refusal_says_why_then_closes_with_its_code(
    server: Api, query: str, options: dict[str, Any], code: int, kind: str
) -> None:
    run = server.execute(SHORT)
    async with watching(server, run["id"], query, **options) as socket:
        found, closed = await frames(socket)

    assert closed == code
    assert [(frame["type"], frame["problem"]["type"]) for frame in found] == [("error", f"/problems/{kind}")]


async def test_another_owners_run_a_missing_one_and_no_run_id_look_alike(server: Api) -> None:
    run = server.execute(SHORT)
    stranger = {"additional_headers": {"Authorization": f"Bearer {server.token(STRANGER)}"}}
    answers = []
    for run_id in (run["id"], str(uuid4()), "nonsense"):
        async with watching(server, run_id, **stranger) as socket:
            found, code = await frames(socket)
        answers.append((code, found[0]["problem"]["type"], found[0]["problem"]["title"]))

    assert set(answers) == {(4404, "/problems/run-not-found", "No such run")}


async def test_a_ping_is_answered_and_anything_else_ignored(server: Api) -> None:
    run = server.start(server.publish(chain(node("d", "core.delay", {"duration": 1}))))
    async with watching(server, run["id"]) as socket:
        for message in ("nonsense", '{"type": 5}', "[]", '{"type":"ping"}'):
            await socket.send(message)
        found, code = await frames(socket)

    assert [frame for frame in found if frame["type"] == "pong"] == [{"type": "pong"}]
    assert code == 1000


async def test_a_message_that_is_too_large_ends_the_connection(server: Api) -> None:
    run = server.start(server.publish(chain(node("d", "core.delay", {"duration": 1}))))
    async with watching(server, run["id"]) as socket:
        await socket.send("x" * 5000)
        _, code = await frames(socket)

    assert code == 1009


async def test_doubled_stale_and_foreign_messages_change_nothing(server: Api, services: dict[str, str]) -> None:
    run = server.start(server.publish(LONG))
    with Redis.from_url(services["REDIS_URL"]) as redis:
        async with watching(server, run["id"], "?after=0") as socket:
            collecting = asyncio.create_task(frames(socket))
            while not collecting.done():
                for first, last in ((1, 3), (2, 2), (9000, 9001)):
                    message = {"first": first, "last": last, "is_final": False, "frames": []}
                    redis.publish(f"run:{run['id']}", msgspec.json.encode(message))
                await asyncio.sleep(0.01)
            (_, *events), code = await collecting

    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[-1]["event"], code) == ("run.completed", 1000)


async def test_of_a_message_that_overlaps_what_was_seen_only_the_new_is_passed_on(
    server: Api, services: dict[str, str]
) -> None:
    run = server.start(server.publish(chain(node("d", "core.delay", {"duration": 60}))))
    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(30), watching(server, run["id"], "?after=0") as socket:
        while not seen or seen[-1].get("event") != "step.waiting":
            seen.append(json.loads(await socket.recv()))
        following = seen[-1] | {"seq": len(seen)}
        message = {"first": 1, "last": len(seen), "is_final": False, "frames": [*seen[1:], following]}
        with Redis.from_url(services["REDIS_URL"]) as redis:
            redis.publish(f"run:{run['id']}", msgspec.json.encode(message))
        passed_on = json.loads(await socket.recv())
        await socket.send('{"type":"ping"}')
        after_that = json.loads(await socket.recv())

    assert (passed_on, after_that) == (following, {"type": "pong"})


async def test_a_flushed_redis_whose_connections_are_cut_loses_no_event(server: Api, services: dict[str, str]) -> None:
    run = server.start(server.publish(LONG))
    with Redis.from_url(services["REDIS_URL"]) as redis:
        async with watching(server, run["id"], "?after=0") as socket:
            collecting = asyncio.create_task(frames(socket))
            for _ in range(5):
                redis.flushall()
                for kind in ("normal", "pubsub"):
                    redis.client_kill_filter(_type=kind, skipme=True)
                await asyncio.sleep(0.1)
            (_, *events), code = await collecting

    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[-1]["event"], code) == ("run.completed", 1000)


async def test_many_watchers_of_one_run_see_the_same(server: Api) -> None:
    run = server.start(server.publish(LONG))

    async def watch() -> list[int]:
        async with watching(server, run["id"], "?after=0") as socket:
            (_, *events), _ = await frames(socket)
        return [event["seq"] for event in events]

    seen = await asyncio.gather(*(watch() for _ in range(20)))

    assert len({tuple(each) for each in seen}) == 1
    assert seen[0] == list(range(1, len(seen[0]) + 1))
