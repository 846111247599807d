"""What is ordered about a run from outside: answer, take up again (for the third, see `cancellation.py`). Each order
locks the run's row, so that two of them, or one and a driver, never mix.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from stepwire.db.entries import STEP_ROWS, JournalStep, as_recordset, from_json, step_row, to_json
from stepwire.db.journal import load_cut_off
from stepwire.db.pool import Connection, Pool
from stepwire.engine.events import RunRetried, data_of
from stepwire.engine.fold import apply, renewable
from stepwire.points import reach

_LOCK = """
SELECT workflow_id, status, seq, started_at, now() AS at, is_held IS NOT NULL AS is_limited FROM run
WHERE id = $1 AND owner_id = $2 FOR UPDATE
"""

# The fence rises, so that a driver which has not noticed the run's end writes nothing into its new stretch.
_TAKE_UP = """
WITH run AS (
    UPDATE run SET status = $2, seq = seq + 1, fence = fence + 1, leased_by = NULL, lease_until = NULL,
        wake_at = CASE WHEN is_held IS NULL THEN now() END, is_held = CASE WHEN is_held IS NOT NULL THEN true END,
        cancel_requested_at = NULL, nudges = nudges + 1, output = NULL, error = NULL, completed_at = NULL,
        parent_attempt = coalesce($5, parent_attempt)
    WHERE id = $1 RETURNING id, seq
)
INSERT INTO run_event (run_id, seq, event, data, at) SELECT id, seq, 'run.retried', $3, $4 FROM run
"""

_RENEW_STEPS = f"""
UPDATE step_run SET status = u.status, attempt = u.attempt, position = u.position, handles = u.handles::json,
    input = u.input::json, output = u.output::json, error = u.error::json, waits_for = u.waits_for, due_at = u.due_at,
    started_at = u.started_at, completed_at = u.completed_at, earlier_attempts = u.earlier_attempts, map = u.map::json
FROM {STEP_ROWS.format(parameter="$1")} WHERE step_run.run_id = $2 AND step_run.step_id = u.step_id
"""  # noqa: S608 - the columns of a step's row

_KINDS = "SELECT step_id, step_type, container FROM step_run WHERE run_id = $1 AND step_id = ANY($2::text[])"
_WAITING = "SELECT status, waits_for, attempt, input, due_at FROM step_run WHERE run_id = $1 AND step_id = $2"
_ANSWER = """
INSERT INTO run_answer (run_id, step_id, attempt, data) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING at
"""
_ANSWERED = """
SELECT data FROM run_answer WHERE run_id = $1 AND step_id = $2 ORDER BY attempt DESC LIMIT 1
"""
_NUDGE = "UPDATE run SET nudges = nudges + 1, wake_at = now() WHERE id = $1"

_RETRIED_AT = "SELECT max(at) FROM run_event WHERE run_id = $1 AND event = 'run.retried'"
_OUTSIDE = "SELECT nudges, cancel_requested_at IS NOT NULL AS is_cancel_requested FROM run WHERE id = $1"
_ANSWERS = """
SELECT DISTINCT ON (step_id) step_id, attempt, data FROM run_answer WHERE run_id = $1 AND step_id = ANY($2::text[])
ORDER BY step_id, attempt DESC
"""
_CHILDREN = """
SELECT id, parent_step_id, parent_attempt, status, output, error FROM run
WHERE parent_run_id = $1 AND parent_step_id = ANY($2::text[]) AND is_awaited
    AND status IN ('completed', 'failed', 'cancelled')
"""


class Locked(msgspec.Struct, frozen=True):
    """A run whose row nobody else changes until the transaction ends; ``at`` is the transaction's instant."""

    workflow_id: UUID
    status: str
    seq: int
    started_at: datetime | None
    at: datetime
    is_limited: bool


class WaitingStep(msgspec.Struct, frozen=True):
    """A step that may wait for a person, with the configuration that it was started with."""

    status: str
    waits_for: str | None
    attempt: int
    input: Any
    due_at: datetime | None


class Answer(msgspec.Struct, frozen=True):
    """What a person said to an attempt of a step."""

    step_id: str
    attempt: int
    data: Any


class EndedChild(msgspec.Struct, frozen=True):
    """A child run that is over, and the attempt of the step that it was run for."""

    id: UUID
    step_id: str
    attempt: int | None
    status: Literal["completed", "failed", "cancelled"]
    output: Any
    error: dict[str, Any] | None


class Outside(msgspec.Struct, frozen=True):
    """What has happened outside of a run, as of ``nudges`` at least."""

    nudges: int
    is_cancel_requested: bool
    answers: list[Answer]
    children: list[EndedChild]


async def lock(connection: Connection, owner: UUID, run_id: UUID) -> Locked | None:
    """One of the owner's runs, locked until the transaction ends; None where there is none."""
    record = await connection.fetchrow(_LOCK, run_id, owner)
    return None if record is None else Locked(**record)


async def take_up(connection: Connection, run_id: UUID, run: Locked, parent_attempt: int | None = None) -> None:
    """Take a failed run, that is locked, up again: the steps that failed it, and those cut off by that, are as new."""
    state = await load_cut_off(connection, run_id, run.started_at)
    event = RunRetried(at=run.at, step_ids=tuple(renewable(state)))
    state = apply(state, event)
    await connection.execute(
        _TAKE_UP, run_id, state.status, to_json(data_of(event)), run.at, parent_attempt
    )  # fmt: skip
    kinds = {
        record["step_id"]: (record["step_type"], record["container"])
        for record in await connection.fetch(_KINDS, run_id, list(event.step_ids))
    }
    rows = [
        step_row(run_id, JournalStep(path, kinds[path][0], state.step(path), kinds[path][1])) for path in event.step_ids
    ]
    await connection.execute(_RENEW_STEPS, as_recordset(rows), run_id)
    reach("retry.before")


async def waiting_step(connection: Connection, run_id: UUID, step_id: str) -> WaitingStep | None:
    """A step as it is; None where nothing happened to it yet."""
    record = await connection.fetchrow(_WAITING, run_id, step_id)
    if record is None:
        return None
    return WaitingStep(**{**record, "input": from_json(record["input"])})


async def answer(connection: Connection, run_id: UUID, step_id: str, attempt: int, data: Any) -> bool:
    """Keep an answer for a run that is locked, and nudge it; False where there is one already."""
    if await connection.fetchval(_ANSWER, run_id, step_id, attempt, to_json(data)) is None:
        return False
    await connection.execute(_NUDGE, run_id)
    reach("answer.before")
    return True


async def last_answer(connection: Connection, run_id: UUID, step_id: str) -> Any:
    """The data that was answered last; None where nobody has."""
    return from_json(await connection.fetchval(_ANSWERED, run_id, step_id))


async def retried_at(pool: Pool, run_id: UUID) -> datetime | None:
    """When a run was last taken up again; None where it never was."""
    at: datetime | None = await pool.fetchval(_RETRIED_AT, run_id)
    return at


async def outside(pool: Pool, run_id: UUID, asking: Sequence[str], awaiting: Sequence[str]) -> Outside:
    """What has happened outside of a run: its cancellation, answers to the steps that are ``asking``, ends of the runs
    that those ``awaiting`` wait for.

    ``nudges`` is read first: what comes after it is looked at once more.
    """
    run = await pool.fetchrow(_OUTSIDE, run_id)
    answers = await pool.fetch(_ANSWERS, run_id, asking) if asking else []
    children = await pool.fetch(_CHILDREN, run_id, awaiting) if awaiting else []
    return Outside(
        nudges=run["nudges"] if run is not None else 0,
        is_cancel_requested=run is not None and run["is_cancel_requested"],
        answers=[Answer(each["step_id"], each["attempt"], from_json(each["data"])) for each in answers],
        children=[
            EndedChild(
                each["id"], each["parent_step_id"], each["parent_attempt"], each["status"], from_json(each["output"]),
                from_json(each["error"]),
            )
            for each in children
        ],
    )  # fmt: skip
