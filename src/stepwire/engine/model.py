"""A run's state: immutable values, folded from its events."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from rpds import HashTrieMap, HashTrieSet

RunStatus = Literal["queued", "running", "paused", "completed", "failed", "cancelled"]
StepStatus = Literal["pending", "running", "waiting", "completed", "failed", "skipped", "cancelled"]

WaitsFor = Literal["time", "person", "run"]

FINISHED: frozenset[RunStatus] = frozenset({"completed", "failed", "cancelled"})
SETTLED: frozenset[StepStatus] = frozenset({"completed", "failed", "skipped", "cancelled"})


class StepError(msgspec.Struct, frozen=True):
    """Why an attempt failed, as ``steps.<id>.error`` shows it."""

    code: str
    message: str
    attempt: int = 1
    details: Any = None


class MapPlan(msgspec.Struct, frozen=True):
    """What a container was started with: how many ``items``, how many ``steps`` each has, how many run side by side.

    ``collects``: an item that fails is noted and the others go on. ``until``: the instant at which it takes too long;
    where its run is taken up again, it has as much time from then on.
    """

    items: int
    steps: int
    concurrency: int
    collects: bool = False
    until: datetime | None = None


class MapProgress(msgspec.Struct, frozen=True):
    """How far a container is: the first ``begun`` items have begun; of these, ``done`` have ended, ``failed`` badly."""

    begun: int = 0
    done: int = 0
    failed: int = 0


class StepState(msgspec.Struct, frozen=True):
    """One step of a run. ``due_at`` is when a waiting step goes on by itself; ``position`` counts the starts.

    ``earlier_attempts`` were made before the run was last retried: the retry policy does not count them.
    """

    status: StepStatus = "pending"
    attempt: int = 0
    input: Any = None
    output: Any = None
    error: StepError | None = None
    handles: tuple[str, ...] = ()
    waits_for: WaitsFor | None = None
    due_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    position: int | None = None
    earlier_attempts: int = 0
    map: MapPlan | None = None

    @property
    def is_busy(self) -> bool:
        """Whether it will go on without anybody's help; a container is as busy as its items are."""
        if self.status == "running":
            return self.map is None
        return self.status == "waiting" and self.waits_for != "person"

    @property
    def is_unanswered(self) -> bool:
        """Whether it failed and nothing in the definition takes care of that."""
        return self.status == "failed" and not self.handles


class RunState(msgspec.Struct, frozen=True):
    """A run as of some event. Steps that nothing happened to yet are not in ``steps``.

    All but ``status``, ``steps``, ``output``, ``error`` and the instants could be counted anew from these; they are
    kept so that no event costs more than the one before. ``asking`` are the steps that wait for a person, ``awaiting``
    those that wait for a run, ``due`` those that wait for a time. ``settled`` counts the steps outside of containers,
    ``items`` those of each item that has begun and not ended, by scope (``each[17].``). ``context_bytes`` is what the
    outputs of the completed steps have together, as JSON.
    """

    status: RunStatus = "queued"
    steps: "HashTrieMap[str, StepState]" = HashTrieMap()
    settled: int = 0
    started: int = 0
    busy: int = 0
    asking: "HashTrieSet[str]" = HashTrieSet()
    awaiting: "HashTrieSet[str]" = HashTrieSet()
    due: "HashTrieMap[str, datetime]" = HashTrieMap()
    maps: "HashTrieMap[str, MapProgress]" = HashTrieMap()
    items: "HashTrieMap[str, int]" = HashTrieMap()
    context_bytes: int = 0
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
        return min(self.due.values(), default=None)


PENDING = StepState()
