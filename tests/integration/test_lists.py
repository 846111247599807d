"""Every filter, page and cursor of the lists against a plain look at all rows; and what PostgreSQL does for them."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from plans import explain, recorded
from stepwire.db.migrate import migrate
from stepwire.db.pool import open_pool
from stepwire.db.runs import RunRepository
from stepwire.db.session import Database, open_database
from stepwire.db.tallies import take_in
from stepwire.db.workflows import WorkflowRepository

ME, OTHER = UUID(int=1), UUID(int=2)
START = datetime(2026, 1, 1, tzinfo=UTC)
WORKFLOWS = [UUID(int=100 + number) for number in range(3)]
STATUSES = ["completed", "failed", "running"]
ROWS = 4000
INSERT = """
INSERT INTO run (id, owner_id, workflow_id, workflow_version, status, trigger_type, seq, created_at)
VALUES ($1, $2, $3, 1, $4, $5, 1, $6)
"""


@pytest.fixture(scope="module")
async def rows() -> list[dict[str, Any]]:
    """Runs of two owners; many were created at the same instant."""
    random = Random(7)
    return [
        {
            "id": UUID(int=random.getrandbits(128)),
            "owner_id": random.choice([ME, ME, OTHER]),
            "workflow_id": random.choice(WORKFLOWS),
            "status": random.choices(STATUSES, [90, 2, 8])[0],
            "trigger_type": random.choice(["manual", "webhook"]),
            "created_at": START + timedelta(seconds=random.randrange(ROWS // 4)),
        }
        for _ in range(ROWS)
    ]


@pytest.fixture(scope="module")
async def database(services: dict[str, str], rows: list[dict[str, Any]]) -> AsyncIterator[Database]:
    name = f"lists_{uuid7().hex}"
    async with open_pool(services["DATABASE_URL"], size=1) as maintenance:
        await maintenance.execute(f"CREATE DATABASE {name}")
    own = services["DATABASE_URL"].replace("/stepwire?", f"/{name}?")
    await asyncio.to_thread(migrate, own)
    async with open_database(own) as opened:
        await opened.pool.executemany(
            INSERT,
            [tuple(row.values()) for row in rows],
        )
        await opened.pool.execute("VACUUM (ANALYZE) run")
        yield opened


NOTHING: dict[str, Any] = {"workflow_id": None, "statuses": [], "trigger_type": None, "since": None, "until": None}
FILTERS = [
    dict(zip(NOTHING, values, strict=True))
    for values in itertools.product(
        [None, WORKFLOWS[0]],
        [[], ["failed"], ["failed", "running"], ["running", "failed", "failed"]],
        [None, "webhook"],
        [None, START + timedelta(seconds=100)],
        [None, START + timedelta(seconds=700)],
    )
]


def wanted(rows: list[dict[str, Any]], given: dict[str, Any]) -> list[UUID]:
    """The ids that a list has, by looking at every row."""
    found = [
        row
        for row in rows
        if row["owner_id"] == ME
        and (given["workflow_id"] is None or row["workflow_id"] == given["workflow_id"])
        and (not given["statuses"] or row["status"] in given["statuses"])
        and (given["trigger_type"] is None or row["trigger_type"] == given["trigger_type"])
        and (given["since"] is None or row["created_at"] >= given["since"])
        and (given["until"] is None or row["created_at"] < given["until"])
    ]
    return [row["id"] for row in sorted(found, key=lambda row: (row["created_at"], row["id"]), reverse=True)]


@pytest.mark.parametrize("given", FILTERS)
async def test_parts_make_up_the_list_by_page_and_by_cursor(
    database: Database, rows: list[dict[str, Any]], given: dict[str, Any]
) -> None:
    expected = wanted(rows, given)
    size = max(len(expected) // 5, 7)
    paged, walked = [], []
    async with database.session() as session:
        repository = RunRepository(session=session)
        for offset in range(0, len(expected) + size, size):
            part, total = await repository.part_of_owner(ME, **given, offset=offset, limit=size, after=None)
            paged += [run.id for run in part]
            assert total == len(expected)
        after = None
        while True:
            part, total = await repository.part_of_owner(ME, **given, offset=None, limit=size, after=after)
            assert total is None
            walked += [run.id for run in part[:size]]
            if len(part) <= size:
                break
            after = (part[size - 1].created_at, part[size - 1].id)

    assert paged == expected
    assert walked == expected


@pytest.mark.parametrize("few", [1, 100])
@pytest.mark.parametrize("until", [None, 0, 5, 995, 5000])
@pytest.mark.parametrize("since", [None, 0, 5, 995, 5000])
async def test_a_total_within_a_time_is_right_however_it_is_found(
    database: Database,
    rows: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    since: int | None,
    until: int | None,
    few: int,
) -> None:
    monkeypatch.setattr("stepwire.db.counts.FEW", few)
    given = NOTHING | {
        "since": None if since is None else START + timedelta(seconds=since),
        "until": None if until is None else START + timedelta(seconds=until),
    }
    async with database.session() as session:
        _, total = await RunRepository(session=session).part_of_owner(ME, **given, offset=0, limit=1, after=None)

    assert total == len(wanted(rows, given))


async def test_a_cursor_meets_every_run_once_while_others_are_accepted(
    database: Database, rows: list[dict[str, Any]]
) -> None:
    """New runs are newer than the cursor: those that were there at the start are all met, in order, none twice."""
    given = NOTHING | {"trigger_type": "webhook"}
    expected, walked, after = wanted(rows, given), [], None
    while True:
        async with database.session() as session:
            repository = RunRepository(session=session)
            part, _ = await repository.part_of_owner(ME, **given, offset=None, limit=50, after=after)
        walked += [run.id for run in part[:50]]
        if len(part) <= 50:
            break
        after = (part[49].created_at, part[49].id)
        newer = [uuid7(), ME, WORKFLOWS[0], "completed", "webhook", START + timedelta(days=1)]
        await database.pool.execute(INSERT, *newer)
    await database.pool.execute("DELETE FROM run WHERE created_at = $1", START + timedelta(days=1))

    assert walked == expected


async def test_totals_follow_every_change_of_the_runs(database: Database) -> None:
    owner, now = uuid7(), datetime.now(UTC)
    ids = [uuid7() for _ in range(4)]

    async def totals() -> list[int | None]:
        async with database.session() as session:
            repository = RunRepository(session=session)
            found = [
                await repository.part_of_owner(owner, **(NOTHING | given), offset=0, limit=10, after=None)
                for given in ({}, {"statuses": ["failed"]}, {"workflow_id": WORKFLOWS[1]}, {"trigger_type": "manual"})
            ]
        return [total for _, total in found]

    await database.pool.executemany(INSERT, [(each, owner, WORKFLOWS[1], "queued", "manual", now) for each in ids])
    accepted = await totals()
    await database.pool.execute("UPDATE run SET status = 'failed' WHERE id = ANY($1)", ids[:3])
    failed = await totals()
    await asyncio.gather(*(take_in(database.pool) for _ in range(5)))
    taken_in = await totals()
    await database.pool.execute("UPDATE run SET status = 'running' WHERE id = $1", ids[0])
    await database.pool.execute("UPDATE run SET fence = fence + 1 WHERE id = $1", ids[0])
    await database.pool.execute("DELETE FROM run WHERE id = $1", ids[1])
    changed = await totals()
    await take_in(database.pool)
    taken_in_again = await totals()
    left = await database.pool.fetchval("SELECT count(*) FROM run_tally_change")
    await database.pool.execute("DELETE FROM run WHERE owner_id = $1", owner)

    assert accepted == [4, 0, 4, 4]
    assert failed == taken_in == [4, 3, 4, 4]
    assert changed == taken_in_again == [3, 1, 3, 3]
    assert left == 0


async def test_totals_are_right_at_every_instant_of_many_changing_at_once(database: Database) -> None:
    """Nobody waits for a counter, and none is lost between those who add and those who take in."""
    owner = uuid7()

    async def add(number: int) -> None:
        for _ in range(20):
            values = [(uuid7(), owner, WORKFLOWS[number % 3], "queued", "manual", START) for _ in range(5)]
            await database.pool.executemany(INSERT, values)
            await take_in(database.pool)

    async def look() -> list[int]:
        async with database.session() as session:
            repository = RunRepository(session=session)
            given = NOTHING | {"statuses": ["queued"]}
            return [
                (await repository.part_of_owner(owner, **given, offset=0, limit=1, after=None))[1] or 0
                for _ in range(20)
            ]

    seen, *_ = await asyncio.gather(look(), *map(add, range(5)))
    after = await look()
    await database.pool.execute("DELETE FROM run WHERE owner_id = $1", owner)

    assert seen == sorted(seen)
    assert set(after) == {500}


@pytest.mark.parametrize(
    ("given", "index"),
    [
        ({}, "run_of_owner"),
        ({"since": START + timedelta(seconds=300)}, "run_of_owner"),
        ({"until": START + timedelta(seconds=300)}, "run_of_owner"),
        ({"workflow_id": WORKFLOWS[0]}, "run_of_workflow"),
        ({"workflow_id": WORKFLOWS[0], "statuses": ["failed"]}, "run_of_workflow"),
        ({"workflow_id": WORKFLOWS[0], "trigger_type": "webhook"}, "run_of_workflow"),
        ({"workflow_id": WORKFLOWS[0], "trigger_type": "webhook", "statuses": ["failed"]}, "run_of_workflow"),
        ({"statuses": ["failed"]}, "run_of_status"),
        ({"statuses": ["failed", "running"]}, "run_of_status"),
        ({"trigger_type": "webhook"}, "run_of_status"),
        ({"trigger_type": "webhook", "statuses": ["failed"], "since": START}, "run_of_status"),
    ],
)
@pytest.mark.parametrize("after", [None, (START + timedelta(seconds=500), UUID(int=0))])
async def test_the_keys_of_a_part_are_read_off_one_index_in_its_order(
    database: Database, given: dict[str, Any], index: str, after: tuple[datetime, UUID] | None
) -> None:
    async with database.session() as session:
        with recorded(database) as statements:
            await RunRepository(session=session).part_of_owner(
                ME, **(NOTHING | given), offset=None, limit=10, after=after
            )
    plan = await explain(database, statements[-1])
    conditions = next(line for line in plan.splitlines() if "Index Cond" in line and "owner_id" in line)

    assert f"Index Only Scan using {index} on run" in plan
    assert "Seq Scan" not in plan
    assert "Filter" not in plan
    for column in {"run_of_owner": [], "run_of_status": ["status", "trigger_type"]}.get(
        index, ["workflow_id", "status"]
    ):
        assert f"({column} = " in conditions
    if after is not None:
        assert "ROW(created_at, id) <" in conditions


async def test_a_total_without_a_time_reads_no_run(database: Database) -> None:
    async with database.session() as session:
        with recorded(database) as statements:
            await RunRepository(session=session).part_of_owner(
                ME, **(NOTHING | {"statuses": ["failed"]}), offset=100_000, limit=10, after=None
            )

    assert len(statements) == 1
    assert "run_tally" in (plan := await explain(database, statements[0]))
    assert " on run\n" not in f"{plan}\n"


@pytest.mark.parametrize(("offset", "most"), [(0, 10), (1000, 1010), (-10, 10), (-200, 200)])
async def test_a_page_is_read_from_the_nearer_end(
    database: Database, rows: list[dict[str, Any]], offset: int, most: int
) -> None:
    """``offset`` counts from the end where it is negative; ``most`` are the entries of the index that may be read."""
    expected = wanted(rows, NOTHING)
    place = offset if offset >= 0 else len(expected) + offset
    async with database.session() as session:
        with recorded(database) as statements:
            part, _ = await RunRepository(session=session).part_of_owner(
                ME, **NOTHING, offset=place, limit=10, after=None
            )
    plan = await explain(database, statements[-1], "ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF")
    scan = next(line for line in plan.splitlines() if "Index Only Scan" in line)

    assert [run.id for run in part] == expected[place : place + 10]
    assert float(scan.split("rows=")[1].split()[0]) <= most


WORKFLOW = """
INSERT INTO workflow (id, owner_id, line_id, version, name, status, definition, operation, created_at)
VALUES ($1, $2, $1, 1, $3, $4, '{}', 'create', $5)
"""
NAMES = ["Order intake", "ORDER 50%", "Ärger_melden", "Straße", "a\\b"]


@pytest.mark.parametrize("name", [None, "order", "50%", "%", "_", "ärger", "STRAßE", "\\", "nothing"])
@pytest.mark.parametrize("status", [None, "draft"])
async def test_workflows_by_status_and_name_are_found_in_any_case(
    database: Database, name: str | None, status: str | None
) -> None:
    owner, random = uuid7(), Random(7)
    made = [
        (
            uuid7(),
            owner,
            random.choice(NAMES),
            random.choice(["draft", "published"]),
            START + timedelta(days=number // 9),
        )
        for number in range(200)
    ]
    await database.pool.executemany(WORKFLOW, made)
    await database.pool.execute("VACUUM (ANALYZE) workflow")
    found = [
        each
        for each in sorted(made, key=lambda each: (each[4], each[0]), reverse=True)
        if (name is None or name.lower() in each[2].lower()) and (status is None or each[3] == status)
    ]
    given = {"status": status, "name": name, "with_definition": False}
    async with database.session() as session:
        repository = WorkflowRepository(session=session)
        part, total = await repository.part_of_owner(owner, **given, offset=0, limit=200, after=None)
        after, walked = None, []
        while True:
            rest, _ = await repository.part_of_owner(owner, **given, offset=None, limit=7, after=after)
            walked += [each.id for each in rest[:7]]
            if len(rest) <= 7:
                break
            after = (rest[6].created_at, rest[6].id)

    assert [each.id for each in part] == walked == [each[0] for each in found]
    assert total == len(found)


async def test_workflows_are_found_and_counted_by_an_index_that_their_filters_are_in(database: Database) -> None:
    made = [(uuid7(), UUID(int=9 + number % 50), "A name", "draft", START) for number in range(3000)]
    await database.pool.executemany(WORKFLOW, made)
    await database.pool.execute("VACUUM (ANALYZE) workflow")
    async with database.session() as session:
        with recorded(database) as statements:
            await WorkflowRepository(session=session).part_of_owner(
                UUID(int=9), status="draft", name="name", with_definition=False, offset=0, limit=10, after=None
            )

    for statement in statements:
        assert "Index Only Scan using workflow_of_owner on workflow" in (plan := await explain(database, statement))
        assert "Seq Scan" not in plan
