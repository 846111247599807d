"""What drivers write at once, and the rows that it makes: one JSON text per table, which PostgreSQL takes apart.

Arrays of columns cost the driver twice as much to encode, and the worker is what is busy.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from stepwire.engine.model import RunState, StepState

RUN_ROWS = """
json_to_recordset({parameter}::json) AS u(
    id uuid, fence int, known_seq int, seq int, status text, output text, error text, started_at timestamptz,
    completed_at timestamptz, wake_at timestamptz, is_released bool, nudges int, is_quiet bool)
"""
STEP_ROWS = """
json_to_recordset({parameter}::json) AS u(
    run_id uuid, step_id text, step_type text, container text, status text, attempt int, position int, handles text,
    input text, output text, error text, waits_for text, due_at timestamptz, started_at timestamptz,
    completed_at timestamptz, earlier_attempts int, map text)
"""
EVENT_ROWS = """
json_to_recordset({parameter}::json) AS u(run_id uuid, seq int, event text, step_id text, data text, at timestamptz)
"""


class JournalEvent(msgspec.Struct, frozen=True):
    """An event as stored; ``data`` is JSON text."""

    seq: int
    event: str
    step_id: str | None
    data: str
    at: datetime


class JournalStep(msgspec.Struct, frozen=True):
    """A step's new state; ``container`` is the path of the container that it runs in."""

    step_id: str
    step_type: str
    state: StepState
    container: str | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one driver writes at once: a run's new events, the steps they changed, and the run itself.

    ``is_released`` gives the lease back, to be driven again at ``wake_at`` or, where that is None, when something
    from outside sets it. ``nudges`` are those that the driver has looked at: with more of them the run is due again at
    once, and with ``is_quiet`` nothing is written at all. ``cut_steps`` are those whose child runs are to be cancelled.
    ``limited_workflow_id`` is that of a run that ends, where it may have held others.
    """

    run_id: UUID
    fence: int
    known_seq: int
    state: RunState
    events: Sequence[JournalEvent]
    steps: Sequence[JournalStep]
    is_released: bool = False
    wake_at: datetime | None = None
    nudges: int = 0
    is_quiet: bool = False
    parent_run_id: UUID | None = None
    cut_steps: Sequence[str] = ()
    limited_workflow_id: UUID | None = None


class StepRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step's row as `STEP_ROWS` takes it; JSON columns as texts."""

    run_id: UUID
    step_id: str
    step_type: str
    status: str
    attempt: int
    earlier_attempts: int
    handles: str | None
    container: str | None = None
    position: int | None = None
    input: str | None = None
    output: str | None = None
    error: str | None = None
    waits_for: str | None = None
    due_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    map: str | None = None


class _RunRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: UUID
    fence: int
    known_seq: int
    seq: int
    status: str
    is_released: bool
    nudges: int
    is_quiet: bool
    output: str | None = None
    error: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    wake_at: datetime | None = None


class _EventRow(msgspec.Struct, frozen=True, omit_defaults=True):
    run_id: UUID
    seq: int
    event: str
    data: str
    at: datetime
    step_id: str | None = None


def rows_of(entries: Sequence[Entry]) -> list[str]:
    """The rows of runs, steps and events, each as one JSON text."""
    runs = [_run_row(entry) for entry in entries]
    steps = [step_row(entry.run_id, step) for entry in entries for step in entry.steps]
    events = [
        _EventRow(entry.run_id, event.seq, event.event, event.data, event.at, event.step_id)
        for entry in entries
        for event in entry.events
    ]
    return [as_recordset(rows) for rows in (runs, steps, events)]


def as_recordset(rows: Sequence[msgspec.Struct]) -> str:
    return msgspec.json.encode(rows).decode()


def to_json(value: Any) -> str | None:
    """JSON text for a column; None is SQL's null."""
    return None if value is None else msgspec.json.encode(value).decode()


def from_json(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def _run_row(entry: Entry) -> _RunRow:
    state = entry.state
    return _RunRow(
        id=entry.run_id, fence=entry.fence, known_seq=entry.known_seq, seq=entry.known_seq + len(entry.events),
        status=state.status, output=to_json(state.output), error=to_json(state.error), started_at=state.started_at,
        completed_at=state.completed_at, wake_at=entry.wake_at, is_released=entry.is_released, nudges=entry.nudges,
        is_quiet=entry.is_quiet,
    )  # fmt: skip


def step_row(run_id: UUID, step: JournalStep) -> StepRow:
    state = step.state
    return StepRow(
        run_id=run_id, step_id=step.step_id, step_type=step.step_type, container=step.container, status=state.status,
        attempt=state.attempt, position=state.position, handles=to_json(state.handles), input=to_json(state.input),
        output=to_json(state.output), error=to_json(state.error), waits_for=state.waits_for, due_at=state.due_at,
        started_at=state.started_at, completed_at=state.completed_at, earlier_attempts=state.earlier_attempts,
        map=to_json(state.map),
    )  # fmt: skip
