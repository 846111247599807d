"""One attempt of one step: configuration evaluated, step type called, what came of it as a fact."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast

import httpx
import msgspec

from stepwire.db.claims import ClaimedRun
from stepwire.definition.expressions import ExpressionFailed, Variables
from stepwire.definition.numbers import with_integers
from stepwire.definition.plan import Plan, Step
from stepwire.definition.redaction import Redactor
from stepwire.engine.facts import AnyFact, AttemptCompleted, AttemptFailed, AttemptStarted, AttemptWaits, ItemsGiven
from stepwire.engine.model import RunState
from stepwire.engine.places import Place, locate
from stepwire.log import redaction
from stepwire.points import reach
from stepwire.runtime.attempt import carry_out
from stepwire.runtime.children import Children
from stepwire.runtime.clock import jitter, now
from stepwire.runtime.secrets import SecretReader
from stepwire.runtime.variables import sources, variables
from stepwire.steps.base import (
    EffectContext,
    EffectStep,
    InlineContext,
    InlineStep,
    Items,
    Outcome,
    StepFailed,
    StepType,
    Wait,
)
from stepwire.steps.outcome import MAX_DEPTH, is_deeper, plain_failure, raised
from stepwire.steps.plugin import PluginStep, copied
from stepwire.steps.registry import StepRegistry

log = logging.getLogger(__name__)
CHILD_RUN = "core.workflow"
_TOLD = frozenset({"input", "output", "code", "message", "details"})  # what a step says in a fact


@dataclass(frozen=True, slots=True)
class Prepared:
    """An attempt that may begin once the journal says that it has: ``started`` is the fact to write first.

    ``inline`` is the context of a step without I/O that is not done on the spot. A step that names secrets, of whatever
    kind, is prepared too: reading them is I/O. Its configuration is evaluated then.
    """

    path: str
    step: Step
    attempt: int
    config: Any
    started: AttemptStarted
    inline: InlineContext | None = None
    confidential: "Confidential | None" = None


@dataclass(frozen=True, slots=True)
class Confidential:
    """What an attempt is evaluated with when its secrets are there."""

    variables: Variables
    inline: InlineContext


class Executor:
    """Runs attempts. Inline steps are done on the spot; effects are prepared first and executed when durable."""

    def __init__(
        self,
        registry: StepRegistry,
        http: httpx.AsyncClient,
        children: Children,
        secrets: SecretReader,
        *,
        max_output_bytes: int,
        max_context_bytes: int,
        timeout_seconds: float,
    ) -> None:
        self._registry = registry
        self._http = http
        self._children = children
        self._secrets = secrets
        self._max_output_bytes = max_output_bytes
        self._max_context_bytes = max_context_bytes
        self._timeout_seconds = timeout_seconds

    def begin(
        self, run: ClaimedRun, plan: Plan, state: RunState, step_id: str, attempt: int
    ) -> list[AnyFact] | Prepared:
        """Evaluate the step's configuration; an inline step is carried out at once."""
        place = locate(plan, step_id)
        step = place.step
        step_type = self._registry[step.type]
        at = now()
        if step.config.masked is not None:
            return self._begin_confidential(run, plan, state, place, attempt)
        raw = None
        try:
            raw = step.config.evaluate(variables(run, plan, state, place), self._max_input_bytes(step_type))
            config = _convert(raw, step_type)
        except BaseException as error:
            return self._stillborn(at, step_id, attempt, raw, error)
        started = AttemptStarted(at=at, step_id=step_id, attempt=attempt, input=raw)
        if step_type.kind == "effect" or step.type == CHILD_RUN:
            return Prepared(step_id, step, attempt, config, started)
        context = InlineContext(now=at, run_input=run.input, sources=sources(place, state))
        if isinstance(step_type, PluginStep):
            context = InlineContext(at, copied(context.run_input), copied(context.sources))
            if run.is_taken_over or attempt > 1:
                # It may be what the last worker died of. Written first, it is found out, and used up in the end.
                return Prepared(step_id, step, attempt, config, started, context)
        fact = self._evaluate(step_id, step_type, attempt, config, raw, context)
        return [fact] if isinstance(fact, ItemsGiven) else [started, fact]

    async def execute(self, run: ClaimedRun, prepared: Prepared) -> AnyFact:
        """Carry out what was prepared; cancelling this stops an effect."""
        step, raw = prepared.step, prepared.started.input
        if prepared.inline is not None:
            step_type = self._registry[step.type]
            return self._evaluate(prepared.path, step_type, prepared.attempt, prepared.config, raw, prepared.inline)
        if prepared.confidential is None:
            return await self._timed(run, prepared, self._act(run, prepared, prepared.config))
        redactor = Redactor()
        logged = redaction.set(redactor.text)
        try:
            act = self._act_confidentially(run, prepared, prepared.confidential, redactor)
            return _redacted(await self._timed(run, prepared, act), redactor, step.wired)
        finally:
            redaction.reset(logged)

    def _begin_confidential(
        self, run: ClaimedRun, plan: Plan, state: RunState, place: Place, attempt: int
    ) -> list[AnyFact] | Prepared:
        """Say what the attempt begins with, its secrets masked; they are read when it does."""
        step, path = place.step, place.path
        assert step.config.masked is not None  # noqa: S101 - the caller has looked
        at, seen = now(), variables(run, plan, state, place)
        try:
            shown = step.config.masked.evaluate(seen, self._max_input_bytes(self._registry[step.type]))
        except ExpressionFailed as error:
            return self._stillborn(at, path, attempt, None, error)
        started = AttemptStarted(at=at, step_id=path, attempt=attempt, input=shown)
        inline = InlineContext(now=at, run_input=run.input, sources=sources(place, state))
        return Prepared(path, step, attempt, None, started, confidential=Confidential(seen, inline))

    async def _act_confidentially(
        self, run: ClaimedRun, prepared: Prepared, confidential: Confidential, redactor: Redactor
    ) -> Outcome | Wait | Items:
        step = prepared.step
        step_type = self._registry[step.type]
        if step.type == CHILD_RUN:  # what is given to another run is stored there
            return await self._act(run, prepared, _convert(prepared.started.input, step_type))
        secrets = await self._secrets.read(run.owner_id, step.config.secrets)
        redactor.hide(secrets.values())
        raw = step.config.evaluate(confidential.variables.with_secrets(secrets), self._max_input_bytes(step_type))
        config = _convert(raw, step_type)
        if step_type.kind == "effect":
            return await self._act(run, prepared, config)
        outcome = cast("InlineStep", step_type).evaluate(config, confidential.inline)
        if isinstance(outcome, Items):
            raise StepFailed("bad-config", "The items of a container cannot be secrets: they are stored.")
        return outcome

    async def _act(self, run: ClaimedRun, prepared: Prepared, config: Any) -> Outcome | Wait:
        path = prepared.path
        context = EffectContext(
            run_id=run.id,
            step_id=path,
            attempt=prepared.attempt,
            idempotency_key=f"{run.id}:{path}",
            http=self._http,
            log=log,
            start_run=partial(self._children.start, run, path, prepared.attempt),
        )
        reach("act.before")
        outcome = await cast("EffectStep", self._registry[prepared.step.type]).execute(config, context)
        reach("act.after")
        return outcome

    async def _timed(
        self, run: ClaimedRun, prepared: Prepared, act: Coroutine[Any, Any, Outcome | Wait | Items]
    ) -> AnyFact:
        step, path, attempt = prepared.step, prepared.path, prepared.attempt
        label = f"{path!r} ({step.type}) of run {run.id}"
        try:
            outcome = await carry_out(act, label, step.timeout or self._timeout_seconds)
            return self._fact(path, self._registry[step.type], attempt, prepared.started.input, outcome)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return self._failed(path, attempt, error)

    def _evaluate(
        self, path: str, step_type: StepType, attempt: int, config: Any, raw: Any, context: InlineContext
    ) -> AnyFact:
        try:
            return self._fact(path, step_type, attempt, raw, cast("InlineStep", step_type).evaluate(config, context))
        except BaseException as error:  # nothing that a step raises is about this process
            return self._failed(path, attempt, error)

    def _fact(self, path: str, step_type: StepType, attempt: int, raw: Any, outcome: Outcome | Wait | Items) -> AnyFact:
        if isinstance(step_type, PluginStep):
            outcome = step_type.plain(outcome, raw, self._max_output_bytes)
        if isinstance(outcome, Items):
            return ItemsGiven(
                at=now(), step_id=path, attempt=attempt, input=raw, items=outcome.count,
                concurrency=outcome.concurrency, collects=outcome.collects,
            )  # fmt: skip
        self._check_output(outcome.output)
        if isinstance(outcome, Wait):
            return AttemptWaits(
                at=now(), step_id=path, attempt=attempt, until=outcome.until, waits_for=outcome.waits_for,
                output=outcome.output,
            )  # fmt: skip
        return AttemptCompleted(
            at=now(), step_id=path, attempt=attempt, output=outcome.output, handles=outcome.handles
        )  # fmt: skip

    def _max_input_bytes(self, step_type: StepType) -> int:
        """A container's items may come from another one, whose output is as large as all of its items' are."""
        return self._max_context_bytes if step_type.is_container else self._max_output_bytes

    def _check_output(self, output: Any) -> None:
        try:
            encoded = msgspec.json.encode(output)
        except (TypeError, ValueError, RecursionError) as error:
            raise StepFailed("output-not-json", f"The step's output is not JSON: {error}") from None
        if len(encoded) > self._max_output_bytes:
            message = f"The step's output has {len(encoded):,} bytes; the limit is {self._max_output_bytes:,}."
            raise StepFailed("output-too-large", message)
        if encoded.count(b"[") + encoded.count(b"{") > MAX_DEPTH and is_deeper(output, MAX_DEPTH):
            message = f"The step's output is not JSON: it is nested more than {MAX_DEPTH} deep."
            raise StepFailed("output-not-json", message)

    def _stillborn(self, at: datetime, path: str, attempt: int, value: Any, error: BaseException) -> list[AnyFact]:
        """An attempt whose configuration has no value, or one that does not fit, began and failed like any other."""
        started = AttemptStarted(at=at, step_id=path, attempt=attempt, input=value)
        return [started, self._failed(path, attempt, error)]

    def _failed(self, path: str, attempt: int, error: BaseException) -> AttemptFailed:
        match error:
            case StepFailed():
                known = plain_failure(error)
            case ExpressionFailed():
                known = StepFailed(error.kind, error.detail)
            case _:
                log.error("Step %s raised", path, exc_info=error)
                known = raised(error)
        return AttemptFailed(
            at=now(),
            step_id=path,
            attempt=attempt,
            code=known.code,
            message=known.detail,
            details=known.details,
            is_retryable=known.is_retryable,
            retry_after=known.retry_after,
            jitter=jitter(),
        )


def _redacted(fact: AnyFact, redactor: Redactor, wired: frozenset[str]) -> AnyFact:
    """The fact without the step's secrets, before anybody else sees it. Handles with edges are no secret."""
    changes = {field: redactor.value(getattr(fact, field)) for field in fact.__struct_fields__ if field in _TOLD}
    if isinstance(fact, AttemptCompleted):
        changes["handles"] = tuple(each if each in wired else redactor.text(each) for each in fact.handles)
    return msgspec.structs.replace(fact, **changes)


def _convert(raw: Any, step_type: StepType) -> Any:
    given = copied(raw) if isinstance(step_type, PluginStep) else raw
    try:
        return msgspec.convert(given, step_type.config)
    except msgspec.ValidationError as error:
        with contextlib.suppress(msgspec.ValidationError):
            return msgspec.convert(with_integers(given), step_type.config)
        raise StepFailed("bad-config", f"The configuration does not fit: {error}.") from None
