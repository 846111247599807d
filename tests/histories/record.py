"""``make histories``: store what runs of this version leave in the database, for every later version to read.

Each file is one run: its definition, its row and its steps' states as they were loaded, and its events. What is
recorded is never changed by hand. Done once per release, from a real server, in the folder of its version.
"""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from factories import chain, definition, edge, node
from recorder import Recorder
from stack import Api, Process, free_port, until
from stepwire import __version__
from stepwire.db.journal import load
from stepwire.db.migrate import migrate
from stepwire.db.pool import open_pool
from stepwire.embedded.services import embedded_services
from stepwire.settings import Settings

HERE = Path(__file__).resolve().parent
AT_ONCE = {"initial_interval": 0, "jitter": 0}


class Bench:
    """A server whose worker can be killed, and what its runs call."""

    def __init__(self, api: Api, service: Recorder, workers: Callable[[], Process]) -> None:
        self.api, self.service, self._workers = api, service, workers
        self.worker = workers()

    def lose_worker(self) -> None:
        self.worker.kill()
        self.worker = self._workers()

    def start(self, raw: dict[str, Any], value: Any = None) -> str:
        return str(self.api.start(self.api.publish(raw), value)["id"])

    def call(self, name: str, **data: Any) -> dict[str, Any]:
        return node(name, "http.request", {"url": self.service.url}, **data)

    def order(self, run_id: str, verb: str, **body: Any) -> None:
        self.api.http.post(f"/api/v1/runs/{run_id}/{verb}", json=body or None).raise_for_status()

    def asked(self, run_id: str) -> None:
        until(lambda: self.api.run(run_id)["status"] == "paused", "the pause")


def within(container: str, *nodes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**each, "parentId": container} for each in nodes]


def transform(name: str, values: dict[str, Any], **data: Any) -> dict[str, Any]:
    return node(name, "core.transform", {"values": values}, **data)


def branches(bench: Bench) -> str:
    """Triggers, conditions, switches, joins, skips, error edges and failures that are passed over."""
    nodes = [
        node("manual", "trigger.manual", {}), node("hook", "trigger.webhook", {}),
        node("big", "core.condition", {"expression": "input.n > 5"}), transform("yes", {"n": "{{ input.n }}"}), node("no"),
        node("which", "core.switch", {"value": "{{ input.n }}", "cases": [{"handle": "seven", "equals": 7}]}), node("seven"),
        node("other"), node("breaks", "core.fail", {"message": "{{ input.n }}"}),
        transform("told", {"why": "{{ steps.breaks.error.message }}"}),
        transform("passed", {"x": "{{ 1 / input.zero }}"}, on_error="continue"), node("all", "core.merge"),
        node("first", "core.merge", join="any"), node("skipped"), node("rest", "core.delay", {"duration": 0.05}),
    ]  # fmt: skip
    edges = [
        edge("manual", "big"), edge("hook", "skipped"), edge("big", "yes", "true"), edge("big", "no", "false"),
        edge("manual", "which"), edge("which", "seven", "seven"), edge("which", "other"), edge("yes", "breaks"),
        edge("breaks", "told", "error"), edge("yes", "passed"), edge("passed", "all"), edge("seven", "all"),
        edge("no", "all"), edge("yes", "first"), edge("rest", "first"), edge("manual", "rest"),
    ]  # fmt: skip
    run_id = bench.start(definition(nodes, edges), {"n": 7, "zero": 0})
    bench.api.finished(run_id)
    return run_id


def retries(bench: Bench) -> str:
    """Attempts that fail and are made again, a run that fails, cuts off a delay, and is taken up again."""
    bench.service.answers = [(500, {}, {}), (200, {}, {"a": 1}), (503, {}, {}), (500, {}, {})]
    nodes = [
        bench.call("calls", retry={"max_attempts": 2, **AT_ONCE}), node("asks", "core.approval"),
        bench.call("fails", retry={"max_attempts": 2, **AT_ONCE}), node("after"), node("last"),
    ]  # fmt: skip
    run_id = bench.start(
        definition(nodes, [edge("calls", "fails"), edge("fails", "after"), edge("asks", "last")])
    )  # fmt: skip
    bench.api.finished(run_id)
    bench.order(run_id, "retry")
    bench.asked(run_id)
    bench.order(run_id, "resume", step_id="asks", data={"ok": True})
    bench.api.finished(run_id)
    return run_id


def containers(bench: Bench) -> str:
    """Containers in a container, items that fail and are noted, one that fails the run, which is taken up again."""
    bench.service.answers = [(200, {}, {}), (404, {}, {}), (200, {}, {}), (404, {}, {})]
    nodes = [
        node("outer", "core.map", {"items": "{{ input.rows }}", "concurrency": 1}),
        *within(
            "outer",
            node("inner", "core.map", {"items": "{{ item }}", "concurrency": 2, "on_item_error": "collect"}),
            bench.call("calls"), transform("sum", {"of": "{{ steps.inner.output }}", "at": "{{ index }}"}),
        ),
        *within("inner", transform("divide", {"n": "{{ 12 / item }}"}), transform("then", {"n": "{{ steps.divide.output.n }}"})),
        transform("after", {"rows": "{{ size(steps.outer.output) }}"}),
    ]  # fmt: skip
    edges = [edge("inner", "calls"), edge("calls", "sum"), edge("divide", "then"), edge("outer", "after")]
    run_id = bench.start(definition(nodes, edges), {"rows": [[1, 0, 3], [], [4]]})
    bench.api.finished(run_id)
    bench.order(run_id, "retry")
    bench.api.finished(run_id)
    bench.order(run_id, "retry")
    bench.api.finished(run_id)
    return run_id


def answers(bench: Bench) -> str:
    """People who answer, in a container too, and one who does not."""
    nodes = [
        node("ask", "core.approval", {"message": "?", "schema": {"type": "object"}}),
        node("late", "core.approval", {"timeout": 0.1}), node("nobody"), node("each", "core.map", {"items": [1, 2]}),
        *within("each", node("each-asks", "core.approval"), transform("told", {"got": "{{ steps['each-asks'].output }}"})),
    ]  # fmt: skip
    edges = [edge("ask", "late"), edge("late", "nobody", "timeout"), edge("each-asks", "told")]
    run_id = bench.start(definition(nodes, edges))
    bench.asked(run_id)
    for step_id in ("each[1].each-asks", "ask", "each[0].each-asks"):
        bench.order(run_id, "resume", step_id=step_id, data={"said": step_id})
    bench.api.finished(run_id)
    return run_id


def children(bench: Bench) -> str:
    """Child runs: one that completes, one that fails, one that takes too long, one that is not waited for."""
    fine = bench.api.publish(chain(transform("double", {"n": "{{ input.n * 2 }}"})))
    bad = bench.api.publish(chain(node("fails", "core.fail", {"message": "No."})))
    slow = bench.api.publish(chain(node("rests", "core.delay", {"duration": 3600})))
    nodes = [
        node("fine", "core.workflow", {"workflow_id": fine, "input": {"n": 2}}),
        node("bad", "core.workflow", {"workflow_id": bad}, retry={"max_attempts": 2, **AT_ONCE}),
        node("slow", "core.workflow", {"workflow_id": slow}, timeout=0.2, on_error="continue"),
        node("away", "core.workflow", {"workflow_id": fine, "input": {"n": 3}, "wait": False}),
        node("told", "core.merge"),
    ]
    run_id = bench.start(definition(nodes, [edge("bad", "told", "error"), edge("slow", "told"), edge("fine", "told")]))
    bench.api.finished(run_id)
    return run_id


def cancelled(bench: Bench) -> str:
    """A run that is cancelled with items under way."""
    nodes = [node("each", "core.map", {"items": [0.01, 3600, 3600, 1], "concurrency": 2}), node("after")]
    nodes += within("each", node("rests", "core.delay", {"duration": "{{ item }}"}), node("ask", "core.approval"))
    run_id = bench.start(definition(nodes, [edge("each", "after"), edge("rests", "ask")]))
    until(lambda: any(event["step_id"] == "each[0].ask" for event in bench.api.events(run_id)), "the question")
    bench.order(run_id, "cancel")
    bench.api.finished(run_id)
    return run_id


def lost(bench: Bench) -> str:
    """A worker that dies while a step calls out."""
    bench.service.hold()
    bench.service.requests.clear()
    run_id = bench.start(chain(bench.call("calls"), node("after")))
    until(lambda: bench.service.requests, "the call")
    bench.lose_worker()
    bench.service.let_go()
    bench.api.finished(run_id)
    return run_id


def failed(bench: Bench) -> str:
    """A run that stays failed, with steps of every other end."""
    nodes = [
        node("fine"), node("which", "core.condition", {"expression": "true"}), node("no"), node("asks", "core.approval"),
        node("rests", "core.delay", {"duration": 0.1}), node("fails", "core.fail", {"message": "No."}), node("after"),
    ]  # fmt: skip
    edges = [edge("which", "no", "false"), edge("rests", "fails"), edge("asks", "after")]
    run_id = bench.start(definition(nodes, edges))
    bench.api.finished(run_id)
    return run_id


def paused(bench: Bench) -> str:
    """A run that has not ended: it waits for a person, in a container, after a retry."""
    bench.service.answers = [(500, {}, {})]
    nodes = [bench.call("calls"), node("each", "core.map", {"items": [1, 2], "concurrency": 1})]
    nodes += within("each", node("ask", "core.approval", {"message": "{{ item }}"}))
    run_id = bench.start(definition(nodes, [edge("calls", "each")]))
    bench.api.finished(run_id)
    bench.order(run_id, "retry")
    bench.asked(run_id)
    bench.order(run_id, "resume", step_id="each[0].ask", data={"n": 1})
    until(lambda: any(each["step_id"] == "each[1].ask" for each in bench.api.events(run_id)), "the next question")
    bench.asked(run_id)
    return run_id


async def stored(url: str, api: Api, run_id: str) -> dict[str, Any]:
    """The run as the database has it."""
    async with open_pool(url, size=1) as pool:
        row = await pool.fetchrow("SELECT * FROM run WHERE id = $1", UUID(run_id))
        state = await load(pool, row["id"], row["status"], row["started_at"])
    run = api.run(run_id)
    workflow = api.http.get(f"/api/v1/workflows/{run['workflow_id']}").json()
    shown = ("status", "trigger_type", "input", "output", "error", "created_at", "started_at", "completed_at")
    return {
        "definition": workflow["definition"],
        "run": {name: run[name] for name in shown} | {"error": msgspec.json.decode(row["error"] or "null")},
        "steps": {path: msgspec.to_builtins(state.step(path)) for path in sorted(state.steps)},
        "events": api.events(run_id),
    }


@contextlib.contextmanager
def served() -> Iterator[tuple[Bench, str]]:
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Recorder()) as service:
        home = Path(folder)
        home.chmod(0o755)
        with embedded_services(home / "home", Settings(home=home / "home")) as services:
            migrate(services["DATABASE_URL"])
            environment = services | {
                "STEPWIRE_PORT": str(free_port()), "STEPWIRE_LEASE_SECONDS": "1", "STEPWIRE_HTTP_ALLOW": "127.0.0.1",
            }  # fmt: skip
            process = Process("api", environment, home / "api.log")
            api = Api(f"http://127.0.0.1:{environment['STEPWIRE_PORT']}", services["SUPABASE_JWT_SECRET"])
            until(api.is_ready, "the API being ready")
            bench = Bench(api, service, lambda: Process("worker", environment, home / "worker.log"))
            try:
                yield bench, services["DATABASE_URL"]
            finally:
                api.http.close()
                bench.worker.stop()
                process.stop()


def main() -> None:
    folder = HERE / __version__
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with served() as (bench, url):
        for record in (branches, retries, containers, answers, children, cancelled, lost, failed, paused):
            bench.service.answers = []
            history = asyncio.run(stored(url, bench.api, record(bench)))
            text = msgspec.json.format(msgspec.json.encode(history), indent=1)
            (folder / f"{record.__name__}.json").write_bytes(text + b"\n")
            print(f"{record.__name__}: {history['run']['status']}, {len(history['events'])} events")


if __name__ == "__main__":
    main()
