"""Real clients follow a run while connections break, the API dies, and Valkey forgets: each ends with all of its events."""

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import node
import pytest
from playwright.async_api import Page
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

import stepwire
from conftest import EDITOR
from factories import chain
from factories import node as step
from proxy import Proxy
from stack import PATIENCE_SECONDS, Api, Process, free_port, until

STEPS, RUNS = 60, 40
Frames = list[dict[str, Any]]


class Mortal:
    """An API that can be killed, behind a proxy that can cut the connections to it."""

    def __init__(self, environment: dict[str, str], folder: Path, secret: str) -> None:
        port = free_port()
        self._environment = environment | {"STEPWIRE_PORT": str(port)}
        self._folder = folder
        self.api = Api(f"http://127.0.0.1:{port}", secret)
        self.proxy = Proxy(("127.0.0.1", port))
        self.begin()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.proxy.port}"

    def begin(self) -> None:
        self.process = Process("api", self._environment, self._folder / "mortal.log")
        until(self.api.is_ready, "the API being ready")

    def close(self) -> None:
        self.api.http.close()
        self.proxy.close()
        self.process.stop()


@pytest.fixture
def mortal(server: Api, server_environment: dict[str, str], workplace: Path) -> Iterator[Mortal]:
    with closing(Mortal(server_environment, workplace, server.secret)) as api:
        yield api


def slowly(server: Api) -> str:
    """A run that makes events for some seconds."""
    steps = [step(f"s{number}", "core.delay", {"duration": 0.1}) for number in range(STEPS)]
    return str(server.start(server.publish(chain(*steps)))["id"])


async def trouble(mortal: Mortal, redis: Redis, is_over: Callable[[], bool]) -> int:
    """Until it is over: cut, delay and kill, and have Valkey forget; gives how many connections were cut."""
    cut = 0
    while not is_over():
        for number in range(6):
            mortal.proxy.seconds = 0.02 * (number % 3)
            await asyncio.sleep(0.15)
            cut += mortal.proxy.cut()
        await redis.flushall()
        await redis.client_kill_filter(_type="pubsub")
        mortal.process.kill()
        await asyncio.to_thread(mortal.begin)
    mortal.proxy.seconds = 0
    return cut


async def in_node(place: dict[str, Any]) -> dict[str, Any]:
    bundle = node.HERE / "build" / "followers.mjs"
    node.run("esbuild", "page/node.ts", "--bundle", "--platform=node", "--format=esm", f"--outfile={bundle}")
    path = os.pathsep.join([*map(str, node.PROGRAMS), os.environ["PATH"]])
    done = await asyncio.to_thread(
        subprocess.run, ["node", bundle, json.dumps(place)], capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        check=False, env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


async def in_python(place: dict[str, str]) -> dict[str, Frames]:
    """With the `websockets` library, which connects again as long as it is asked to."""
    found: Frames = []
    while True:
        url = f"{place['api'].replace('http', 'ws')}/ws/runs/{place['run']}?after={len(found)}"
        headers = {"Authorization": f"Bearer {place['token']}"}
        try:
            async with connect(url, additional_headers=headers, proxy=None) as socket:
                async for text in socket:
                    frame = json.loads(text)
                    if frame["type"] == "event":
                        found.append(frame)
                if socket.close_code == 1000:
                    return {"websockets": found}
        except (OSError, EOFError, WebSocketException):
            await asyncio.sleep(0.05)


def test_the_module_is_one_short_file_that_needs_nothing_else() -> None:
    lines = (Path(stepwire.__file__).parent / "clients" / "run-stream.ts").read_text().splitlines()

    assert len(lines) < 150
    assert not [line for line in lines if line.startswith("import") or "require(" in line]


async def test_every_client_gets_every_event_once_and_in_order_whatever_happens(
    page: Page, server: Api, mortal: Mortal, services: dict[str, str]
) -> None:
    await page.goto(EDITOR)
    run_id = slowly(server)
    place = {"api": mortal.url, "token": server.token(), "run": run_id}

    async with Redis.from_url(services["REDIS_URL"]) as redis, asyncio.timeout(2 * PATIENCE_SECONDS):
        *followed, cut = await asyncio.gather(
            page.evaluate("place => journeys.follow(place)", place),
            in_node(place),
            in_python(place),
            trouble(mortal, redis, lambda: server.run(run_id)["status"] == "completed"),
        )

    wanted = [event["seq"] for event in server.events(run_id)]
    events = {event["seq"]: event for event in server.events(run_id)}
    assert wanted == list(range(1, 4 * STEPS + 4)), "scheduled, started, waiting, completed; queued, started, completed"
    assert cut > 20, "there was something to survive"
    for name, frames in [item for each in followed for item in each.items()]:
        assert [frame["seq"] for frame in frames] == wanted, name
        assert [{**events[frame["seq"]], "type": "event"} for frame in frames] == frames, name


async def begin_runs(own: Api) -> None:
    """So many runs, one after another, of which some are cancelled."""
    workflow_id = own.publish(chain(step("a", "core.delay", {"duration": 0.6}), step("b")))
    for number in range(RUNS):
        run_id = own.start(workflow_id)["id"]
        await asyncio.sleep(0.1)
        if number % 5 == 0:
            own.http.post(f"/api/v1/runs/{run_id}/cancel")


async def kept_in_python(place: dict[str, Any]) -> dict[str, list[Frames]]:
    """As the other clients keep their list, with the `websockets` library."""
    connections: list[Frames] = []
    while True:
        url = f"{place['api'].replace('http', 'ws')}/ws/runs"
        headers = {"Authorization": f"Bearer {place['token']}"}
        try:
            async with connect(url, additional_headers=headers, proxy=None) as socket:
                async for text in socket:
                    frame = json.loads(text)
                    if frame["type"] == "snapshot":
                        connections.append([])
                    connections[-1].append(frame)
                    statuses = listed(connections[-1]).values()
                    if len(statuses) == place["count"] and {*statuses} <= {"completed", "cancelled"}:
                        return {"websockets": connections}
        except (OSError, EOFError, WebSocketException):
            await asyncio.sleep(0.05)


def listed(frames: Frames) -> dict[str, str]:
    """Each run's status, by a connection's frames."""
    snapshot, *events = frames
    shown = {run["run_id"]: run["run_status"] for run in snapshot["runs"]}
    return shown | {event["run_id"]: event["event"].removeprefix("run.") for event in events}


async def test_every_list_of_runs_tells_all_that_becomes_of_each_whatever_happens(
    page: Page, server: Api, mortal: Mortal, services: dict[str, str]
) -> None:
    await page.goto(EDITOR)
    owner = uuid4()
    own = Api(server.url, server.secret)
    own.http.close()
    own.http = own.client(owner)
    place = {"api": mortal.url, "token": server.token(owner), "count": RUNS}

    def is_over() -> bool:
        runs = own.http.get("/api/v1/runs", params={"per_page": RUNS}).json()["items"]
        return len(runs) == RUNS and all(run["status"] in ("completed", "cancelled") for run in runs)

    async with Redis.from_url(services["REDIS_URL"]) as redis, asyncio.timeout(2 * PATIENCE_SECONDS):
        *kept, cut, _ = await asyncio.gather(
            page.evaluate("place => journeys.keepList(place)", place),
            in_node(place),
            kept_in_python(place),
            trouble(mortal, redis, is_over),
            begin_runs(own),
        )

    runs = {run["id"]: run["status"] for run in own.http.get("/api/v1/runs", params={"per_page": RUNS}).json()["items"]}
    told = {run_id: [each for each in own.events(run_id) if each["step_id"] is None] for run_id in runs}
    own.http.close()
    assert cut > 10, "there was something to survive"
    assert {*runs.values()} == {"completed", "cancelled"}
    for name, connections in [item for each in kept for item in each.items()]:
        assert listed(connections[-1]) == runs, name
        assert len(connections) > 1, f"{name} has connected again"
        for snapshot, *events in connections:
            known = {run["run_id"]: run["seq"] for run in snapshot["runs"]}
            for run_id in runs:
                later = [{"type": "event", **each} for each in told[run_id] if each["seq"] > known.get(run_id, 0)]
                seen = [event for event in events if event["run_id"] == run_id]
                assert seen == later[: len(seen)], (name, "each once and in order, from the snapshot on")
