"""The hot statements: who may write, who may claim, and what a repeat does."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from stepwire.db import claims, journal
from stepwire.db.cancellation import request_cancel
from stepwire.db.children import NewChild, start_child, take_child_up
from stepwire.db.claims import ClaimedRun
from stepwire.db.entries import Entry, JournalEvent, JournalStep
from stepwire.db.journal import NewRun
from stepwire.db.migrate import migrate
from stepwire.db.pool import Pool, open_pool
from stepwire.engine.model import RunState, RunStatus, StepState

OWNER = UUID(int=77)
LEASE = timedelta(seconds=30)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def pool(services: dict[str, str]) -> AsyncIterator[Pool]:
    """A database of its own, so that no worker takes the runs."""
    name = f"journal_{uuid7().hex}"
    url = services["DATABASE_URL"]
    async with open_pool(url, size=1) as maintenance:
        await maintenance.execute(f"CREATE DATABASE {name}")
    own = url.replace("/stepwire?", f"/{name}?")
    await asyncio.to_thread(migrate, own)
    async with open_pool(own, size=4) as opened:
        yield opened


@pytest.fixture
async def workflow_id(pool: Pool) -> UUID:
    return await add_workflow(pool, "published")


async def add_workflow(pool: Pool, status: str) -> UUID:
    workflow_id = uuid7()
    await pool.execute(
        "INSERT INTO workflow (id, owner_id, line_id, version, name, status, definition, operation)"
        " VALUES ($1, $2, $1, 1, 'x', $3, '{}', 'create')",
        workflow_id, OWNER, status,
    )  # fmt: skip
    return workflow_id


def new_run(workflow_id: UUID, **values: Any) -> NewRun:
    known: dict[str, Any] = {
        "id": uuid7(), "owner_id": OWNER, "workflow_id": workflow_id, "workflow_version": 1, "trigger_type": "manual",
        "trigger": None, "input": '{"n":1}', "queued": "{}",
    }  # fmt: skip
    return NewRun(**known | values)


def entry(run: ClaimedRun, known_seq: int = 1, **values: Any) -> Entry:
    step = StepState(status="completed", attempt=1, output={"x": 1.5}, position=0, handles=("default",))
    known: dict[str, Any] = {
        "run_id": run.id, "fence": run.fence, "known_seq": known_seq, "state": RunState(status="running"),
        "events": [JournalEvent(known_seq + 1, "step.completed", "a", '{"attempt":1}', NOW)],
        "steps": [JournalStep("a", "core.log", step)],
    }  # fmt: skip
    return Entry(**known | values)


async def claim(pool: Pool, worker: str = "w", limit: int = 10, lease: timedelta = LEASE) -> list[ClaimedRun]:
    return await claims.claim(pool, worker=worker, limit=limit, lease=lease)


async def append(pool: Pool, *entries: Entry) -> dict[UUID, int]:
    return (await journal.append(pool, entries)).nudges


async def seqs(pool: Pool, run_id: UUID) -> list[int]:
    return [row["seq"] for row in await pool.fetch("SELECT seq FROM run_event WHERE run_id = $1 ORDER BY seq", run_id)]


async def test_an_accepted_run_has_its_first_event_and_is_due(pool: Pool, workflow_id: UUID) -> None:
    run = new_run(workflow_id)
    accepted = await journal.accept(pool, [run])
    (claimed,) = await claim(pool)

    assert list(accepted) == [run.id]
    assert await seqs(pool, run.id) == [1]
    assert (claimed.id, claimed.input, claimed.seq, claimed.fence) == (run.id, {"n": 1}, 1, 1)


async def test_a_key_is_good_for_one_run_also_within_one_group(pool: Pool, workflow_id: UUID) -> None:
    runs = [new_run(workflow_id, idempotency_key="k") for _ in range(3)]
    other = new_run(workflow_id, idempotency_key="k", trigger_type="webhook")

    assert len(await journal.accept(pool, runs)) == 1
    assert await journal.accept(pool, [new_run(workflow_id, idempotency_key="k")]) == {}
    assert list(await journal.accept(pool, [other])) == [other.id], "other triggers have name spaces of their own"


async def test_accepting_again_because_the_answer_was_lost_changes_nothing_and_says_the_same(
    pool: Pool, workflow_id: UUID
) -> None:
    runs = [new_run(workflow_id), new_run(workflow_id, idempotency_key="k"), new_run(workflow_id)]
    first = await journal.accept(pool, runs[:2])
    again = await journal.accept(pool, runs)

    assert set(first) == {runs[0].id, runs[1].id}
    assert {run_id: again[run_id] for run_id in first} == first
    assert set(again) == {run.id for run in runs}
    assert await pool.fetchval("SELECT count(*) FROM run_event") == 3


async def test_two_processes_that_accept_the_same_keys_do_not_wait_for_each_other_for_ever(
    pool: Pool, workflow_id: UUID
) -> None:
    for attempt in range(20):
        keys = [f"{attempt}-{number}" for number in range(100)]
        one, other = ([new_run(workflow_id, idempotency_key=key) for key in order] for order in (keys, keys[::-1]))
        accepted = await asyncio.gather(journal.accept(pool, one), journal.accept(pool, other))
        assert sum(map(len, accepted)) == len(keys)


@pytest.mark.parametrize("status", ["draft", "archived"])
async def test_a_workflow_that_is_not_published_takes_no_run(pool: Pool, status: str) -> None:
    assert await journal.accept(pool, [new_run(await add_workflow(pool, status))]) == {}


async def test_a_leased_run_is_nobody_elses_until_the_lease_lapses(pool: Pool, workflow_id: UUID) -> None:
    await journal.accept(pool, [new_run(workflow_id)])
    (first,) = await claim(pool)
    assert await claim(pool, "other") == []
    await pool.execute("UPDATE run SET lease_until = now() - interval '1 second'")
    (second,) = await claim(pool, "other")

    assert (second.id, second.fence) == (first.id, first.fence + 1)


async def test_a_driver_that_was_overtaken_changes_nothing(pool: Pool, workflow_id: UUID) -> None:
    await journal.accept(pool, [new_run(workflow_id)])
    (late,) = await claim(pool, lease=timedelta(0))
    (current,) = await claim(pool, "other")

    assert await append(pool, entry(late)) == {}
    assert await claims.renew(pool, [(late.id, late.fence)], LEASE) == {}
    assert await pool.fetchval("SELECT count(*) FROM step_run") == 0
    assert await seqs(pool, late.id) == [1]
    assert await append(pool, entry(current)) == {current.id: 0}
    assert await seqs(pool, late.id) == [1, 2]


@pytest.mark.parametrize("is_released", [False, True])
async def test_writing_again_because_the_answer_was_lost_changes_nothing_and_says_the_same(
    pool: Pool, workflow_id: UUID, is_released: bool
) -> None:
    await journal.accept(pool, [new_run(workflow_id)])
    (run,) = await claim(pool)
    written = entry(run, is_released=is_released)
    first = await append(pool, written)
    again = await append(pool, written)

    assert (first, again) == ({run.id: 0}, {run.id: 0})
    assert await seqs(pool, run.id) == [1, 2]
    assert await append(pool, entry(run, known_seq=2)) == {run.id: 0}
    assert await append(pool, written) == {}, "it has gone on since"


async def test_a_late_write_never_touches_a_run_that_has_ended(pool: Pool, workflow_id: UUID) -> None:
    await journal.accept(pool, [new_run(workflow_id)])
    (run,) = await claim(pool)
    await pool.execute("UPDATE run SET status = 'cancelled'")

    assert await append(pool, entry(run)) == {}
    assert await pool.fetchval("SELECT status FROM run") == "cancelled"


async def test_a_released_run_is_due_when_it_says(pool: Pool, workflow_id: UUID) -> None:
    await journal.accept(pool, [new_run(workflow_id)])
    (run,) = await claim(pool)
    await journal.append(pool, [entry(run, is_released=True, wake_at=datetime.now(UTC) + timedelta(hours=1))])
    assert await claim(pool) == []
    await pool.execute("UPDATE run SET wake_at = now()")
    (again,) = await claim(pool)
    state = await journal.load(pool, again.id, again.status, again.started_at)

    assert (again.seq, again.fence) == (2, 2)
    assert (state.status, state.settled, state.started) == ("running", 1, 1)
    assert state.step("a").output == {"x": 1.5}


async def test_a_nudge_is_seen_at_the_next_write(pool: Pool, workflow_id: UUID) -> None:
    await journal.accept(pool, [new_run(workflow_id)])
    (run,) = await claim(pool)
    await request_cancel(pool, OWNER, run.id, "api", LEASE)

    assert await append(pool, entry(run)) == {run.id: 1}


async def test_a_run_that_was_nudged_before_it_came_to_rest_is_due_again_at_once(pool: Pool, workflow_id: UUID) -> None:
    await journal.accept(pool, [new_run(workflow_id)])
    (run,) = await claim(pool)
    await request_cancel(pool, OWNER, run.id, "api", LEASE)
    await append(pool, entry(run, is_released=True, wake_at=datetime.now(UTC) + timedelta(hours=1)))

    assert [each.nudges for each in await claim(pool)] == [1]


async def test_a_write_that_must_not_pass_a_nudge_by_does_not(pool: Pool, workflow_id: UUID) -> None:
    await journal.accept(pool, [new_run(workflow_id)])
    (run,) = await claim(pool)
    await request_cancel(pool, OWNER, run.id, "api", LEASE)

    assert await append(pool, entry(run, is_quiet=True)) == {}
    assert await append(pool, entry(run, is_quiet=True, nudges=1)) == {run.id: 1}


@pytest.mark.parametrize("status", ["completed", "failed"])
async def test_a_run_that_is_to_be_cancelled_ends_in_no_other_way(
    pool: Pool, workflow_id: UUID, status: RunStatus
) -> None:
    await journal.accept(pool, [new_run(workflow_id)])
    (run,) = await claim(pool)
    await request_cancel(pool, OWNER, run.id, "api", LEASE)

    assert await append(pool, entry(run, state=RunState(status=status, completed_at=NOW), is_released=True)) == {}
    cancelled = entry(run, state=RunState(status="cancelled", completed_at=NOW), is_released=True)
    assert await append(pool, cancelled) == {run.id: 1}


async def test_a_driver_that_was_overtaken_starts_no_child_run_and_takes_none_up(pool: Pool, workflow_id: UUID) -> None:
    await journal.accept(pool, [new_run(workflow_id)])
    (overtaken,) = await claim(pool, lease=timedelta(seconds=-1))
    await append(pool, entry(overtaken))
    (driver,) = await claim(pool)
    child = partial(new_child, workflow_id=workflow_id)

    assert not await start_child(pool, child(overtaken, parent_attempt=1))
    assert await start_child(pool, child(driver, parent_attempt=2))
    await pool.execute("UPDATE run SET status = 'failed', wake_at = NULL, started_at = now() WHERE depth = 1")
    child_id = await pool.fetchval("SELECT id FROM run WHERE depth = 1")
    await take_child_up(pool, overtaken, child_id, 2)
    assert await pool.fetchval("SELECT status FROM run WHERE id = $1", child_id) == "failed"
    await take_child_up(pool, driver, child_id, 3)
    assert await pool.fetchval("SELECT status FROM run WHERE id = $1", child_id) == "running"


def new_child(parent: ClaimedRun, *, workflow_id: UUID, parent_attempt: int) -> NewChild:
    return NewChild(
        id=uuid7(), owner_id=OWNER, workflow_id=workflow_id, workflow_version=1, parent_run_id=parent.id,
        parent_fence=parent.fence, parent_step_id="child", parent_attempt=parent_attempt, is_awaited=True,
        is_limited=False, input="{}", queued="{}",
    )  # fmt: skip


async def test_json_comes_back_as_it_was_written(pool: Pool, workflow_id: UUID) -> None:
    text = '{"z":1.0,"a":-0.0,"big":123456789012345678901234567890,"e":1e22}'
    await journal.accept(pool, [new_run(workflow_id, input=text)])
    stored = await pool.fetchval("SELECT input FROM run")

    assert stored == text
    assert json.loads(stored) == (await claim(pool))[0].input


async def test_a_statement_is_one_round_trip(services: dict[str, str]) -> None:
    """What a run takes is mostly such trips, so nothing is executed that was not asked for."""
    look = "SELECT query FROM pg_stat_activity WHERE pid = $1"
    async with open_pool(services["DATABASE_URL"], size=1) as pool, open_pool(services["DATABASE_URL"]) as other:
        pid = await pool.fetchval("SELECT pg_backend_pid()")

        assert await other.fetchval(look, pid) == "SELECT pg_backend_pid()"
