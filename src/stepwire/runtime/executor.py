"""One attempt of one step: configuration evaluated, step type called, what came of it as a fact."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import httpx
import msgspec

from stepwire.db.journal import ClaimedRun
from stepwire.definition.expressions import ExpressionFailed, Variables
from stepwire.definition.plan import Plan, Step
from stepwire.engine.facts import AnyFact, AttemptCompleted, AttemptFailed, AttemptStarted, AttemptWaits
from stepwire.engine.model import RunState
from stepwire.runtime.attempt import carry_out
from stepwire.runtime.clock import jitter, now
from stepwire.steps.base import (
    EffectContext,
    EffectStep,
    InlineContext,
    InlineStep,
    Outcome,
    StepFailed,
    StepType,
    Wait,
)
from stepwire.steps.outcome import plain_failure, raised
from stepwire.steps.plugin import PluginStep, copied
from stepwire.steps.registry import StepRegistry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An attempt that may begin once the journal says that it has: ``started`` is the fact to write first.

    ``inline`` is the context of a step without I/O that is not done on the spot.
    """

    step: Step
    attempt: int
    config: Any
    started: AttemptStarted
    inline: InlineContext | None = None


class Executor:
    """Runs attempts. Inline steps are done on the spot; effects are prepared first and executed when durable."""

    def __init__(
        self, registry: StepRegistry, http: httpx.AsyncClient, max_output_bytes: int, timeout_seconds: float = 3600.0
    ) -> None:
        self._registry = registry
        self._http = http
        self._max_output_bytes = max_output_bytes
        self._timeout_seconds = timeout_seconds

    def begin(
        self, run: ClaimedRun, plan: Plan, state: RunState, step_id: str, attempt: int
    ) -> list[AnyFact] | Prepared:
        """Evaluate the step's configuration; an inline step is carried out at once."""
        step = plan.steps[step_id]
        step_type = self._registry[step.type]
        at = now()
        try:
            raw = step.config.evaluate(_variables(run, plan, state))
            config = _convert(raw, step_type)
        except BaseException as error:
            return [self._failed(step_id, attempt, error)]
        started = AttemptStarted(at=at, step_id=step_id, attempt=attempt, input=raw)
        if step_type.kind == "effect":
            return Prepared(step, attempt, config, started)
        context = InlineContext(now=at, run_input=run.input, sources=_sources(step, state))
        if isinstance(step_type, PluginStep):
            context = InlineContext(at, copied(context.run_input), copied(context.sources))
            if run.is_taken_over or attempt > 1:
                # It may be what the last worker died of. Written first, it is found out, and used up in the end.
                return Prepared(step, attempt, config, started, context)
        return [started, self._evaluate(step, step_type, attempt, config, raw, context)]

    async def execute(self, run_id: UUID, prepared: Prepared) -> AnyFact:
        """Carry out what was prepared; cancelling this stops an effect."""
        step, attempt, raw = prepared.step, prepared.attempt, prepared.started.input
        step_type = self._registry[step.type]
        if prepared.inline is not None:
            return self._evaluate(step, step_type, attempt, prepared.config, raw, prepared.inline)
        assert isinstance(step_type, EffectStep)  # noqa: S101 - the registry takes no other kind
        context = EffectContext(
            run_id=run_id,
            step_id=step.id,
            attempt=attempt,
            idempotency_key=f"{run_id}:{step.id}",
            http=self._http,
            log=log,
        )
        label = f"{step.id!r} ({step.type}) of run {run_id}"
        limit = step.timeout or self._timeout_seconds
        try:
            outcome = await carry_out(step_type.execute(prepared.config, context), label, limit)
            return self._fact(step, step_type, attempt, raw, outcome)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return self._failed(step.id, attempt, error)

    def _evaluate(
        self, step: Step, step_type: StepType, attempt: int, config: Any, raw: Any, context: InlineContext
    ) -> AnyFact:
        try:
            return self._fact(step, step_type, attempt, raw, cast("InlineStep", step_type).evaluate(config, context))
        except BaseException as error:  # nothing that a step raises is about this process
            return self._failed(step.id, attempt, error)

    def _fact(self, step: Step, step_type: StepType, attempt: int, raw: Any, outcome: Outcome | Wait) -> AnyFact:
        if isinstance(step_type, PluginStep):
            outcome = step_type.plain(outcome, raw, self._max_output_bytes)
        self._check_output(outcome.output)
        if isinstance(outcome, Wait):
            return AttemptWaits(at=now(), step_id=step.id, attempt=attempt, until=outcome.until, output=outcome.output)
        return AttemptCompleted(
            at=now(), step_id=step.id, attempt=attempt, output=outcome.output, handles=outcome.handles
        )  # fmt: skip

    def _check_output(self, output: Any) -> None:
        try:
            size = len(msgspec.json.encode(output))
        except (TypeError, ValueError, RecursionError) as error:
            raise StepFailed("output-not-json", f"The step's output is not JSON: {error}") from None
        if size > self._max_output_bytes:
            message = f"The step's output has {size:,} bytes; the limit is {self._max_output_bytes:,}."
            raise StepFailed("output-too-large", message)

    def _failed(self, step_id: str, attempt: int, error: BaseException) -> AttemptFailed:
        match error:
            case StepFailed():
                known = plain_failure(error)
            case ExpressionFailed():
                known = StepFailed("expression-failed", error.detail)
            case _:
                log.error("Step %s raised", step_id, exc_info=error)
                known = raised(error)
        return AttemptFailed(
            at=now(),
            step_id=step_id,
            attempt=attempt,
            code=known.code,
            message=known.detail,
            details=known.details,
            is_retryable=known.is_retryable,
            retry_after=known.retry_after,
            jitter=jitter(),
        )


def _convert(raw: Any, step_type: StepType) -> Any:
    try:
        return msgspec.convert(copied(raw) if isinstance(step_type, PluginStep) else raw, step_type.config)
    except msgspec.ValidationError as error:
        raise StepFailed("bad-config", f"The configuration does not fit: {error}.") from None


def _variables(run: ClaimedRun, plan: Plan, state: RunState) -> Variables:
    fixed: Mapping[str, Any] = {
        "input": run.input,
        "trigger": run.trigger or {"type": run.trigger_type},
        "run": {
            "id": str(run.id),
            "workflow_id": str(run.workflow_id),
            "workflow_version": run.workflow_version,
            "trigger_type": run.trigger_type,
            "created_at": run.created_at.isoformat().replace("+00:00", "Z"),
        },
        "secrets": {},
    }

    def step(step_id: str) -> dict[str, Any]:
        known = state.step(step_id)
        error = None if known.error is None else msgspec.structs.asdict(known.error)
        return {"status": known.status, "output": known.output, "error": error}

    return Variables(fixed, plan.step_ids, step)


def _sources(step: Step, state: RunState) -> dict[str, Any]:
    """The outputs of the sources whose edges are live."""
    return {
        link.source: state.step(link.source).output
        for link in step.incoming
        if link.handle in state.step(link.source).handles
    }
