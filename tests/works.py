"""Runs of every kind, to be under way while something fails, and what must be true of them afterwards."""

import asyncio
import json
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from audit import LEFT_OVER
from factories import chain, definition, edge, node
from recorder import Recorder
from stack import Api, until
from stepwire.engine.events import revive
from stepwire.engine.fold import apply
from stepwire.engine.model import RunState

PATIENT = 5.0  # seconds a client waits for an answer before it asks again


class Works:
    """Runs that call, wait, ask and start others."""

    def __init__(self, api: Api, recorder: Recorder) -> None:
        self.api = api
        self.recorder = recorder
        self.http = api.client()
        self.http.timeout = httpx.Timeout(PATIENT)
        self.cancelled: dict[str, int] = {}  # run id to how many requests there were when that was confirmed
        self.expected: dict[str, tuple[str, ...]] = {}  # run id to the calls that it makes
        self._key = uuid4()
        call = {"method": "POST", "url": recorder.url}
        self._calling = api.publish(
            definition(
                [
                    node("one", "http.request", call), node("two", "http.request", call), node("join", "core.merge", {}),
                    node("last", "http.request", call),
                ],
                [edge("one", "join"), edge("two", "join"), edge("join", "last")],
            )
        )  # fmt: skip
        self._delayed = api.publish(
            chain(node("wait", "core.delay", {"duration": 1}), node("call", "http.request", call))
        )
        self._asking = api.publish(chain(node("ask", "core.approval", {}), node("call", "http.request", call)))
        child = api.publish(chain(node("call", "http.request", call)))
        self._parent = api.publish(
            chain(node("child", "core.workflow", {"workflow_id": child}), node("call", "http.request", call))
        )

    def close(self) -> None:
        self.http.close()

    def calling(self) -> str:
        return self._start(self._calling, "one", "two", "last")

    def delayed(self) -> str:
        return self._start(self._delayed, "call")

    def asking(self) -> str:
        return self._start(self._asking, "call")

    def parent(self) -> str:
        return self._start(self._parent, "call")

    def ask(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
        """Post until there is an answer that is more than a promise of better times, as a client should."""

        def post() -> httpx.Response | None:
            try:
                answer = self.http.post(f"/api/v1{path}", json=body or {}, headers=headers)
            except httpx.TransportError:
                return None
            assert answer.status_code in (200, 201, 202, 409, 503), answer.text
            return None if answer.status_code == 503 else answer

        return until(post, f"an answer to {path}")

    def cancel(self, run_id: str) -> None:
        """Have a run cancelled, and wait until it is."""
        assert self.ask(f"/runs/{run_id}/cancel").status_code in (200, 202)
        assert self.ended(run_id)["status"] == "cancelled"
        self.cancelled[run_id] = len(self.recorder.requests)

    def is_paused(self, run_id: str) -> bool:
        return self._look(run_id, lambda run: run["status"] == "paused") is not None

    def resume(self, run_id: str) -> None:
        """Answer, twice: as whoever did not get the answer would."""
        for _ in range(2):
            assert self.ask(f"/runs/{run_id}/resume", {"step_id": "ask", "data": {"ok": True}}).status_code in (
                200,
                202,
            )

    def ended(self, run_id: str) -> dict[str, Any]:
        over = ("completed", "failed", "cancelled")
        return dict(
            until(lambda: self._look(run_id, lambda run: run["status"] in over), f"the end of run {run_id}")
        )  # fmt: skip

    def check(self, database: str) -> None:
        """Every accepted run has its right end, every effect is there and known by its key, and nothing is left over."""
        runs = [self.ended(run_id) for run_id in self.expected]
        assert {run["id"]: run["status"] for run in runs} == {
            run["id"]: "cancelled" if run["id"] in self.cancelled else "completed" for run in runs
        }, json.dumps([run["error"] for run in runs])
        for run in runs:
            check_journal(self.api, run)
        calls = [request.headers["idempotency-key"] for request in self.recorder.requests]
        for run_id, count in self.cancelled.items():
            assert not [key for key in calls[count:] if key.startswith(run_id)]
        due = {
            f"{run_id}:{step}"
            for run_id, steps in self.expected.items()
            if run_id not in self.cancelled
            for step in steps
        }
        assert due <= set(calls)
        until(lambda: not left_over(database), f"nothing being left over: {left_over(database)}", 10)

    def _start(self, workflow_id: str, *calls: str) -> str:
        key = {"Idempotency-Key": f"{self._key}-{len(self.expected)}"}
        run_id = str(self.ask(f"/workflows/{workflow_id}/run", {"input": {}}, key).json()["id"])
        self.expected[run_id] = calls
        return run_id

    def _look(self, run_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
        try:
            answer = self.http.get(f"/api/v1/runs/{run_id}")
        except httpx.TransportError:
            return None
        assert answer.status_code in (200, 503), answer.text
        return answer.json() if answer.status_code == 200 and is_so(answer.json()) else None


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


def left_over(database: str) -> list[dict[str, Any]]:
    """Runs that have not ended, or that still have a lease or a time to go on."""
    return [dict(record) for record in fetch(database, LEFT_OVER)]


def fetch(database: str, statement: str, *arguments: Any) -> Iterable[asyncpg.Record]:
    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(database, timeout=10)
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    return asyncio.run(ask())
