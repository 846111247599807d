"""What reading costs with a thousand runs and with two million: `make bench-lists`.

Two databases, each with an API of its own; requests to both take turns, so that a slow moment of the machine meets all.
The figures to trust are the ratios. In the large one fifty owners have a million runs and ten thousand workflows; one
more owner has as many alone, and one has ten runs. The plans of what lists send follow.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parents[1]))

from plans import explain, recorded
from stack import Api, Process, free_port, until
from stepwire.db.migrate import migrate
from stepwire.db.pool import open_pool
from stepwire.db.runs import RunRepository
from stepwire.db.session import open_database
from stepwire.db.tallies import take_in
from stepwire.db.workflows import WorkflowRepository
from stepwire.embedded.services import embedded_services
from stepwire.services.paging import Position
from stepwire.settings import Settings

OWNERS = 50
SMALL, LARGE = "stepwire_small", "stepwire_large"
RUNS = {SMALL: 1_000, LARGE: 1_000_000}
WORKFLOWS = {SMALL: 1_000, LARGE: 10_000}
REPEATS = 60
ME, GIANT, DWARF = UUID(int=1), UUID(int=1001), UUID(int=1002)

_WORKFLOWS = """
INSERT INTO workflow (id, owner_id, line_id, version, name, status, definition, operation, created_at)
SELECT id, lpad(to_hex($2::int + n % $3::int), 32, '0')::uuid, id, 1, 'Workflow ' || n,
       CASE WHEN n < $3 * 10 THEN 'published' ELSE (ARRAY['draft', 'published', 'archived'])[1 + n / $3 % 3] END,
       '{"nodes":[{"id":"a","type":"step","position":{"x":0,"y":0},"data":{"step_type":"core.log"}}],"edges":[]}',
       'create', now() - n * interval '1 minute'
FROM generate_series(0, $1::int - 1) AS n,
     LATERAL (SELECT lpad(to_hex($2::bigint * 4294967296 + n), 32, 'a')::uuid AS id) AS own
"""
# An owner's runs are spread over ten workflows, half of them on the first. One in a thousand has failed, one is
# running; none of these by webhook or of the first workflow, so that both filters together find nothing.
_RUNS = """
INSERT INTO run (id, owner_id, workflow_id, workflow_version, status, trigger_type, input, output, seq, created_at,
                 started_at, completed_at)
SELECT lpad(to_hex($2::bigint * 4294967296 + n), 32, 'b')::uuid, lpad(to_hex($2::int + n % $3::int), 32, '0')::uuid,
       lpad(to_hex($2::bigint * 4294967296 + n % $3 + $3 * CASE k % 2 WHEN 0 THEN 0 ELSE k / 2 % 10 END), 32, 'a')::uuid,
       1, CASE k % 1000 WHEN 7 THEN 'failed' WHEN 9 THEN 'running' ELSE 'completed' END,
       CASE k % 4 WHEN 0 THEN 'webhook' WHEN 2 THEN 'schedule' ELSE 'manual' END, '{"n":1}', '{"n":2}', 6,
       now() - n * interval '1 second', now(), now()
FROM generate_series(0, $1::int - 1) AS n, LATERAL (SELECT n / $3 AS k) AS own
"""
_STEPS = """
INSERT INTO step_run (run_id, step_id, step_type, status, attempt, position, input, output, started_at, completed_at)
SELECT run.id, 'step' || s, 'core.log', 'completed', 1, s, '{}', '{"message":"x"}', now(), now()
FROM run, generate_series(0, 1) AS s
"""
_EVENTS = """
INSERT INTO run_event (run_id, seq, event, step_id, data, at)
SELECT run.id, s, 'step.started', 'step1', '{"attempt":1,"input":null}', now() FROM run, generate_series(1, 6) AS s
"""
_AT = "SELECT id, created_at, workflow_id FROM run WHERE owner_id = $1 ORDER BY created_at DESC, id DESC OFFSET $2 LIMIT 1"


async def build(url: str, runs: int, workflows: int, *, with_skew: bool) -> None:
    owners = [(runs, workflows, ME, OWNERS)]
    if with_skew:
        owners += [(runs, workflows, GIANT, 1), (10, 10, DWARF, 1)]
    async with open_pool(url, size=1) as pool:
        for its_runs, its_workflows, first, count in owners:
            await pool.execute(_WORKFLOWS, its_workflows, first.int, count, timeout=1800)
            await pool.execute(_RUNS, its_runs, first.int, count, timeout=1800)
        for statement in (_STEPS, _EVENTS, "VACUUM (ANALYZE)"):
            await pool.execute(statement, timeout=1800)
        await take_in(pool)


async def facts(url: str, owner: UUID) -> dict[str, Any]:
    """What to ask for: runs in the middle and at the end of the owner's list, and the workflow that has most."""
    async with open_pool(url, size=1) as pool:
        count = await pool.fetchval("SELECT count(*) FROM run WHERE owner_id = $1", owner)
        newest, middle, oldest = [await pool.fetchrow(_AT, owner, place) for place in (0, count // 2, count - 1)]
    return {"count": count, "middle": middle, "oldest": oldest, "workflow": newest["workflow_id"]}


def requests(known: dict[str, Any]) -> dict[str, str]:
    middle, oldest = known["middle"], known["oldest"]
    cursor = Position(middle["created_at"], middle["id"]).encoded()
    half, past = (each["created_at"].isoformat().replace("+00:00", "Z") for each in (middle, oldest))
    of_workflow = f"workflow_id={known['workflow']}"
    filters = {
        "": "",
        " of a workflow": of_workflow,
        " completed": "status=completed",
        " failed": "status=failed",
        " running or queued": "status=running&status=queued",
        " by webhook": "trigger_type=webhook",
        " failed by webhook (none)": "status=failed&trigger_type=webhook",
        " failed of a workflow (none)": f"status=failed&{of_workflow}",
        " by webhook of a workflow": f"trigger_type=webhook&{of_workflow}",
        " by all three": f"status=completed&trigger_type=webhook&{of_workflow}",
        " since the middle": f"since={half}",
        " since the oldest": f"since={past}",
        " until the oldest (none)": f"until={past}",
        " completed until the middle": f"status=completed&until={half}",
    }
    runs, workflows, run = "/api/v1/runs?per_page=10", "/api/v1/workflows?per_page=10", f"/api/v1/runs/{middle['id']}"
    paths = {}
    for name, query in filters.items():
        paths[f"runs{name}"] = f"{runs}&{query}"
        paths[f"runs{name}, by cursor"] = f"{runs}&{query}&cursor="
        if "ntil" not in name:
            paths[f"runs{name}, by cursor from the middle"] = f"{runs}&{query}&cursor={cursor}"
    return paths | {
        "runs, the page in the middle": f"{runs}&page={max(known['count'] // 20, 1)}",
        "runs, the last page": f"{runs}&page={known['count'] // 10}",
        "runs completed, the page in the middle": f"{runs}&status=completed&page={max(known['count'] // 20, 1)}",
        "runs with context": f"{runs}&include=context",
        "workflows": workflows,
        "workflows, by cursor": f"{workflows}&cursor=",
        "workflows published": f"{workflows}&status=published",
        "workflows published, by cursor": f"{workflows}&status=published&cursor=",
        "workflows by name": f"{workflows}&name=FLOW",
        "workflows by name (none)": f"{workflows}&name=nothing",
        "a run": run,
        "a run's steps": f"{run}/steps",
        "a run's events": f"{run}/events",
        "a workflow": f"/api/v1/workflows/{known['workflow']}",
    }


def measure(callers: dict[str, tuple[Any, dict[str, str]]]) -> dict[str, dict[str, float]]:
    """Milliseconds, p50, by request and caller."""
    names = next(iter(callers.values()))[1]
    times: dict[str, dict[str, list[float]]] = {name: {each: [] for each in callers} for name in names}
    for number in range(REPEATS + 5):
        for name in names:
            for each, (client, paths) in callers.items():
                began = time.perf_counter()
                answer = client.get(paths[name])
                took = (time.perf_counter() - began) * 1000
                assert answer.status_code == 200, (name, answer.text)
                if number >= 5:
                    times[name][each].append(took)
    return {name: {each: statistics.median(took) for each, took in row.items()} for name, row in times.items()}


async def plans(url: str, owner: UUID, known: dict[str, Any]) -> None:
    """The plans of every statement that lists send."""
    nothing = {"workflow_id": None, "statuses": [], "trigger_type": None, "since": None, "until": None}
    by_cursor = {"offset": None, "limit": 10, "after": (known["middle"]["created_at"], known["middle"]["id"])}
    by_page, far = ({"offset": offset, "limit": 10, "after": None} for offset in (0, known["count"] - 10))
    runs = {
        "runs, by page": by_page,
        "runs, the last page": far,
        "runs, by cursor from the middle": by_cursor,
        "runs of a workflow": {"workflow_id": known["workflow"], **by_cursor},
        "runs failed": {"statuses": ["failed"], **by_cursor},
        "runs by webhook": {"trigger_type": "webhook", **by_cursor},
        "runs failed of a workflow": {"statuses": ["failed"], "workflow_id": known["workflow"], **by_cursor},
        "runs since the middle": {"since": known["middle"]["created_at"], **by_page},
    }
    workflows = {"workflows": {"status": None, "name": None}, "workflows by name": {"status": None, "name": "nothing"}}
    async with open_database(url) as database, database.session() as session:
        of_runs, of_workflows = RunRepository(session=session), WorkflowRepository(session=session)
        for title in [*runs, *workflows, "a run's steps", "a run's events"]:
            with recorded(database) as statements:
                if title in runs:
                    await of_runs.part_of_owner(owner, **(nothing | runs[title]))
                elif title in workflows:
                    await of_workflows.part_of_owner(owner, **workflows[title], **by_page, with_definition=False)
                elif title == "a run's steps":
                    await of_runs.step_places(known["middle"]["id"])
                else:
                    await of_runs.events(known["middle"]["id"], after=0, limit=500)
            for statement in statements:
                print(f"\n-- {title}\n{statement[0]}\n{await explain(database, statement, 'ANALYZE, BUFFERS')}")


@contextmanager
def running() -> Iterator[dict[str, tuple[str, Api]]]:
    """Both databases' URLs and APIs."""
    with tempfile.TemporaryDirectory(prefix="stepwire-lists-") as folder:
        home, processes, found = Path(folder) / "home", [], {}
        with embedded_services(home, Settings(home=home)) as environment:
            try:
                for name in (SMALL, LARGE):
                    asyncio.run(create_database(environment["DATABASE_URL"], name))
                    url, port = environment["DATABASE_URL"].replace("/stepwire?", f"/{name}?"), str(free_port())
                    migrate(url)
                    known = environment | {"DATABASE_URL": url, "STEPWIRE_PORT": port}
                    processes.append(Process("api", known, Path(folder) / f"{name}.log"))
                    found[name] = url, Api(f"http://127.0.0.1:{port}", environment["SUPABASE_JWT_SECRET"])
                for _, api in found.values():
                    until(api.is_ready, "the API being ready")
                yield found
            finally:
                for process in processes:
                    process.stop()


async def create_database(url: str, name: str) -> None:
    async with open_pool(url, size=1) as pool:
        await pool.execute(f"CREATE DATABASE {name}")


def main() -> None:
    large = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS[LARGE]
    with running() as servers:
        began = time.monotonic()
        for name, runs in {SMALL: RUNS[SMALL], LARGE: large}.items():
            asyncio.run(build(servers[name][0], runs, WORKFLOWS[name], with_skew=name == LARGE))
        print(f"built in {time.monotonic() - began:.0f} s", flush=True)
        measured = {"thousand": (SMALL, ME), "million": (LARGE, ME), "giant": (LARGE, GIANT), "dwarf": (LARGE, DWARF)}
        callers, known = {}, {}
        for each, (name, owner) in measured.items():
            known[each] = asyncio.run(facts(servers[name][0], owner))
            callers[each] = servers[name][1].client(owner), requests(known[each])
        found = measure(callers)
        counts = ", ".join(f"{each} {facts['count']:,}" for each, facts in known.items())
        print(f"\np50 in ms, then ratios to the first; runs of the owner who asks: {counts}")
        print(f"{'':<56}" + "".join(f"{each:>10}" for each in measured))
        for request, row in found.items():
            ratios = [row[each] / row["thousand"] for each in list(measured)[1:]]
            print(f"{request:<56}" + "".join(f"{ms:>10.2f}" for ms in row.values()), *(f"{r:6.2f}" for r in ratios))
        asyncio.run(plans(servers[LARGE][0], GIANT, known["giant"]))


if __name__ == "__main__":
    main()
