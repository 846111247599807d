"""What a step type is: one config Struct and one function. Built-ins and a stranger's package are equal.

A package offers a step type by an entry point in the group ``stepwire.steps``, which names a class that derives from
`StepDefaults` (or anything else that, called without arguments, gives a `StepType`). It is made once per process, and
used by many runs at once.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable
from uuid import UUID

import httpx
import msgspec

from stepwire.definition.plan import ConfigType, Handles, StepKind
from stepwire.errors import StepwireError


class NoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step type that needs no configuration."""


class Outcome(msgspec.Struct, frozen=True):
    """An attempt that ended well: its output, and the outgoing handles that it chose to fire.

    ``output`` is JSON: objects with string keys, arrays, strings, finite numbers, true, false and null, nested up to
    64 deep, up to 1 MiB. ``handles`` are among those that the step type has for its configuration.
    """

    output: Any = None
    handles: tuple[str, ...] = ("default",)


class Wait(msgspec.Struct, frozen=True):
    """The step rests until ``until`` (any offset from UTC), holding nothing, and is complete with ``output`` then.

    With ``waits_for="person"`` it is complete with what somebody answers; ``until`` is the time to answer, None for
    ever. With ``waits_for="run"`` it ends with the run that ``output`` names: ``{"run_id": …}``.
    """

    until: datetime | None
    output: Any = None
    waits_for: Literal["time", "person", "run"] = "time"


class Items(msgspec.Struct, frozen=True):
    """A container has this many items, ``concurrency`` side by side; ``collects``: one that fails does not end it."""

    count: int
    concurrency: int
    collects: bool


class StepFailed(StepwireError):
    """An attempt failed. ``code`` is stable, for programs; ``message`` is for people; ``details`` is JSON.

    Where ``is_retryable`` is set, the node's retry policy decides whether there is another attempt, not sooner than in
    ``retry_after`` seconds. Everything of it is stored and shown: no secrets.
    """

    kind, title = "step-failed", "The step failed"

    def __init__(
        self,
        code: str,
        message: str,
        *,
        details: Any = None,
        is_retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.details = details
        self.is_retryable = is_retryable
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class InlineContext:
    """What a step that does no I/O may know: the instant, the run's input, and the live sources' outputs by step id."""

    now: datetime
    run_input: Any
    sources: Mapping[str, Any]


StartRun = Callable[[UUID, dict[str, Any], bool], Awaitable[UUID]]


@dataclass(frozen=True, slots=True)
class EffectContext:
    """What a step that acts on the world gets.

    ``idempotency_key`` is the same for every attempt of a step of a run, so that the other side can recognise a
    repeat. ``attempt`` counts from 1. ``http`` is the guarded client, which all steps share: it reaches no private
    address. ``start_run`` starts a run of another workflow (its id, the input, whether to wait for it), one per step
    however often it is called.
    """

    run_id: UUID
    step_id: str
    attempt: int
    idempotency_key: str
    http: httpx.AsyncClient
    log: logging.Logger
    start_run: StartRun


class StepType(Protocol):
    """A step type as the catalog shows it, together with `InlineStep` or `EffectStep` as its ``kind`` says.

    ``type`` is its name for ever, such as ``acme.greet``; ``kind`` is ``pure`` (computes), ``wait`` (may rest until
    an instant) or ``effect`` (acts on the world). ``config`` is a Struct: validator, form and documentation at once.
    ``icon`` names a Lucide icon, ``output_schema`` is JSON Schema, ``examples`` are configurations. ``expressions``
    names the places in ``config`` (JSON pointers, ``*`` for any index) whose strings are expressions even without
    braces; ``deferred``, of built-in ones alone, those where the reason, ``{"error": …}``, stands for an expression that
    has no value.
    """

    @property
    def type(self) -> str: ...
    @property
    def kind(self) -> StepKind: ...
    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def icon(self) -> str: ...
    @property
    def config(self) -> ConfigType: ...
    @property
    def expressions(self) -> frozenset[str]: ...
    @property
    def deferred(self) -> frozenset[str]: ...
    @property
    def is_container(self) -> bool: ...
    @property
    def output_schema(self) -> dict[str, Any] | None: ...
    @property
    def examples(self) -> list[dict[str, Any]]: ...

    def handles(self, config: Mapping[str, Any]) -> Handles:
        """The handles of a node with this raw configuration, which may be faulty."""
        ...

    def check(self, config: Mapping[str, Any]) -> str | None:
        """What the schema cannot say: a sentence on what is wrong with a raw configuration, or None."""
        ...


@runtime_checkable
class InlineStep(Protocol):
    """Kinds ``trigger``, ``pure`` and ``wait``: deterministic, without I/O, and quick.

    Every run of the worker waits for it, and nothing can stop it. After a crash it is computed again.
    """

    def evaluate(self, config: Any, context: InlineContext) -> Outcome | Wait | Items:
        """Run one attempt with the evaluated configuration.

        Raises:
            StepFailed: the attempt failed. Anything else that is raised fails it too, and is logged.
        """
        ...


@runtime_checkable
class EffectStep(Protocol):
    """Kind ``effect``: may run more than once for one step when a worker dies; is cancelled when the run is.

    It shares the worker's event loop: what blocks belongs into ``asyncio.to_thread``. On cancellation it has three
    seconds to clean up; after those it is left to itself. Tasks that it starts end with the attempt; what is to live
    longer is started in a context of its own, ``asyncio.create_task(…, context=contextvars.Context())``.
    """

    async def execute(self, config: Any, context: EffectContext) -> Outcome | Wait:
        """Run one attempt with the evaluated configuration.

        Raises:
            StepFailed: the attempt failed. Anything else that is raised fails it too, and is logged.
        """
        ...


class StepDefaults:
    """What most step types need not say for themselves."""

    category: ClassVar[str] = "Other"
    icon: ClassVar[str] = "puzzle"
    config: ClassVar[ConfigType] = NoConfig
    expressions: ClassVar[frozenset[str]] = frozenset()
    deferred: ClassVar[frozenset[str]] = frozenset()
    is_container: ClassVar[bool] = False
    output_schema: ClassVar[dict[str, Any] | None] = None
    examples: ClassVar[list[dict[str, Any]]] = []

    def handles(self, config: Mapping[str, Any]) -> Handles:
        return Handles()

    def check(self, config: Mapping[str, Any]) -> str | None:
        return None


class BuiltIn(StepDefaults):
    """The defaults of a step type of Stepwire's own."""

    category: ClassVar[str] = "Core"
    icon: ClassVar[str] = "box"
