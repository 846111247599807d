"""What a run is made of, stored: accepted, loaded, and appended to. The hot statements, without an ORM."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from rpds import HashTrieMap

from stepwire.db.entries import EVENT_ROWS, RUN_ROWS, STEP_ROWS, Entry, from_json, rows_of
from stepwire.db.pool import Connection, Pool
from stepwire.engine.fold import counted
from stepwire.engine.model import MapPlan, RunState, RunStatus, StepError, StepState
from stepwire.points import reach

# In the order of the keys: two processes that are sent the same keys in different orders would wait for each other.
_ACCEPT = """
WITH new AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::json[], $7::json[], $8::text[],
                         $9::bytea[], $10::json[])
        AS new(id, owner_id, workflow_id, workflow_version, trigger_type, trigger, input, idempotency_key,
               request_hash, queued)
), accepted AS (
    INSERT INTO run (id, owner_id, workflow_id, workflow_version, status, trigger_type, trigger, input,
                     idempotency_key, request_hash, seq, wake_at, is_held, priority, root_run_id)
    SELECT new.id, new.owner_id, new.workflow_id, new.workflow_version, 'queued', new.trigger_type, new.trigger,
           new.input, new.idempotency_key, new.request_hash, 1,
           CASE WHEN workflow.concurrency_limit IS NULL THEN now() END,
           CASE WHEN workflow.concurrency_limit IS NOT NULL THEN true END, workflow.priority, new.id
    FROM new JOIN workflow ON workflow.id = new.workflow_id AND workflow.status = 'published'
    ORDER BY new.workflow_id, new.trigger_type, new.idempotency_key
    ON CONFLICT DO NOTHING
    RETURNING id, created_at
), journalled AS (
    INSERT INTO run_event (run_id, seq, event, data, at)
    SELECT new.id, 1, 'run.queued', new.queued, accepted.created_at FROM accepted JOIN new ON new.id = accepted.id
)
SELECT id, created_at FROM accepted
"""

_ACCEPTED = "SELECT id, created_at FROM run WHERE id = ANY($1::uuid[])"

_LOAD = """
SELECT step_id, status, attempt, position, handles, input, output, error, waits_for, due_at, started_at, completed_at,
       earlier_attempts, map
FROM step_run WHERE run_id = $1
"""
_LOAD_CUT_OFF = f"{_LOAD} AND (status IN ('failed', 'cancelled') OR map IS NOT NULL)"
MANY_STEPS = 1000  # what takes so long to read that others have to go on meanwhile

# The run row is changed only where fence and seq are those that the driver knows: a driver that was overtaken, or a
# repeat of a write whose answer was lost, changes nothing, and the joins keep its steps and events out as well. What is
# to be cancelled ends in no other way. For the ids of $4, see `claims.py`.
APPEND = f"""
WITH written AS (
    UPDATE run SET
        seq = u.seq, status = u.status, output = u.output::json, error = u.error::json, started_at = u.started_at,
        completed_at = u.completed_at,
        wake_at = CASE WHEN NOT u.is_released THEN run.wake_at
                       WHEN run.nudges <> u.nudges AND u.completed_at IS NULL THEN now()
                       ELSE u.wake_at END,
        lease_until = CASE WHEN u.is_released THEN NULL ELSE run.lease_until END,
        leased_by = CASE WHEN u.is_released THEN NULL ELSE run.leased_by END
    FROM (
        SELECT * FROM {RUN_ROWS.format(parameter="$1")}
        ORDER BY id
    ) AS u
    WHERE run.id = ANY($4::uuid[]) AND run.id = u.id AND run.fence = u.fence AND run.seq = u.known_seq
        AND run.status IN ('queued', 'running', 'paused') AND (NOT u.is_quiet OR run.nudges = u.nudges)
        AND (run.cancel_requested_at IS NULL OR u.status NOT IN ('completed', 'failed'))
    RETURNING run.id, run.nudges, run.owner_id, run.workflow_id, run.seq AS last, 'run.' || run.status AS end_event,
              run.completed_at IS NOT NULL AS has_ended
), told AS (
    INSERT INTO delivery (owner_id, workflow_id, run_id, seq, event, next_at)
    SELECT written.owner_id, written.workflow_id, written.id, last, end_event, now()
    FROM written JOIN hook ON hook.workflow_id = written.workflow_id AND end_event = ANY(hook.events) WHERE has_ended
), steps AS (
    INSERT INTO step_run (run_id, step_id, step_type, container, status, attempt, position, handles, input, output, error,
                          waits_for, due_at, started_at, completed_at, earlier_attempts, map)
    SELECT run_id, step_id, step_type, container, status, attempt, position, handles::json, input::json, output::json,
           error::json, waits_for, due_at, started_at, completed_at, earlier_attempts, map::json
    FROM {STEP_ROWS.format(parameter="$2")} JOIN written ON written.id = u.run_id
    ON CONFLICT (run_id, step_id) DO UPDATE SET
        status = excluded.status, attempt = excluded.attempt, position = excluded.position, handles = excluded.handles,
        input = excluded.input, output = excluded.output, error = excluded.error, waits_for = excluded.waits_for,
        due_at = excluded.due_at, started_at = excluded.started_at, completed_at = excluded.completed_at,
        earlier_attempts = excluded.earlier_attempts, map = excluded.map
), events AS (
    INSERT INTO run_event (run_id, seq, event, step_id, data, at)
    SELECT run_id, seq, event, step_id, data::json, at
    FROM {EVENT_ROWS.format(parameter="$3")} JOIN written ON written.id = u.run_id
)
SELECT id, nudges FROM written
"""  # noqa: S608 - the columns above

# Of a write that is repeated because its answer was lost: nobody else writes with this fence.
WRITTEN = """
SELECT run.id, run.nudges FROM run
JOIN unnest($1::uuid[], $2::int[], $3::int[]) AS u(id, fence, seq)
    ON run.id = ANY($1::uuid[]) AND run.id = u.id AND run.fence = u.fence AND run.seq = u.seq
"""

_LOCK_RELATIVES = """
SELECT id FROM run
WHERE id = ANY($1::uuid[]) OR (is_awaited AND (parent_run_id, parent_step_id) IN (SELECT * FROM unnest($2::uuid[], $3::text[])))
ORDER BY id FOR NO KEY UPDATE
"""

_END_CHILDREN = """
UPDATE run SET cancel_requested_at = coalesce(cancel_requested_at, now()), nudges = nudges + 1, wake_at = now()
FROM unnest($1::uuid[], $2::text[]) AS step(run_id, step_id)
WHERE run.parent_run_id = step.run_id AND run.parent_step_id = step.step_id AND run.is_awaited
    AND run.status IN ('queued', 'running', 'paused')
RETURNING run.id
"""

# One that is held looks when it is let through: the end of a child run gives it no place. To be cancelled it needs none.
_NUDGE = """
UPDATE run SET nudges = nudges + 1,
    wake_at = CASE WHEN is_held AND cancel_requested_at IS NULL THEN wake_at ELSE now() END
WHERE id = ANY($1::uuid[]) AND status IN ('queued', 'running', 'paused')
RETURNING id
"""


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run to accept; ``trigger``, ``input`` and ``queued`` (event 1's data) are JSON texts.

    ``is_limited``: it is held where its workflow has as many runs under way as it allows.
    """

    id: UUID
    owner_id: UUID
    workflow_id: UUID
    workflow_version: int
    trigger_type: str
    trigger: str | None
    input: str
    queued: str
    idempotency_key: str | None = None
    request_hash: bytes | None = None
    is_limited: bool = False


class Written(msgspec.Struct, frozen=True):
    """What became of entries: run id to nudges, of the runs that were written; and the other runs that this nudged.

    A run that is missing belongs to another driver by now, has ended, or was nudged where that was not wanted.
    """

    nudges: dict[UUID, int]
    nudged: list[UUID]


async def accept(pool: "Pool | Connection", runs: Sequence[NewRun]) -> dict[UUID, datetime]:
    """Store new runs, each with its event 1, where the workflow is published and the idempotency key is new.

    A repeat changes nothing and says the same: those that are missing may have been stored by a transaction whose
    answer was lost.

    Returns:
        The instants of acceptance of those that were stored; the others are not in it.
    """
    columns = zip(*(_new_run_row(run) for run in runs), strict=True)
    reach("accept.before")
    accepted = {record["id"]: record["created_at"] for record in await pool.fetch(_ACCEPT, *columns)}
    reach("accept.after")
    missing = [run.id for run in runs if run.id not in accepted]
    if missing:
        accepted |= {record["id"]: record["created_at"] for record in await pool.fetch(_ACCEPTED, missing)}
    return accepted


async def load(
    connection: "Pool | Connection", run_id: UUID, status: RunStatus, started_at: datetime | None
) -> RunState:
    """The state of a run, from its step rows."""
    return await _state(await connection.fetch(_LOAD, run_id), status, started_at)


async def load_cut_off(connection: "Pool | Connection", run_id: UUID, started_at: datetime | None) -> RunState:
    """Of a run that has failed, its containers and the steps that failed or were cut off, which is all that has to be known
    to take it up again: of what is done there may be any number.
    """
    return await _state(await connection.fetch(_LOAD_CUT_OFF, run_id), "failed", started_at)


async def _state(records: Sequence[Any], status: RunStatus, started_at: datetime | None) -> RunState:
    def read() -> RunState:
        steps = {record["step_id"]: _step_state(record) for record in records}
        return counted(RunState(status=status, steps=HashTrieMap(steps), started_at=started_at))

    return read() if len(records) < MANY_STEPS else await asyncio.to_thread(read)


async def definition(pool: Pool, workflow_id: UUID) -> dict[str, Any] | None:
    """A workflow's definition as drawn, for whoever drives its runs."""
    text = await pool.fetchval("SELECT definition FROM workflow WHERE id = $1", workflow_id)
    return None if text is None else msgspec.json.decode(text, type=dict[str, Any])


async def append(pool: Pool, entries: Sequence[Entry]) -> Written:
    """Write entries, at most one per run, in one transaction, and nudge the runs that wait for their end.

    A repeat changes nothing and says the same, even after the runs' lease was given back, as long as nobody has claimed
    them since.
    """
    arguments = [*rows_of(entries), [entry.run_id for entry in entries]]
    reach("journal.before")
    written = await _append(pool, entries, arguments)
    reach("journal.after")
    return written


async def _append(pool: Pool, entries: Sequence[Entry], arguments: list[Any]) -> Written:
    if not any(entry.parent_run_id or entry.cut_steps for entry in entries):
        records = await pool.fetch(APPEND, *arguments)
        return Written(await _with_earlier(pool, entries, records), [])
    async with pool.acquire() as connection, connection.transaction():
        await _lock_relatives(connection, entries)
        records = await connection.fetch(APPEND, *arguments)
        nudges = await _with_earlier(connection, entries, records)
        nudged = await _tell_relatives(connection, [entry for entry in entries if entry.run_id in nudges])
        return Written(nudges, nudged)


async def _with_earlier(
    connection: "Pool | Connection", entries: Sequence[Entry], records: Sequence[Any]
) -> dict[UUID, int]:
    """Run id to nudges, of what was written now, or by the same write before."""
    nudges = {record["id"]: record["nudges"] for record in records}
    missing = [
        (entry.run_id, entry.fence, entry.known_seq + len(entry.events))
        for entry in entries
        if entry.run_id not in nudges and entry.events
    ]
    if missing:
        earlier = await connection.fetch(WRITTEN, *_columns(missing, 3))
        nudges |= {record["id"]: record["nudges"] for record in earlier}
    return nudges


async def _lock_relatives(connection: Connection, entries: Sequence[Entry]) -> None:
    """Lock the runs of entries together with their parents and children: two families may be about to write to each other."""
    ids = {entry.run_id for entry in entries} | {entry.parent_run_id for entry in entries if entry.parent_run_id}
    cut = [(entry.run_id, step_id) for entry in entries for step_id in entry.cut_steps]
    await connection.execute(_LOCK_RELATIVES, list(ids), *_columns(cut, 2))


async def _tell_relatives(connection: Connection, entries: Sequence[Entry]) -> list[UUID]:
    """Cancel the child runs of steps that were cut off, and nudge the parents of runs that have ended."""
    cut = [(entry.run_id, step_id) for entry in entries for step_id in entry.cut_steps]
    children = await connection.fetch(_END_CHILDREN, *_columns(cut, 2)) if cut else []
    parents = [entry.parent_run_id for entry in entries if entry.parent_run_id is not None]
    nudged = await connection.fetch(_NUDGE, parents) if parents else []
    return [record["id"] for record in (*children, *nudged)]


def _columns(rows: list[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _new_run_row(run: NewRun) -> tuple[Any, ...]:
    return (
        run.id, run.owner_id, run.workflow_id, run.workflow_version, run.trigger_type, run.trigger, run.input,
        run.idempotency_key, run.request_hash, run.queued,
    )  # fmt: skip


def _step_state(record: Any) -> StepState:
    error, plan = from_json(record["error"]), from_json(record["map"])
    return StepState(
        status=record["status"],
        attempt=record["attempt"],
        position=record["position"],
        handles=tuple(from_json(record["handles"]) or ()),
        input=from_json(record["input"]),
        output=from_json(record["output"]),
        error=None if error is None else msgspec.convert(error, StepError),
        waits_for=record["waits_for"],
        due_at=record["due_at"],
        started_at=record["started_at"],
        completed_at=record["completed_at"],
        earlier_attempts=record["earlier_attempts"],
        map=None if plan is None else msgspec.convert(plan, MapPlan),
    )
