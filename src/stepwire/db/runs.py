"""Runs, their steps and events, as clients read them. The hot statements that write them are in `journal.py`."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import defer

from stepwire.db.counts import Kind, count_runs
from stepwire.db.models import Run, RunEvent, StepRun
from stepwire.db.paging import select_part
from stepwire.db.pool import Pool, for_a_client
from stepwire.db.repository import Repository
from stepwire.engine.model import FINISHED, RunStatus, StepStatus

_SNAPSHOT = """
SELECT run.workflow_id, run.status, run.seq,
       (SELECT json_object_agg(step_id, status) FROM step_run WHERE run_id = run.id AND container IS NULL)
           AS step_statuses,
       (SELECT json_object_agg(step_id, json_build_array(map->'items', map->'steps', container)) FROM step_run
           WHERE run_id = run.id AND map IS NOT NULL) AS containers,
       (SELECT json_agg(item) FROM (
           SELECT json_build_array(container, left(step_id, position(']' in substr(step_id, length(container) + 1))
                      + length(container)), count(*) FILTER (WHERE status IN ('completed', 'failed', 'skipped', 'cancelled')),
                      count(*) FILTER (WHERE status = 'failed' AND json_array_length(handles) = 0),
                      count(*) FILTER (WHERE status = 'cancelled')) AS item
           FROM step_run WHERE run_id = run.id AND container IS NOT NULL
           GROUP BY container, left(step_id, position(']' in substr(step_id, length(container) + 1)) + length(container))
       ) AS items) AS items
FROM run WHERE run.id = $1 AND run.owner_id = $2
"""

# Of a page, as much as fits: first by what is stored, which costs nothing to know, then by what that is uncompressed.
_FRAMES = """
SELECT seq, event, step_id, data, at FROM (
    SELECT *, sum(octet_length(data::text)) OVER (ORDER BY seq) - octet_length(data::text) AS bytes_before FROM (
        SELECT *, sum(pg_column_size(data)) OVER (ORDER BY seq) - pg_column_size(data) AS stored_before FROM (
            SELECT * FROM run_event WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
        ) AS page
    ) AS sized WHERE stored_before < $4
) AS measured WHERE bytes_before < $4 ORDER BY seq
"""

_SEQUENCES = "SELECT id, seq FROM run WHERE id = ANY($1::uuid[])"


_AS_STARTED = (StepRun.position.nulls_last(), StepRun.step_id)


class MapSummary(msgspec.Struct):
    """How many items a container has, all its occurrences together, and what has become of them.

    Those that have not begun, or that were cut off, are ``items`` alone.
    """

    items: int = 0
    completed: int = 0
    failed: int = 0
    running: int = 0


class Snapshot(msgspec.Struct, frozen=True):
    """A run as of event ``seq``; ``step_statuses`` of the steps outside of containers that something happened to.

    ``maps`` sums up what runs in containers, by their ids in the definition.
    """

    workflow_id: UUID
    status: RunStatus
    seq: int
    step_statuses: dict[str, StepStatus]
    maps: dict[str, MapSummary]


class StepPlace(NamedTuple):
    """A step that was reached, whether it has started, and whether it runs in a container."""

    step_id: str
    has_started: bool
    is_inner: bool


class RunRepository(Repository[Run]):
    """Runs of an owner."""

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
        """The steps of these runs that were reached, without what runs in containers, in the order they started; those
        never started come last.
        """
        wanted = StepRun.run_id.in_(run_ids), StepRun.container.is_(None)
        return (await self.session.scalars(select(StepRun).where(*wanted).order_by(*_AS_STARTED))).all()

    async def step_places(self, run_id: UUID) -> list[StepPlace]:
        """Where each step that was reached stands among them, in that order: of ten thousand, this is all that a page needs
        to know of the others.
        """
        columns = select(StepRun.step_id, StepRun.position.is_not(None), StepRun.container.is_not(None))
        rows = await self.session.execute(columns.where(StepRun.run_id == run_id).order_by(*_AS_STARTED))
        return [StepPlace(*row) for row in rows]

    async def some_steps(self, run_id: UUID, step_ids: Sequence[str]) -> Sequence[StepRun]:
        """Those of these steps that were reached, in any order."""
        wanted = StepRun.run_id == run_id, StepRun.step_id.in_(step_ids)
        return (await self.session.scalars(select(StepRun).where(*wanted))).all()

    async def events(self, run_id: UUID, *, after: int, limit: int) -> Sequence[RunEvent]:
        statement = select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.seq > after)
        return (await self.session.scalars(statement.order_by(RunEvent.seq).limit(limit))).all()


async def snapshot(pool: Pool, owner: UUID, run_id: UUID) -> Snapshot | None:
    """A run's status, its steps' and its sequence, all as of one instant: one statement sees one state."""
    record = await pool.fetchrow(_SNAPSHOT, run_id, owner)
    if record is None:
        return None
    statuses = msgspec.json.decode(record["step_statuses"] or "{}", type=dict[str, StepStatus])
    return Snapshot(record["workflow_id"], record["status"], record["seq"], statuses, _maps(record))


def _maps(record: Any) -> dict[str, MapSummary]:
    containers = msgspec.json.decode(record["containers"] or "{}", type=dict[str, tuple[int, int, str | None]])
    own_ids = {path: _own_id(path, around) for path, (_, _, around) in containers.items()}
    found: dict[str, MapSummary] = {}
    for path, (count, _, _) in containers.items():
        found.setdefault(own_ids[path], MapSummary()).items += count
    for container, _, settled, failed, cancelled in msgspec.json.decode(
        record["items"] or "[]", type=list[tuple[str, str, int, int, int]]
    ):
        summary = found[own_ids[container]]
        if settled < containers[container][1]:
            summary.running += 1
        elif failed:
            summary.failed += 1
        elif not cancelled:
            summary.completed += 1
    return found


def _own_id(path: str, around: str | None) -> str:
    """A container's id in the definition, of its path and that of the container ``around`` it."""
    return path if around is None else path[len(around) :].partition("].")[2]


async def status_of(pool: Pool, owner: UUID, run_id: UUID) -> str | None:
    """A run's status; None where it is missing, or another owner's."""
    with for_a_client():
        status: str | None = await pool.fetchval(
            "SELECT status FROM run WHERE id = $1 AND owner_id = $2", run_id, owner
        )
    return status


async def is_resting(pool: Pool, owner: UUID, run_id: UUID, after: int) -> bool:
    """Whether a run is finished, or paused by an event after the one numbered ``after``; missing ones rest, too."""
    with for_a_client():
        record = await pool.fetchrow("SELECT status, seq FROM run WHERE id = $1 AND owner_id = $2", run_id, owner)
    if record is None:
        return True
    return record["status"] in FINISHED or (record["status"] == "paused" and record["seq"] > after)


async def events_after(pool: Pool, run_id: UUID, after: int, *, limit: int, max_bytes: int) -> list[Any]:
    """Rows of the journal with their data as JSON text, for whoever passes it on as it is.

    One at least, where there is one; no more than ``limit``, and none after the one with which they have ``max_bytes``.
    """
    return list(await pool.fetch(_FRAMES, run_id, after, limit, max_bytes))


async def sequences(pool: Pool, run_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The number of each run's last event."""
    return {record["id"]: record["seq"] for record in await pool.fetch(_SEQUENCES, run_ids)}
