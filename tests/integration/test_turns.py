"""Whose run is next: owners take turns, priorities order an owner's own, limited workflows hold what is too much."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from stepwire.db.journal import ClaimedRun, NewRun, accept, claim
from stepwire.db.limits import let_through, with_held_runs
from stepwire.db.migrate import migrate
from stepwire.db.pool import Pool, open_pool

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
    await pool.execute("TRUNCATE run, run_event, workflow")


async def workflow(pool: Pool, owner: UUID, *, priority: int = 0, limit: int | None = None) -> UUID:
    workflow_id = uuid7()
    await pool.execute(
        """
        INSERT INTO workflow (id, owner_id, line_id, version, name, status, definition, operation, priority, concurrency_limit)
        VALUES ($1, $2, $1, 1, 'W', 'published', '{}', 'create', $3, $4)
        """,
        workflow_id, owner, priority, limit,
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


async def test_an_owner_whose_places_are_full_is_passed_over(pool: Pool) -> None:
    await queue(pool, ONE, await workflow(pool, ONE), 10)
    await queue(pool, OTHER, await workflow(pool, OTHER), 2)

    assert {run.owner_id for run in await take(pool, 10, without=[ONE])} == {OTHER}


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
    assert [order.index(run_id) // 8 for run_id in begun[:8]] == [0] * 8, "more or less in order"


async def test_workflows_with_held_runs_are_found(pool: Pool) -> None:
    held = [await workflow(pool, ONE, limit=1) for _ in range(3)]
    for each in held:
        await queue(pool, ONE, each, 5)
    await queue(pool, ONE, await workflow(pool, ONE), 5)

    assert sorted(await with_held_runs(pool)) == sorted(held)
    assert await let_through(pool, held) == 3
    assert await let_through(pool, held) == 0
