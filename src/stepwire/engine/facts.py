"""What the shell reports to the engine. Reports may come twice, late or in any order; only events are the record."""

from datetime import datetime
from typing import Any

import msgspec

from stepwire.definition.plan import TriggerType
from stepwire.engine.model import RunStatus, StepError, WaitsFor


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime  # UTC


class Begin(Fact, frozen=True, kw_only=True):
    """A worker took up a run that was queued."""

    trigger_type: TriggerType


class TakenUp(Fact, frozen=True, kw_only=True):
    """A worker took up a run that had begun before; steps that a retry made new are decided again."""

    trigger_type: TriggerType


class AttemptStarted(Fact, frozen=True, kw_only=True):
    """The attempt's configuration is evaluated and it is about to begin."""

    step_id: str
    attempt: int
    input: Any = None


class AttemptCompleted(Fact, frozen=True, kw_only=True):
    step_id: str
    attempt: int
    output: Any = None
    handles: tuple[str, ...] = ("default",)


class AttemptFailed(Fact, frozen=True, kw_only=True):
    """``retry_after`` is in seconds, as the other side asked; ``jitter`` (0..1) is drawn by the shell."""

    step_id: str
    attempt: int
    code: str
    message: str
    details: Any = None
    is_retryable: bool = False
    retry_after: float | None = None
    jitter: float = 0.0


class AttemptWaits(Fact, frozen=True, kw_only=True):
    """The attempt has nothing to do until ``until``, or until somebody answers, or a child run ends.

    What waits for a time is complete with ``output`` then.
    """

    step_id: str
    attempt: int
    until: datetime | None
    waits_for: WaitsFor = "time"
    output: Any = None


class ItemsGiven(Fact, frozen=True, kw_only=True):
    """A container's configuration is evaluated: how many items there are, and how they are to be run."""

    step_id: str
    attempt: int
    input: Any
    items: int
    concurrency: int
    collects: bool


class Answered(Fact, frozen=True, kw_only=True):
    """A person answered the step that waited for one."""

    step_id: str
    data: Any


class ChildEnded(Fact, frozen=True, kw_only=True):
    """The run that the step waits for has ended: as its row says while the step waits, so this is never an old report."""

    step_id: str
    run_id: str
    status: RunStatus
    output: Any = None
    error: StepError | None = None
    jitter: float = 0.0


class TimePassed(Fact, frozen=True, kw_only=True):
    """It is ``at`` now: whatever was due by then goes on; ``jitter`` as of a failure."""

    jitter: float = 0.0


class WorkerLost(Fact, frozen=True, kw_only=True):
    """The worker that drove the run is gone, and the attempts that it had begun with it; ``jitter`` as of a failure."""

    jitter: float = 0.0


class CancelRequested(Fact, frozen=True, kw_only=True):
    """Somebody wants the run stopped."""


class Expired(Fact, frozen=True, kw_only=True):
    """The run has taken as long as a run may: ``seconds``."""

    seconds: float


class Abandoned(Fact, frozen=True, kw_only=True):
    """The run cannot go on, through no step's doing: its plan is gone, or what it did cannot be stored."""

    code: str
    message: str


AnyFact = (
    Begin
    | TakenUp
    | AttemptStarted
    | AttemptCompleted
    | AttemptFailed
    | AttemptWaits
    | ItemsGiven
    | Answered
    | ChildEnded
    | TimePassed
    | WorkerLost
    | CancelRequested
    | Expired
    | Abandoned
)
