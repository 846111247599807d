"""The compiled graph that the engine reads. Made once per published workflow, never changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta

from stepwire.definition.templates import Compiled

StepKind = Literal["trigger", "pure", "effect", "wait"]
ConfigType = type[msgspec.Struct]
TriggerType = Literal["manual", "webhook", "schedule", "workflow"]


class RetryPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often and when a failed attempt is tried again; intervals in seconds, ``jitter`` 0..1."""

    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 3
    initial_interval: Annotated[float, Meta(ge=0)] = 1.0
    multiplier: Annotated[float, Meta(ge=1, le=100)] = 2.0
    max_interval: Annotated[float, Meta(ge=0)] = 60.0
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.5
    on_worker_lost: bool = True


NO_RETRY = RetryPolicy(max_attempts=1)


class Handles(msgspec.Struct, frozen=True):
    """The names of the handles that a node of some configuration has."""

    inputs: tuple[str, ...] = ("default",)
    outputs: tuple[str, ...] = ("default",)


class StepSpec(Protocol):
    """What the definition needs to know of a step type; the plug-in itself is none of its business."""

    @property
    def type(self) -> str: ...
    @property
    def kind(self) -> StepKind: ...
    @property
    def config(self) -> ConfigType: ...
    @property
    def expressions(self) -> frozenset[str]: ...
    @property
    def deferred(self) -> frozenset[str]: ...
    @property
    def is_container(self) -> bool: ...
    def handles(self, config: Mapping[str, Any]) -> Handles:
        """The handles of a node with this raw configuration, which may be faulty."""
        ...

    def check(self, config: Mapping[str, Any]) -> str | None:
        """What the schema cannot say: a sentence on what is wrong with a raw configuration, or None."""
        ...


class Catalog(Protocol):
    """The step types there are."""

    def get(self, step_type: str) -> StepSpec | None: ...
    def __iter__(self) -> Iterator[StepSpec]: ...


@dataclass(frozen=True, slots=True)
class Link:
    """An edge as seen from its target."""

    source: str
    handle: str


@dataclass(frozen=True, slots=True)
class Step:
    """A node, ready to run. ``timeout`` is in seconds; ``wired`` are the handles that an edge leaves from.

    ``inner`` is what a container runs for each item.
    """

    id: str
    type: str
    kind: StepKind
    config: Compiled
    retry: RetryPolicy = NO_RETRY
    timeout: float | None = None
    on_error: Literal["fail", "continue"] = "fail"
    join: Literal["all", "any"] = "all"
    incoming: tuple[Link, ...] = ()
    downstream: tuple[str, ...] = ()
    wired: frozenset[str] = frozenset()
    inner: "Plan | None" = None

    @property
    def has_error_edge(self) -> bool:
        return "error" in self.wired


@dataclass(frozen=True)
class Plan:
    """Every step by id, in the drawn order; ``roots`` have no incoming edge."""

    steps: Mapping[str, Step]
    roots: tuple[str, ...] = field(default=())

    @cached_property
    def step_ids(self) -> frozenset[str]:
        return frozenset(self.steps)

    @cached_property
    def leaves(self) -> list[str]:
        """The steps without an outgoing edge, whose outputs make the run's."""
        return [step.id for step in self.steps.values() if not step.downstream]

    def fired_triggers(self, trigger_type: TriggerType) -> frozenset[str]:
        """The trigger steps that a run of this type fires: its own type's, else the manual ones.

        Child runs (``workflow``) count as manual.
        """
        wanted = "manual" if trigger_type == "workflow" else trigger_type
        return self._triggers(wanted) or self._triggers("manual")

    def _triggers(self, trigger_type: str) -> frozenset[str]:
        return frozenset(step.id for step in self.steps.values() if step.type == f"trigger.{trigger_type}")
