"""How many runs there are of a kind, without counting them: a number is what was taken in and what was not, both seen
at one instant. See `tallies.py`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from stepwire.db.models import Run, RunTally, run_tally_change
from stepwire.db.paging import Choices, stretches
from stepwire.definition.plan import TriggerType
from stepwire.engine.model import RunStatus

FEW = 1000  # entries of an index that are counted in a fraction of a millisecond


UNFINISHED = ("queued", "running", "paused")


class QueueDepth(msgspec.Struct, frozen=True):
    """How many runs are queued, running and paused, and when the oldest of the queued was accepted."""

    queued: int
    running: int
    paused: int
    oldest_queued_at: datetime | None


class Kind(msgspec.Struct, frozen=True):
    """Runs of an owner that are alike; None and no statuses are any."""

    owner_id: UUID
    workflow_id: UUID | None = None
    statuses: Sequence[str] = ()
    trigger_type: str | None = None

    def among(self, columns: Any) -> list[ColumnElement[bool]]:
        """The conditions on a table that has these columns."""
        conditions = [columns.owner_id == self.owner_id]
        if self.workflow_id is not None:
            conditions.append(columns.workflow_id == self.workflow_id)
        if self.statuses:
            conditions.append(columns.status.in_(self.statuses))
        if self.trigger_type is not None:
            conditions.append(columns.trigger_type == self.trigger_type)
        return conditions

    def stretches(self) -> tuple[list[ColumnElement[bool]], Choices]:
        """The same as conditions and choices for an index: `run_of_owner`, `run_of_workflow` or `run_of_status`."""
        conditions = Kind(self.owner_id, self.workflow_id).among(Run)
        if self.workflow_id is None and not self.statuses and self.trigger_type is None:
            return conditions, {}
        statuses = sorted(set(self.statuses)) or get_args(RunStatus)
        triggers = get_args(TriggerType) if self.trigger_type is None else [self.trigger_type]
        return conditions, {Run.status: statuses, Run.trigger_type: triggers}


async def count_runs(session: AsyncSession, kind: Kind, *, since: datetime | None, until: datetime | None) -> int:
    """How many runs of a kind were created from ``since`` on and before ``until``.

    Within a time they are counted, or those outside of it where these are few: half of them at most, by and large.
    """
    within = [
        *([Run.created_at >= since] if since is not None else []),
        *([Run.created_at < until] if until is not None else []),
    ]
    if not within:
        return await _known(session, kind)
    outside = [
        *([Run.created_at < since] if since is not None else []),
        *([Run.created_at >= until] if until is not None else []),
    ]
    probes = [_counted(kind, conditions, FEW) for conditions in (within, *([each] for each in outside))]
    inside, *left = (await session.execute(select(*probes))).one()
    if inside < FEW:
        return int(inside)
    if max(left) < FEW:
        return await _known(session, kind) - int(sum(left))
    return int(await session.scalar(select(_counted(kind, within))) or 0)


async def queue_depth(session: AsyncSession, owner: UUID, workflow_id: UUID | None) -> QueueDepth:
    """How much an owner has under way, in all or of one workflow."""
    kind = Kind(owner, workflow_id, UNFINISHED)
    numbers = [select(table.status, table.runs).where(*kind.among(table)) for table in (RunTally, run_tally_change.c)]
    both = union_all(*numbers).subquery()
    found = await session.execute(select(both.c.status, func.sum(both.c.runs)).group_by(both.c.status))
    counts = {status: int(runs) for status, runs in found}
    wanted, choices = Kind(owner, workflow_id, ("queued",)).stretches()
    first = stretches(select(Run.created_at).where(*wanted).order_by(Run.created_at, Run.id).limit(1), choices)
    oldest = await session.scalar(select(func.min(first.subquery().c.created_at)))
    queued, running, paused = (counts.get(status, 0) for status in UNFINISHED)
    return QueueDepth(queued, running, paused, oldest)


async def _known(session: AsyncSession, kind: Kind) -> int:
    taken_in = select(RunTally.runs).where(*kind.among(RunTally))
    changes = select(run_tally_change.c.runs).where(*kind.among(run_tally_change.c))
    both = union_all(taken_in, changes).subquery()
    return int(await session.scalar(select(func.sum(both.c.runs))) or 0)


def _counted(kind: Kind, conditions: Sequence[ColumnElement[bool]], most: int | None = None) -> Any:
    """The number of entries of an index, ``most`` at most, for a statement to select."""
    wanted, choices = kind.stretches()
    found = stretches(select(literal(1).label("one")).where(*wanted, *conditions).limit(most), choices).limit(most)
    return select(func.count()).select_from(found.subquery()).scalar_subquery()
