"""A run's state: immutable values, folded from its events."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from rpds import HashTrieMap

RunStatus = Literal["queued", "running", "paused", "completed", "failed", "cancelled"]
StepStatus = Literal["pending", "running", "waiting", "completed", "failed", "skipped", "cancelled"]

FINISHED: frozenset[RunStatus] = frozenset({"completed", "failed", "cancelled"})
SETTLED: frozenset[StepStatus] = frozenset({"completed", "failed", "skipped", "cancelled"})


class StepError(msgspec.Struct, frozen=True):
    """Why an attempt failed, as ``steps.<id>.error`` shows it."""

    code: str
    message: str
    attempt: int = 1
    details: Any = None


class StepState(msgspec.Struct, frozen=True):
    """One step of a run. ``due_at`` is when a waiting step goes on by itself; ``position`` counts the starts."""

    status: StepStatus = "pending"
    attempt: int = 0
    input: Any = None
    output: Any = None
    error: StepError | None = None
    handles: tuple[str, ...] = ()
    due_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    position: int | None = None


class RunState(msgspec.Struct, frozen=True):
    """A run as of some event. Steps that nothing happened to yet are not in ``steps``."""

    status: RunStatus = "queued"
    steps: "HashTrieMap[str, StepState]" = HashTrieMap()
    settled: int = 0
    started: int = 0
    output: Any = None
    error: StepError | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    def step(self, step_id: str) -> StepState:
        return self.steps.get(step_id) or PENDING

    def next_due_at(self) -> datetime | None:
        """When the first waiting step goes on by itself; None when only something from outside can move the run."""
        return min((step.due_at for step in self.steps.values() if step.due_at is not None), default=None)


PENDING = StepState()
