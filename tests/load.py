"""Clients that start runs of every kind and see them through, whatever happens to the servers meanwhile."""

import random
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx

from factories import chain, definition, edge, node
from followers import Followers
from recorder import Recorder
from stack import PATIENCE_SECONDS, Api

SLOW_SECONDS, LONG_SECONDS, ENDLESS_SECONDS = 0.15, 2.0, 90.0
WATCHED = 0.1  # of the runs, by a client that goes on watching whatever happens
AGAIN = {"max_attempts": 60, "initial_interval": 0.02, "max_interval": 0.2}
OVER = ("completed", "failed", "cancelled")


class World(Recorder):
    """Where the calls go: ``/ok``, ``/slow``, ``/long``, ``/endless``, ``/flaky`` (a key's first call fails) and ``/breaks`` (until mended);
    and where ends of runs are told, ``/hook``.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.calls: list[
            tuple[float, str]
        ] = []  # when a request came in, and its key; 0 where it was cut before it was read
        self.mended: set[str] = set()
        self._known: set[str] = set()

    @property
    def told(self) -> set[str]:
        """The ids of the deliveries that have come."""
        return {each.headers["webhook-id"] for each in list(self.requests) if each.path == "/hook"}

    def _answer(self, handler: BaseHTTPRequestHandler, chosen: int | None = None) -> None:
        if handler.path == "/hook":
            super()._answer(handler, 200)
            return
        key = handler.headers["idempotency-key"]
        self.calls.append((0 if _has_left(handler.connection) else time.time(), key))
        is_new = key not in self._known
        self._known.add(key)
        time.sleep({"/slow": SLOW_SECONDS, "/long": LONG_SECONDS, "/endless": ENDLESS_SECONDS}.get(handler.path, 0))
        broken = handler.path == "/breaks" and key.partition(":")[0] not in self.mended
        super()._answer(handler, 400 if broken else 503 if handler.path == "/flaky" and is_new else 200)


def _has_left(peer: socket.socket) -> bool:
    """Whether who has sent a request waits for no answer: it was cut off, and may have been for as long as this process was
    busy with other things.
    """
    peer.setblocking(False)
    try:
        return peer.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    finally:
        peer.setblocking(True)


class Load:
    """Runs by threads, each over any of the APIs; the same seed gives the same choices."""

    def __init__(self, apis: Sequence[Api], world: World, seed: int) -> None:
        self._apis = apis
        self._world = world
        self._seed = seed
        self._lock = threading.Lock()
        self.ends: dict[str, tuple[str, ...]] = {}  # run id to the statuses that it may end with
        self.effects: dict[str, tuple[str, ...]] = {}  # run id to the steps that call
        self.cancelled_at: dict[str, float] = {}  # run id to when somebody was told that it is cancelled
        self.faults: list[BaseException] = []
        self.followers = Followers(apis)
        self._begun = 0
        self._kinds = self._publish(apis[0])
        for workflow_id in self._kinds.values():
            hooked = apis[0].http.put(f"/api/v1/workflows/{workflow_id}/hook", json={"url": f"{world.url}/hook"})
            assert hooked.status_code == 201, hooked.text

    def _publish(self, api: Api) -> dict[str, str]:
        def call(name: str, path: str = "ok", **data: Any) -> dict[str, Any]:
            config = {"method": "POST", "url": f"{self._world.url}/{path}"}
            return node(name, "http.request", config, retry=AGAIN, **data)

        once = AGAIN | {"max_attempts": 1}
        broken = {**call("call", "breaks"), "data": {**call("call", "breaks")["data"], "retry": once}}
        item = {**call("call"), "parentId": "each"}
        short = api.publish(chain(call("call")))
        slow = api.publish(chain(*(call(f"slow{number}", "slow") for number in range(3))))
        return {
            "calls": api.publish(
                definition(
                    [call("one"), call("two"), node("wait", "core.delay", {"duration": 0.05}), node("join", "core.merge", {}),
                     call("last")],
                    [edge("one", "join"), edge("two", "join"), edge("wait", "join"), edge("join", "last")],
                )
            ),
            "any": api.publish(
                definition(
                    [call("one"), call("two", "slow"), node("join", "core.merge", {}, join="any"), call("last")],
                    [edge("one", "join"), edge("two", "join"), edge("join", "last")],
                )
            ),
            "flaky": api.publish(chain(call("call", "flaky"), node("done", "core.transform", {"values": {"n": 1}}))),
            "map": api.publish(
                definition(
                    [node("each", "core.map", {"items": [1, 2, 3, 4], "concurrency": 2}), item, call("last")],
                    [edge("each", "last")],
                )
            ),
            "parent": api.publish(
                chain(node("child", "core.workflow", {"workflow_id": short}, retry=AGAIN), call("last"))
            ),
            "ask": api.publish(chain(node("ask", "core.approval", {}), call("call"))),
            "broken": api.publish(chain(call("first"), broken, call("last"))),
            "slow": slow,
            "slow parent": api.publish(
                chain(node("child", "core.workflow", {"workflow_id": slow}, retry=AGAIN), call("last"))
            ),
        }  # fmt: skip

    def run(self, count: int, clients: int = 8) -> None:
        """Until so many are accepted, and those that clients have something to say to are over."""
        self._have(clients, lambda: self._begun >= count)

    def run_until(self, stop: threading.Event, clients: int = 4) -> None:
        self._have(clients, stop.is_set)

    def _have(self, clients: int, is_enough: Callable[[], bool]) -> None:
        threads = [threading.Thread(target=self._client, args=(number, is_enough)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, number: int, is_enough: Callable[[], bool]) -> None:
        chance = random.Random(f"{self._seed}-{number}")
        client = Client([api.client() for api in self._apis], chance)
        try:
            while not self.faults and not is_enough():
                with self._lock:
                    self._begun += 1
                    key = f"{self._seed}-{self._begun}"
                self._see_through(client, chance, key)
        except BaseException as error:
            self.faults.append(error)
        finally:
            client.close()

    def _see_through(self, client: "Client", chance: random.Random, key: str) -> None:
        kind = chance.choice(list(self._kinds))
        started = client.post(
            f"/workflows/{self._kinds[kind]}/run", {"input": {}}, (200, 201), {"Idempotency-Key": key}
        )
        run_id = str(started.json()["id"])
        is_cut = kind.startswith("slow") and chance.random() < 0.7
        calls: dict[str, tuple[str, ...]] = defaultdict(
            tuple, calls=("one", "two", "last"), any=("one", "two", "last"), flaky=("call",), parent=("last",), ask=("call",),
            broken=("first", "call", "last"), map=(*(f"each[{index}].call" for index in range(4)), "last"),
            slow=("slow0", "slow1", "slow2"),
        )  # fmt: skip
        if chance.random() < WATCHED:
            self.followers.follow(run_id, chance)
        with self._lock:
            self.ends[run_id] = ("completed", "cancelled") if is_cut else ("completed",)
            self.effects[run_id] = calls[kind]
        if kind == "ask":
            client.until(run_id, lambda run: run["status"] == "paused")
            client.post(f"/runs/{run_id}/resume", {"step_id": "ask", "data": {"by": key}}, (200, 202))
        elif kind == "broken":
            client.until(run_id, lambda run: run["status"] == "failed")
            self._world.mended.add(run_id)
            client.post(f"/runs/{run_id}/retry", {}, (202, 409))  # 409: an answer was lost, it is taken up already
        elif is_cut:
            time.sleep(chance.random() * 4 * SLOW_SECONDS)
            if client.post(f"/runs/{run_id}/cancel", {}, (200, 202, 409)).status_code != 409:
                run = client.until(run_id, lambda run: run["status"] in OVER)
                if run["status"] == "cancelled":
                    self.cancelled_at[run_id] = time.time()

    def late_calls(self) -> dict[str, float]:
        """Calls of runs that came after somebody was told that they are cancelled: key to how many seconds after."""
        late = ((key, at - self.cancelled_at.get(key.partition(":")[0], at)) for at, key in self._world.calls)
        return {key: seconds for key, seconds in late if seconds > 0}


class Client:
    """Asks again, of another API, until there is an answer: as a client should that has an idempotency key."""

    def __init__(self, clients: Sequence[httpx.Client], chance: random.Random) -> None:
        self._clients = clients
        self._chance = chance

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def post(
        self, path: str, body: Any, right: tuple[int, ...], headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return self._ask("POST", path, right, json=body, headers=headers)

    def until(self, run_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            run = self._ask("GET", f"/runs/{run_id}", (200,)).json()
            if is_so(run):
                return dict(run)
            assert run["status"] not in OVER or is_so(run), run
            time.sleep(0.02)
        raise AssertionError(f"run {run_id} does not come to what is waited for: {run}")

    def _ask(self, method: str, path: str, right: tuple[int, ...], **more: Any) -> httpx.Response:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = self._chance.choice(self._clients).request(method, f"/api/v1{path}", **more)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code != 503:
                assert answer.status_code in right, (path, answer.status_code, answer.text)
                return answer
            time.sleep(0.05)
        raise AssertionError(f"no answer to {path}")
