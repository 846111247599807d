"""The facts a run is made of. Stored for ever: add fields with defaults, never rename or remove."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from stepwire.definition.plan import TriggerType
from stepwire.engine.model import MapPlan, StepError, WaitsFor


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a run; ``at`` is UTC, given by the shell: the engine reads no clock."""

    name: ClassVar[str]
    at: datetime


class StepEvent(Event, frozen=True, kw_only=True):
    """Something that happened to one of its steps."""

    step_id: str


class RunQueued(Event, frozen=True, kw_only=True):
    """The run was accepted. Always event 1, written together with the run."""

    name: ClassVar[str] = "run.queued"
    workflow_id: UUID
    workflow_version: int
    trigger_type: TriggerType
    input: Any = None


class RunStarted(Event, frozen=True, kw_only=True):
    """A worker took the run up for the first time."""

    name: ClassVar[str] = "run.started"


class RunPaused(Event, frozen=True, kw_only=True):
    """Nothing goes on until a person answers."""

    name: ClassVar[str] = "run.paused"


class RunResumed(Event, frozen=True, kw_only=True):
    """A paused run goes on: somebody answered, or a time to answer ran out."""

    name: ClassVar[str] = "run.resumed"


class RunCompleted(Event, frozen=True, kw_only=True):
    """Every step settled and no failure was left unanswered."""

    name: ClassVar[str] = "run.completed"
    output: dict[str, Any]


class RunFailed(Event, frozen=True, kw_only=True):
    """A step failed and nothing in the definition takes care of that."""

    name: ClassVar[str] = "run.failed"
    error: StepError
    failed_step_id: str | None = None


class RunCancelled(Event, frozen=True, kw_only=True):
    """Somebody stopped the run."""

    name: ClassVar[str] = "run.cancelled"


class RunRetried(Event, frozen=True, kw_only=True):
    """The failed run was taken up again: ``step_ids``, those that failed it and those it cancelled, are as new.

    A container that had begun goes on with the items that it has not done.
    """

    name: ClassVar[str] = "run.retried"
    step_ids: tuple[str, ...] = ()


class StepScheduled(StepEvent, frozen=True, kw_only=True):
    """The step was decided: it runs, as attempt ``attempt``."""

    name: ClassVar[str] = "step.scheduled"
    step_type: str
    attempt: int


class StepStarted(StepEvent, frozen=True, kw_only=True):
    """The attempt begins, with its configuration evaluated to ``input``. Effects wait until this is durable.

    ``map`` where the step is a container: its items follow.
    """

    name: ClassVar[str] = "step.started"
    attempt: int
    input: Any = None
    map: MapPlan | None = None


class StepRetrying(StepEvent, frozen=True, kw_only=True):
    """The attempt failed and another one is due at ``next_attempt_at``."""

    name: ClassVar[str] = "step.retrying"
    attempt: int
    error: StepError
    next_attempt_at: datetime


class StepWaiting(StepEvent, frozen=True, kw_only=True):
    """The step rests until ``until``; None: until something from outside moves it.

    Where it waits for a child run, ``output`` names that: ``{"run_id": …}``.
    """

    name: ClassVar[str] = "step.waiting"
    attempt: int
    until: datetime | None = None
    waits_for: WaitsFor = "time"
    output: Any = None


class StepCompleted(StepEvent, frozen=True, kw_only=True):
    """An attempt ended well; ``handles`` are the outgoing handles that it chose to fire."""

    name: ClassVar[str] = "step.completed"
    attempt: int
    output: Any = None
    handles: tuple[str, ...] = ("default",)


class StepFailed(StepEvent, frozen=True, kw_only=True):
    """The last attempt failed; ``handles`` says what takes over: its error edge, its default ones, or nothing."""

    name: ClassVar[str] = "step.failed"
    attempt: int
    error: StepError
    handles: tuple[str, ...] = ()


class StepSkipped(StepEvent, frozen=True, kw_only=True):
    """No live edge leads to the step."""

    name: ClassVar[str] = "step.skipped"


class StepCancelled(StepEvent, frozen=True, kw_only=True):
    """The run ended before the step could settle by itself."""

    name: ClassVar[str] = "step.cancelled"


AnyEvent = (
    RunQueued
    | RunStarted
    | RunPaused
    | RunResumed
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunRetried
    | StepScheduled
    | StepStarted
    | StepRetrying
    | StepWaiting
    | StepCompleted
    | StepFailed
    | StepSkipped
    | StepCancelled
)

EVENT_TYPES: dict[str, type[AnyEvent]] = {event.name: event for event in AnyEvent.__args__}
_PLACED = {"at", "step_id"}  # what has a column of its own
_RARE = {"map"}  # what is left out where it is None


def data_fields(kind: type[AnyEvent]) -> list[tuple[str, Any] | tuple[str, Any, Any]]:
    """The fields of a type's ``data``, as `msgspec.defstruct` takes them: all are there, save those that are rare."""
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    usual = ((name, of) for name, of in fields.items() if name not in _PLACED | _RARE)
    return [*usual, *((name, fields[name], None) for name in sorted(_RARE & fields.keys()))]


def step_id_of(event: AnyEvent) -> str | None:
    return event.step_id if isinstance(event, StepEvent) else None


def data_of(event: AnyEvent) -> dict[str, Any]:
    """What a row or a frame carries in ``data``: all but ``at`` and ``step_id``, which have places of their own."""
    data = msgspec.structs.asdict(event)
    del data["at"]
    data.pop("step_id", None)
    if isinstance(event, StepStarted) and event.map is None:
        del data["map"]
    return data


def revive(name: str, step_id: str | None, data: dict[str, Any], at: datetime) -> AnyEvent:
    """Make an event of a stored row again.

    Raises:
        msgspec.ValidationError, KeyError: the row was not written by any version of Stepwire.
    """
    fields: dict[str, Any] = {**data, "at": at}
    if step_id is not None:
        fields["step_id"] = step_id
    return msgspec.convert(fields, EVENT_TYPES[name])
