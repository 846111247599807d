"""What reading costs with a thousand runs and with a million of fifty owners: `make bench-lists`.

Both are measured in one run, through a real API; the figures to trust are the ratios. The plans follow.
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

from stack import Api, Process, free_port, until
from stepwire.db.migrate import migrate
from stepwire.db.pool import open_pool
from stepwire.embedded.services import embedded_services
from stepwire.settings import Settings

OWNERS, SMALL, LARGE = 50, 1_000, 1_000_000
WORKFLOWS_SMALL, WORKFLOWS_LARGE = 1_000, 10_000
REPEATS = 60
ME = UUID(int=1)

_WORKFLOWS = """
INSERT INTO workflow (id, owner_id, line_id, version, name, status, definition, operation, created_at)
SELECT gen.id, lpad(to_hex(1 + n % $3), 32, '0')::uuid, gen.id, 1, 'Workflow ' || n,
       CASE WHEN n < $3 * 10 THEN 'published' ELSE (ARRAY['draft', 'published', 'archived'])[1 + n / $3 % 3] END,
       '{"nodes":[{"id":"a","type":"step","position":{"x":0,"y":0},"data":{"step_type":"core.log"}}],"edges":[]}',
       'create', now() - (n || ' minutes')::interval
FROM generate_series($1::int, $2::int - 1) AS n, LATERAL (SELECT ('a' || lpad(to_hex(n), 31, '0'))::uuid AS id) AS gen
"""
# One run in a thousand has failed, one in a thousand is running; every owner's are spread over ten workflows.
_RUNS = """
INSERT INTO run (id, owner_id, workflow_id, workflow_version, status, trigger_type, input, output, seq, created_at,
                 started_at, completed_at)
SELECT ('b' || lpad(to_hex(n), 31, '0'))::uuid, lpad(to_hex(1 + n % $3), 32, '0')::uuid,
       ('a' || lpad(to_hex(n % $3 + $3 * (n / $3 % 10)), 31, '0'))::uuid, 1,
       CASE n / $3 % 1000 WHEN 7 THEN 'failed' WHEN 8 THEN 'running' ELSE 'completed' END,
       (ARRAY['manual', 'webhook', 'schedule'])[1 + n / $3 % 3], '{"n":1}', '{"n":2}', 6,
       now() - (n || ' seconds')::interval, now(), now()
FROM generate_series($1::int, $2::int - 1) AS n
"""
_STEPS = """
INSERT INTO step_run (run_id, step_id, step_type, status, attempt, position, input, output, started_at, completed_at)
SELECT ('b' || lpad(to_hex(n), 31, '0'))::uuid, 'step' || s, 'core.log', 'completed', 1, s, '{}', '{"message":"x"}', now(), now()
FROM generate_series($1::int, $2::int - 1) AS n, generate_series(0, 1) AS s
"""
_EVENTS = """
INSERT INTO run_event (run_id, seq, event, step_id, data, at)
SELECT ('b' || lpad(to_hex(n), 31, '0'))::uuid, s, 'step.started', 'step1', '{"attempt":1,"input":null}', now()
FROM generate_series($1::int, $2::int - 1) AS n, generate_series(1, 6) AS s
"""


async def build(url: str, runs: tuple[int, int], workflows: tuple[int, int]) -> None:
    async with open_pool(url, size=1) as pool, pool.acquire() as connection:
        await connection.execute(_WORKFLOWS, *workflows, OWNERS, timeout=1800)
        for statement in (_RUNS,):
            await connection.execute(statement, *runs, OWNERS, timeout=1800)
        for statement in (_STEPS, _EVENTS):
            await connection.execute(statement, *runs, timeout=1800)
        await connection.execute("VACUUM (ANALYZE)", timeout=1800)


async def newest(url: str) -> dict[str, Any]:
    """Ids and instants of the owner's, and the cursor of a part deep in its list."""
    async with open_pool(url, size=1) as pool:
        count = await pool.fetchval("SELECT count(*) FROM run WHERE owner_id = $1", ME)
        middle = await pool.fetchrow(
            "SELECT id, created_at, workflow_id FROM run WHERE owner_id = $1 ORDER BY created_at DESC, id DESC"
            " OFFSET $2 LIMIT 1",
            ME, count // 2,
        )  # fmt: skip
    return {"count": count, **dict(middle)}


def requests(known: dict[str, Any]) -> dict[str, str]:
    from stepwire.services.paging import Position

    cursor = Position(known["created_at"], known["id"]).encoded()
    instant = known["created_at"].isoformat().replace("+00:00", "Z")
    runs, workflows = "/api/v1/runs?per_page=10", "/api/v1/workflows?per_page=10"
    return {
        "runs, a page and the total": runs,
        "runs, by cursor": f"{runs}&cursor=",
        "runs, by cursor deep in the list": f"{runs}&cursor={cursor}",
        "runs, the page in the middle": f"{runs}&page={max(known['count'] // 20, 1)}",
        "runs of a workflow": f"{runs}&workflow_id={known['workflow_id']}",
        "runs of a workflow, by cursor": f"{runs}&workflow_id={known['workflow_id']}&cursor=",
        "runs that completed": f"{runs}&status=completed",
        "runs that completed, by cursor": f"{runs}&status=completed&cursor=",
        "runs that failed": f"{runs}&status=failed",
        "runs that failed, by cursor": f"{runs}&status=failed&cursor=",
        "runs that failed or go on, by cursor": f"{runs}&status=failed&status=running&cursor=",
        "runs by webhook": f"{runs}&trigger_type=webhook",
        "runs by webhook, by cursor": f"{runs}&trigger_type=webhook&cursor=",
        "runs since, by cursor": f"{runs}&since={instant}&cursor=",
        "runs until, by cursor": f"{runs}&until={instant}&cursor=",
        "runs with context, by cursor": f"{runs}&include=context&cursor=",
        "workflows, a page and the total": workflows,
        "workflows, by cursor": f"{workflows}&cursor=",
        "workflows, published": f"{workflows}&status=published",
        "workflows by name": f"{workflows}&name=flow",
        "workflows by a name that nothing has": f"{workflows}&name=nothing",
        "a run": f"/api/v1/runs/{known['id']}",
        "its steps": f"/api/v1/runs/{known['id']}/steps",
        "its events": f"/api/v1/runs/{known['id']}/events",
    }


def measure(api: Api, paths: dict[str, str]) -> dict[str, float]:
    """Milliseconds, p50; the requests take turns, so that a slow moment of the machine meets them all."""
    times: dict[str, list[float]] = {name: [] for name in paths}
    for number in range(REPEATS + 5):
        for name, path in paths.items():
            began = time.perf_counter()
            answer = api.http.get(path)
            if number >= 5:
                times[name].append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, (name, answer.text)
    return {name: statistics.median(each) for name, each in times.items()}


async def plans(url: str, known: dict[str, Any]) -> None:
    """What PostgreSQL does for the parts of these lists that could grow: the keys of a page, and the count."""
    keys = "SELECT created_at, id FROM run WHERE owner_id = $1 {} ORDER BY created_at DESC, id DESC LIMIT 11"
    statements = {
        "by cursor deep in the list": keys.format("AND (created_at, id) < ($2, $3)"),
        "of a workflow": keys.format("AND workflow_id = $2"),
        "that failed": keys.format("AND status = 'failed'"),
        "by webhook": keys.format("AND trigger_type = 'webhook'"),
        "the total": "SELECT count(*) FROM run WHERE owner_id = $1",
        "the total that completed": "SELECT count(*) FROM run WHERE owner_id = $1 AND status = 'completed'",
        "events of a run": "SELECT * FROM run_event WHERE run_id = $1 AND seq > 0 ORDER BY seq LIMIT 500",
    }
    arguments = {
        "by cursor deep in the list": (ME, known["created_at"], known["id"]),
        "of a workflow": (ME, known["workflow_id"]),
        "events of a run": (known["id"],),
    }
    async with open_pool(url, size=1) as pool:
        for name, statement in statements.items():
            print(f"\n-- {name}")
            for row in await pool.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", *arguments.get(name, (ME,))):
                print(row[0])


@contextmanager
def running() -> Iterator[tuple[Api, str]]:
    with tempfile.TemporaryDirectory(prefix="stepwire-lists-") as folder:
        home = Path(folder) / "home"
        with embedded_services(home, Settings(home=home)) as environment:
            migrate(environment["DATABASE_URL"])
            known = environment | {"STEPWIRE_PORT": str(free_port())}
            process = Process("api", known, Path(folder) / "api.log")
            api = Api(f"http://127.0.0.1:{known['STEPWIRE_PORT']}", known["SUPABASE_JWT_SECRET"])
            until(api.is_ready, "the API being ready")
            try:
                yield api, environment["DATABASE_URL"]
            finally:
                process.stop()


def main() -> None:
    large = int(sys.argv[1]) if len(sys.argv) > 1 else LARGE
    with running() as (api, url):
        api.http.headers["Authorization"] = f"Bearer {api.token(ME)}"
        asyncio.run(build(url, (0, SMALL), (0, WORKFLOWS_SMALL)))
        before = measure(api, requests(asyncio.run(newest(url))))
        began = time.monotonic()
        asyncio.run(build(url, (SMALL, large), (WORKFLOWS_SMALL, WORKFLOWS_LARGE)))
        print(f"built {large:,} runs in {time.monotonic() - began:.0f} s")
        known = asyncio.run(newest(url))
        after = measure(api, requests(known))
        print(f"\n{'p50 in ms':<40} {SMALL:>10,} {large:>10,}  ratio")
        for name in after:
            print(f"{name:<40} {before[name]:>10.2f} {after[name]:>10.2f}  {after[name] / before[name]:.2f}")
        asyncio.run(plans(url, known))


if __name__ == "__main__":
    main()
