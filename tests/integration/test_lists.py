"""Every filter, page and cursor of the lists against a plain look at all rows; and what PostgreSQL does for them."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from stepwire.db.migrate import migrate
from stepwire.db.pool import open_pool
from stepwire.db.runs import RunRepository
from stepwire.db.session import Database, open_database

ME, OTHER = UUID(int=1), UUID(int=2)
START = datetime(2026, 1, 1, tzinfo=UTC)
WORKFLOWS = [UUID(int=100 + number) for number in range(3)]
STATUSES = ["completed", "failed", "running"]
ROWS = 4000


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
            "INSERT INTO run (id, owner_id, workflow_id, workflow_version, status, trigger_type, seq, created_at)"
            " VALUES ($1, $2, $3, 1, $4, $5, 1, $6)",
            [tuple(row.values()) for row in rows],
        )
        await opened.pool.execute("VACUUM (ANALYZE) run")
        yield opened


FILTERS = [
    dict(zip(("workflow_id", "statuses", "trigger_type", "since", "until"), values, strict=True))
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


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("", "run_of_owner"),
        ("AND created_at >= '2026-01-01T00:05:00Z'", "run_of_owner"),
        ("AND (created_at, id) < ('2026-01-01T00:05:00Z', '00000000-0000-0000-0000-000000000000')", "run_of_owner"),
        (f"AND workflow_id = '{WORKFLOWS[0]}'", "run_of_workflow"),
        ("AND status = 'failed'", "run_of_status"),
        ("AND trigger_type = 'webhook'", "run_of_trigger_type"),
    ],
)
async def test_a_part_and_a_total_are_read_off_one_index_in_its_order(
    database: Database, condition: str, index: str
) -> None:
    part = (
        f"SELECT created_at, id FROM run WHERE owner_id = '{ME}' {condition} ORDER BY created_at DESC, id DESC LIMIT 11"
    )
    async with database.engine.connect() as connection:
        plan = "\n".join(row[0] for row in await connection.execute(text(f"EXPLAIN {part}")))

    assert f"Index Only Scan using {index}" in plan
    assert "Sort" not in plan
