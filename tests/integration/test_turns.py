"""Whose run is next: owners take turns, priorities order an owner's own, limited workflows hold what is too much."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from threading import get_ident
from typing import Any
from uuid import UUID

import httpx
import pytest
from uuid_utils.compat import uuid7

from factories import definition, node
from stepwire.auth.encryption import load_keyring
from stepwire.db.claims import CLAIM, NOBODY, RELEASE, RENEW, ClaimedRun, claim
from stepwire.db.journal import APPEND, WRITTEN, NewRun, accept
from stepwire.db.limits import let_through, with_held_runs
from stepwire.db.migrate import migrate
from stepwire.db.pool import Pool, open_pool
from stepwire.definition.validate import check
from stepwire.runtime import plans
from stepwire.runtime.children import Children
from stepwire.runtime.executor import Executor
from stepwire.runtime.plans import Plans
from stepwire.runtime.runner import Runner
from stepwire.runtime.secrets import SecretReader
from stepwire.signals.connection import open_redis
from stepwire.signals.queue import open_queue
from stepwire.signals.wake import Waker
from stepwire.steps.registry import load_registry

LEASE = timedelta(seconds=60)
ONE, OTHER = UUID(int=1), UUID(int=2)


@pytest.fixture(scope="module")
async def pool(services: dict[str, str]):
    name = f"turns_{uuid7().hex}"
    async with open_pool(services["DATABASE_URL"], size=1) as maintenance:
        await maintenance.execute(f"CREATE DATABASE {name}")
    url = services["DATABASE_URL"].replace("/stepwire?", f"/{name}?")
    await asyncio.to_thread(migrate, url)
    async with open_pool(url, size=8) as pool:
        yield pool


@pytest.fixture(autouse=True)
async def empty(pool: Pool) -> None:
    await pool.execute("TRUNCATE run, run_event, workflow CASCADE")


async def workflow(pool: Pool, owner: UUID, *, priority: int = 0, limit: int | None = None, drawn: Any = None) -> UUID:
    workflow_id = uuid7()
    await pool.execute(
        """
        INSERT INTO workflow (id, owner_id, line_id, version, name, status, definition, operation, priority, concurrency_limit)
        VALUES ($1, $2, $1, 1, 'W', 'published', $5, 'create', $3, $4)
        """,
        workflow_id, owner, priority, limit, json.dumps(drawn or {}),
    )  # fmt: skip
    return workflow_id


async def queue(pool: Pool, owner: UUID, workflow_id: UUID, count: int) -> list[UUID]:
    runs = [
        NewRun(
            id=uuid7(), owner_id=owner, workflow_id=workflow_id, workflow_version=1, trigger_type="manual",
            trigger=None, input="{}", queued="{}",
        )
        for _ in range(count)
    ]  # fmt: skip
    if runs:
        await accept(pool, runs)
    return [run.id for run in runs]


async def take(pool: Pool, limit: int, **more: object) -> list[ClaimedRun]:
    return await claim(pool, worker="w", limit=limit, lease=LEASE, **more)  # type: ignore[arg-type]


async def test_one_run_of_an_owner_does_not_wait_for_a_thousand_of_another(pool: Pool) -> None:
    flood = await workflow(pool, ONE)
    await queue(pool, ONE, flood, 1000)
    [single] = await queue(pool, OTHER, await workflow(pool, OTHER), 1)
    first = await take(pool, 10)
    second = await take(pool, 10, after=ONE)

    assert {run.owner_id for run in first} == {ONE}
    assert single in {run.id for run in second}
    assert len(second) == 10, "the rest of the batch is not wasted"


async def test_owners_take_turns_all_the_way_round(pool: Pool) -> None:
    owners = [UUID(int=number) for number in range(1, 6)]
    for owner in owners:
        await queue(pool, owner, await workflow(pool, owner), 10)
    turn, served = UUID(int=0), []
    for _ in owners:
        claimed = await take(pool, 5, after=turn)
        turn = claimed[0].owner_id
        served.append(turn)

    assert served == owners


async def test_no_owner_gets_more_than_its_places(pool: Pool) -> None:
    await queue(pool, ONE, await workflow(pool, ONE), 10)
    await queue(pool, OTHER, await workflow(pool, OTHER), 10)
    claimed = Counter(run.owner_id for run in await take(pool, 10, held={ONE: 3}, most=5))
    again = Counter(run.owner_id for run in await take(pool, 10, held={ONE: 5, OTHER: 7}, most=5))

    assert claimed == {ONE: 2, OTHER: 5}
    assert again == {}


async def test_an_owners_urgent_runs_begin_before_its_others(pool: Pool) -> None:
    low, normal, high = [await workflow(pool, ONE, priority=priority) for priority in (-1, 0, 1)]
    for each in (low, normal, high):
        await queue(pool, ONE, each, 2)

    assert [(await take(pool, 2))[0].workflow_id for _ in range(3)] == [high, normal, low]


async def test_what_has_begun_leaves_places_for_what_is_queued(pool: Pool) -> None:
    begun = await queue(pool, ONE, await workflow(pool, ONE), 100)
    await pool.execute("UPDATE run SET status = 'running'")
    [queued] = await queue(pool, OTHER, await workflow(pool, OTHER), 1)
    claimed = {run.id for run in await take(pool, 8)}

    assert queued in claimed
    assert len(claimed & set(begun)) == 6


async def test_a_limited_workflow_never_has_more_runs_under_way(pool: Pool) -> None:
    limited = await workflow(pool, ONE, limit=3)
    order = await queue(pool, ONE, limited, 40)
    begun: list[UUID] = []
    most = 0

    async def work() -> None:
        nonlocal most
        while len(begun) < 40:
            for run in await take(pool, 5):
                begun.append(run.id)
                under_way = "SELECT count(*) FROM run WHERE NOT is_held AND status IN ('queued', 'running')"
                most = max(most, await pool.fetchval(under_way))
                await pool.execute(
                    "UPDATE run SET status = 'completed', wake_at = NULL, lease_until = NULL WHERE id = $1", run.id
                )
            await let_through(pool, [limited])

    assert await take(pool, 5) == [], "nothing begins before it is let through"
    await asyncio.wait_for(asyncio.gather(*(work() for _ in range(4))), 60)
    assert (Counter(begun), most) == (Counter(order), 3)
    assert max(order.index(run_id) for run_id in begun[:8]) < 20, "more or less in order: four take side by side"


async def test_workflows_with_held_runs_are_found(pool: Pool) -> None:
    held = [await workflow(pool, ONE, limit=1) for _ in range(3)]
    for each in held:
        await queue(pool, ONE, each, 5)
    await queue(pool, ONE, await workflow(pool, ONE), 5)

    assert sorted(await with_held_runs(pool)) == sorted(held)
    assert await let_through(pool, held) == 3
    assert await let_through(pool, held) == 0


@pytest.mark.parametrize(
    ("ended", "statement", "arguments"),
    [  # of an empty table only claims are planned: there are no leases in it, and nothing to write
        (0, CLAIM, ("worker", 16, timedelta(seconds=15), NOBODY, 12, [], [], 100)),
        (2000, CLAIM, ("worker", 16, timedelta(seconds=15), NOBODY, 12, [], [], 100)),
        (2000, RENEW, ([NOBODY], [1], timedelta(seconds=15))),
        (2000, RELEASE, ([NOBODY], [1])),
        (2000, APPEND, ("[]", "[]", "[]", [NOBODY])),
        (2000, WRITTEN, ([NOBODY], [1], [1])),
    ],
    ids=["claim of nothing", "claim", "renew", "release", "append", "written"],
)
async def test_what_is_planned_when_there_was_nothing_reads_no_whole_table_later(
    pool: Pool, ended: int, statement: str, arguments: tuple[Any, ...]
) -> None:
    """Plans are kept: with statistics of an empty table, or of one in which nothing is queued, all of it looks cheapest."""
    await pool.execute("TRUNCATE run CASCADE")
    await queue(pool, ONE, await workflow(pool, ONE), ended)
    await pool.execute("UPDATE run SET status = 'completed', wake_at = NULL")
    await pool.execute("ANALYZE run")
    async with pool.acquire() as connection:
        [plan] = await (await connection.prepare(statement)).explain(*arguments)
    scans = [node for node in nodes(plan["Plan"]) if node.get("Relation Name") == "run" and "Scan" in node["Node Type"]]

    assert scans
    for scan in scans:  # in the order in which runs come due, or by their ids
        assert scan["Node Type"] in ("Index Scan", "Index Only Scan")
        assert scan["Index Name"] in ("run_queued", "run_due", "run_pkey"), scan
    assert not [scan for scan in scans if scan["Index Name"] == "run_pkey" and "Index Cond" not in scan], "all of it"


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


@pytest.mark.parametrize("slots", [1, 2, 9, 10])
async def test_a_worker_goes_on_claiming_as_places_come_free(pool: Pool, services: dict[str, str], slots: int) -> None:
    """Nothing but an end makes it claim: no wake comes, and leases are renewed in twenty minutes."""
    resting = await workflow(pool, ONE, drawn=definition([node("rest", "core.delay", {"duration": 0.1})]))
    runs = await queue(pool, ONE, resting, 3 * slots + 1)
    async with open_redis(services["REDIS_URL"]) as redis, httpx.AsyncClient() as http:
        waker = Waker(open_queue(redis))
        registry = load_registry()
        executor = Executor(
            registry, http, Children(pool, waker), SecretReader(pool, load_keyring(None)), max_output_bytes=1 << 20,
            max_context_bytes=1 << 20, timeout_seconds=60,
        )  # fmt: skip
        runner = Runner(
            pool, redis, waker, Plans(pool, registry), executor, slots=slots, lease_seconds=3600,
            longest_run_seconds=3600, max_context_bytes=1 << 20,
        )  # fmt: skip
        running = asyncio.create_task(runner.run())
        most = 0
        try:
            await runner.drive_due()
            async with asyncio.timeout(20):
                while await pool.fetchval("SELECT count(*) FROM run WHERE completed_at IS NULL"):
                    most = max(most, len(runner.held()))
                    await asyncio.sleep(0.01)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    assert await pool.fetchval("SELECT count(*) FROM run WHERE status = 'completed'") == len(runs)
    assert most == slots, "the places beyond are for others"


async def test_a_definition_is_compiled_while_the_other_runs_go_on(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take long: the loop that renews the leases must not wait for it."""
    workflow_id = await workflow(pool, ONE, drawn=definition([node("a", "core.log", {"message": "{{ 1 }}"})]))
    threads: list[int] = []
    monkeypatch.setattr(plans, "check", lambda *given: threads.append(get_ident()) or check(*given))

    plan = await Plans(pool, load_registry()).get(workflow_id)

    assert list(plan.steps) == ["a"]
    assert threads
    assert get_ident() not in threads
