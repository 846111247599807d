"""Runs, their steps and events, as clients read them. The hot statements that write them are in `journal.py`."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy import select
from sqlalchemy.orm import defer

from stepwire.db.models import Run, RunEvent, StepRun
from stepwire.db.paging import select_part
from stepwire.db.pool import Pool
from stepwire.db.tallies import Kind, count_runs

_SNAPSHOT = """
SELECT run.workflow_id, run.status, run.seq,
       (SELECT json_object_agg(step_id, status) FROM step_run WHERE run_id = run.id) AS step_statuses
FROM run WHERE run.id = $1 AND run.owner_id = $2
"""

_FRAMES = """
SELECT seq, event, step_id, data, at FROM run_event WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""


class Snapshot(msgspec.Struct, frozen=True):
    """A run as of event ``seq``; ``step_statuses`` of the steps that something happened to."""

    workflow_id: UUID
    status: str
    seq: int
    step_statuses: dict[str, str]


class RunRepository(SQLAlchemyAsyncRepository[Run]):
    """Runs of an owner."""

    model_type = Run

    async def of_owner(self, owner: UUID, run_id: UUID) -> Run | None:
        return await self.session.scalar(select(Run).where(Run.id == run_id, Run.owner_id == owner))

    async def by_idempotency_key(self, workflow_id: UUID, trigger_type: str, key: str) -> Run | None:
        """The run that an earlier request with this key started."""
        return await self.session.scalar(
            select(Run).where(
                Run.workflow_id == workflow_id, Run.trigger_type == trigger_type, Run.idempotency_key == key
            )
        )

    async def part_of_owner(
        self,
        owner: UUID,
        *,
        workflow_id: UUID | None,
        statuses: Sequence[str],
        trigger_type: str | None,
        since: datetime | None,
        until: datetime | None,
        **part: Any,
    ) -> tuple[list[Run], int | None]:
        """A part of the owner's runs, created from ``since`` on and before ``until``. ``part`` as in `select_part`."""
        kind = Kind(owner, workflow_id, statuses, trigger_type)
        wanted, choices = kind.stretches()
        if since is not None:
            wanted.append(Run.created_at >= since)
        if until is not None:
            wanted.append(Run.created_at < until)
        return await select_part(
            self.session, Run, wanted, choices=choices, options=[defer(Run.trigger, raiseload=True)],
            count=partial(count_runs, self.session, kind, since=since, until=until), **part,
        )  # fmt: skip

    async def steps(self, run_ids: Sequence[UUID]) -> Sequence[StepRun]:
        """The step runs of these runs that were reached, in the order they started; those never started come last."""
        statement = select(StepRun).where(StepRun.run_id.in_(run_ids))
        return (await self.session.scalars(statement.order_by(StepRun.position.nulls_last(), StepRun.step_id))).all()

    async def events(self, run_id: UUID, *, after: int, limit: int) -> Sequence[RunEvent]:
        statement = select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.seq > after)
        return (await self.session.scalars(statement.order_by(RunEvent.seq).limit(limit))).all()


async def snapshot(pool: Pool, owner: UUID, run_id: UUID) -> Snapshot | None:
    """A run's status, its steps' and its sequence, all as of one instant: one statement sees one state."""
    record = await pool.fetchrow(_SNAPSHOT, run_id, owner)
    if record is None:
        return None
    statuses = msgspec.json.decode(record["step_statuses"] or "{}", type=dict[str, str])
    return Snapshot(record["workflow_id"], record["status"], record["seq"], statuses)


async def status_of(pool: Pool, owner: UUID, run_id: UUID) -> str | None:
    """A run's status; None where it is missing, or another owner's."""
    status: str | None = await pool.fetchval("SELECT status FROM run WHERE id = $1 AND owner_id = $2", run_id, owner)
    return status


async def events_after(pool: Pool, run_id: UUID, after: int, limit: int) -> list[Any]:
    """Rows of the journal with their data as JSON text, for whoever passes it on as it is."""
    return list(await pool.fetch(_FRAMES, run_id, after, limit))
