"""Clients that read slowly, not at all, or leave: what they cost."""

import asyncio
import base64
import contextlib
import json
import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from redis import Redis

from factories import chain, definition, edge, node
from stack import OWNER, Api, Process, free_port, until
from stepwire.db.session import open_database
from stepwire.services.feeds import Feeds
from stepwire.services.live import RunStream
from stepwire.services.runs import Workflows
from stepwire.signals.connection import open_redis
from stepwire.signals.live import LiveHub
from stepwire.steps.registry import load_registry
from watching import frames, streaming, watching

WAITING = chain(node("d", "core.delay", {"duration": 60}))
STALL_SECONDS = 1.0
ITEMS, ITEM_BYTES = 40, 150_000  # each in two events: 12 MB
LISTENING, TIME_WAIT = "0A", "06"  # as /proc/net/tcp says
CLOSED_AS_TOO_SLOW = b"\x88\x0a" + (4408).to_bytes(2, "big") + b"too slow"


class Impatient:
    """An API that drops clients which take nothing for a second."""

    def __init__(self, server: Api, environment: dict[str, str], folder: Path) -> None:
        environment = environment | {
            "STEPWIRE_PORT": str(free_port()),
            "STEPWIRE_SOCKET_STALL_SECONDS": str(STALL_SECONDS),
        }
        self.log = folder / "impatient-api.log"
        self.process = Process("api", environment, self.log)
        self.api = Api(f"http://127.0.0.1:{environment['STEPWIRE_PORT']}", server.secret)
        until(self.api.is_ready, "the impatient API being ready")

    @property
    def folder(self) -> Path:
        return Path(f"/proc/{self.process.popen.pid}")

    def memory(self) -> int:
        """Resident, in bytes."""
        return int((self.folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def connections(self) -> int:
        """Those that the kernel keeps for it, waited-out ones aside."""
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        port = f":{int(self.api.url.rpartition(':')[2]):04X}"
        return sum(line[1].endswith(port) and line[3] not in (LISTENING, TIME_WAIT) for line in lines)


@pytest.fixture(scope="module")
def impatient(server: Api, server_environment: dict[str, str], workplace: Path) -> Iterator[Impatient]:
    api = Impatient(server, server_environment, workplace)
    yield api
    api.api.http.close()
    assert api.process.stop() == 0


@pytest.fixture(scope="module")
def big_run(server: Api) -> str:
    """A finished run with more events than the kernel keeps for anybody."""
    noise = base64.b64encode(os.urandom(ITEM_BYTES * 3 // 4)).decode()
    copy = {**node("copy", "core.transform", {"values": {"n": "{{ input.noise }}"}}), "parentId": "each"}
    last = {**node("last", "core.log", {"message": "done"}), "parentId": "each"}
    raw = definition([node("each", "core.map", {"items": "{{ input.list }}"}), copy, last], [edge("copy", "last")])
    run = server.start(server.publish(raw), {"list": list(range(ITEMS)), "noise": noise})
    assert server.finished(run["id"])["status"] == "completed"
    return str(run["id"])


def unread(api: Api, run_id: str) -> socket.socket:
    """A socket whose client reads nothing after the handshake."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = api.url.removeprefix("http://").split(":")
    connection.connect((host, int(port)))
    request = [
        f"GET /ws/runs/{run_id}?after=0 HTTP/1.1", f"Host: {host}:{port}", f"Authorization: Bearer {api.token()}",
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + "A" * 22 + "==",
    ]  # fmt: skip
    connection.sendall(("\r\n".join(request) + "\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    return connection


async def test_who_reads_nothing_holds_little_memory_is_dropped_with_a_code_and_nobody_else_notices(
    server: Api, impatient: Impatient, big_run: str
) -> None:
    memory = impatient.memory()
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(unread(impatient.api, big_run)) for _ in range(20)]
        run = server.start(server.publish(chain(node("d", "core.delay", {"duration": 0.3}))))
        async with watching(impatient.api, run["id"], "?after=0") as other:
            (_, *events), code = await frames(other)
        grown = impatient.memory() - memory
        await asyncio.to_thread(until, lambda: impatient.log.read_text().count("is dropped") >= 20, "all being dropped")
        said = await asyncio.to_thread(b"".join, iter(partial(stalled[0].recv, 1 << 20), b""))
        await asyncio.to_thread(until, lambda: impatient.connections() <= 2, "the others being reset")

        assert (events[-1]["event"], code) == ("run.completed", 1000)
        assert grown < 40 << 20, "a fraction of 240 MB"
        assert said.endswith(CLOSED_AS_TOO_SLOW)
        for each in stalled[1:]:
            with pytest.raises(ConnectionResetError):
                b"".join(iter(partial(each.recv, 1 << 20), b""))


async def test_who_reads_slowly_gets_everything_at_its_own_pace(impatient: Impatient, big_run: str) -> None:
    seen: list[int] = []
    began_at = asyncio.get_running_loop().time()
    async with watching(impatient.api, big_run, "?after=0", max_queue=1) as socket:
        async for message in socket:
            frame = json.loads(message)
            seen += [frame["seq"]] if frame["type"] == "event" else []
            await asyncio.sleep(0.03 if len(message) > ITEM_BYTES else 0)

    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) > 2 * ITEMS
    assert socket.close_code == 1000
    assert asyncio.get_running_loop().time() - began_at > 2 * STALL_SECONDS


async def test_those_who_leave_leave_nothing_behind(
    server: Api, impatient: Impatient, services: dict[str, str]
) -> None:
    run = server.start(server.publish(WAITING))
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(watching(impatient.api, run["id"])) for _ in range(20)]
        responses = [stack.enter_context(streaming(impatient.api, run["id"])) for _ in range(5)]
        for socket in sockets:
            assert json.loads(await socket.recv())["type"] == "snapshot"
        with Redis.from_url(services["REDIS_URL"]) as redis:
            assert redis.pubsub_numsub(f"run:{run['id']}") == [(f"run:{run['id']}".encode(), 1)]
        for socket in sockets[::2]:
            socket.transport.abort()
        for response in responses:
            response.close()

    with Redis.from_url(services["REDIS_URL"]) as redis:
        until(lambda: redis.pubsub_channels(f"run:{run['id']}") == [], "the end of the subscription")
    until(lambda: impatient.connections() <= 1, "the end of the connections")


async def test_streams_that_are_left_leave_no_subscription_and_no_task(server: Api, services: dict[str, str]) -> None:
    runs = [UUID(server.start(server.publish(WAITING))["id"]) for _ in range(3)]
    async with (
        open_database(services["DATABASE_URL"], timeout=10) as database,
        open_redis(services["REDIS_URL"]) as redis,
    ):
        hub = LiveHub(redis)
        feeds = Feeds(database.pool, hub)
        stream = RunStream(database.pool, feeds, Workflows(database, load_registry()))
        serving = [asyncio.create_task(hub.listen()), asyncio.create_task(feeds.run())]
        before = asyncio.all_tasks()

        async def watch(run_id: UUID, seconds: float) -> None:
            async with contextlib.AsyncExitStack() as stack:
                opened = await stream.open(stack, OWNER, run_id, after=0)
                async with asyncio.timeout(seconds):
                    async for _ in opened.frames:
                        continue

        watches = [watch(run_id, 0.01 * number) for number in range(1, 20) for run_id in runs]
        outcomes: list[Any] = await asyncio.gather(*watches, return_exceptions=True)

        assert {type(outcome) for outcome in outcomes} == {TimeoutError}
        assert (feeds.ids, hub.channels) == (frozenset(), frozenset())
        assert asyncio.all_tasks() == before
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def test_a_run_whose_last_message_is_lost_is_found_however_often_others_are_in_doubt(
    server: Api, services: dict[str, str]
) -> None:
    lost, noisy = (UUID(server.execute(chain(node("a")))["id"]) for _ in range(2))
    async with (
        open_database(services["DATABASE_URL"], timeout=10) as database,
        open_redis(services["REDIS_URL"]) as redis,
    ):
        hub, is_noisy = LiveHub(redis), asyncio.Event()
        feeds = Feeds(database.pool, hub, look_seconds=0.5)

        async def doubt() -> None:
            async with feeds.watch(noisy) as feed:
                while True:
                    feed.hear(None)
                    is_noisy.set()
                    await asyncio.sleep(0.05)

        tasks = [asyncio.create_task(each) for each in (hub.listen(), feeds.run(), doubt())]
        await is_noisy.wait()
        async with feeds.watch(lost) as feed, asyncio.timeout(10):
            feed.is_doubtful = False  # as where nothing but its last message was lost
            while not feed.last:
                await feed.changed(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert feed.last == len(server.events(str(lost)))
