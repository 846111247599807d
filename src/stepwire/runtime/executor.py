"""One attempt of one step: configuration evaluated, step type called, what came of it as a fact."""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import msgspec

from stepwire.db.journal import ClaimedRun
from stepwire.definition.expressions import ExpressionFailed, Variables
from stepwire.definition.plan import Plan, Step
from stepwire.engine.facts import AnyFact, AttemptCompleted, AttemptFailed, AttemptStarted, AttemptWaits, ItemsGiven
from stepwire.engine.model import RunState
from stepwire.engine.places import Place, item_of, locate
from stepwire.runtime.children import Children
from stepwire.runtime.clock import jitter, now
from stepwire.steps.base import EffectContext, EffectStep, InlineContext, InlineStep, Items, Outcome, StepFailed, Wait
from stepwire.steps.registry import StepRegistry

log = logging.getLogger(__name__)
DEFAULT_TIMEOUT_SECONDS = 3600.0
CHILD_RUN = "core.workflow"


@dataclass(frozen=True, slots=True)
class Prepared:
    """An effect that may begin once the journal says that it has: ``started`` is the fact to write first."""

    path: str
    step: Step
    attempt: int
    config: Any
    started: AttemptStarted


class Executor:
    """Runs attempts. Inline steps are done on the spot; effects are prepared first and executed when durable."""

    def __init__(
        self, registry: StepRegistry, http: httpx.AsyncClient, children: Children, max_output_bytes: int
    ) -> None:
        self._registry = registry
        self._http = http
        self._children = children
        self._max_output_bytes = max_output_bytes

    def begin(
        self, run: ClaimedRun, plan: Plan, state: RunState, step_id: str, attempt: int
    ) -> list[AnyFact] | Prepared:
        """Evaluate the step's configuration; an inline step is carried out at once."""
        place = locate(plan, step_id)
        step = place.step
        step_type = self._registry[step.type]
        at = now()
        try:
            raw = step.config.evaluate(variables(run, plan, state, place))
            config = _convert(raw, step_type.config)
        except (ExpressionFailed, StepFailed) as error:
            return [self._failed(step_id, attempt, error)]
        started = AttemptStarted(at=at, step_id=step_id, attempt=attempt, input=raw)
        if not isinstance(step_type, InlineStep):
            return Prepared(step_id, step, attempt, config, started)
        context = InlineContext(now=at, run_input=run.input, sources=_sources(place, state))
        try:
            outcome = step_type.evaluate(config, context)
            if isinstance(outcome, Items):
                return [_items(started, outcome)]
            return [started, self._fact(step_id, attempt, outcome)]
        except Exception as error:
            return [started, self._failed(step_id, attempt, error)]

    async def execute(self, run: ClaimedRun, prepared: Prepared) -> AnyFact:
        """Carry out an effect; cancelling this stops it."""
        step, path, attempt = prepared.step, prepared.path, prepared.attempt
        step_type = self._registry[step.type]
        assert isinstance(step_type, EffectStep)  # noqa: S101 - the registry takes no other kind
        context = EffectContext(
            run_id=run.id,
            step_id=path,
            attempt=attempt,
            idempotency_key=f"{run.id}:{path}",
            http=self._http,
            log=log,
            start_run=partial(self._children.start, run, path, attempt),
        )
        limit = step.timeout or DEFAULT_TIMEOUT_SECONDS
        try:
            async with asyncio.timeout(limit):
                return self._fact(path, attempt, await step_type.execute(prepared.config, context))
        except TimeoutError:
            late = StepFailed("timeout", f"The step took longer than {limit:g} seconds.", is_retryable=True)
            return self._failed(path, attempt, late)
        except Exception as error:
            return self._failed(path, attempt, error)

    def _fact(self, step_id: str, attempt: int, outcome: Outcome | Wait) -> AnyFact:
        if isinstance(outcome, Wait):
            return AttemptWaits(
                at=now(), step_id=step_id, attempt=attempt, until=outcome.until, waits_for=outcome.waits_for,
                output=outcome.output,
            )  # fmt: skip
        self._check_output(outcome.output)
        return AttemptCompleted(
            at=now(), step_id=step_id, attempt=attempt, output=outcome.output, handles=outcome.handles
        )  # fmt: skip

    def _check_output(self, output: Any) -> None:
        try:
            size = len(msgspec.json.encode(output))
        except (TypeError, ValueError, RecursionError) as error:
            raise StepFailed("output-not-json", f"The step's output is not JSON: {error}") from None
        if size > self._max_output_bytes:
            message = f"The step's output has {size:,} bytes; the limit is {self._max_output_bytes:,}."
            raise StepFailed("output-too-large", message)

    def _failed(self, step_id: str, attempt: int, error: Exception) -> AttemptFailed:
        match error:
            case StepFailed():
                known = error
            case ExpressionFailed():
                known = StepFailed("expression-failed", error.detail)
            case _:
                log.error("Step %s raised", step_id, exc_info=error)
                known = StepFailed("step-crashed", f"The step raised {type(error).__name__}: {error}"[:1000])
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


def _convert(raw: Any, config: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.convert(raw, config)
    except msgspec.ValidationError as error:
        raise StepFailed("bad-config", f"The configuration does not fit: {error}.") from None


def _items(started: AttemptStarted, items: Items) -> ItemsGiven:
    return ItemsGiven(
        at=started.at, step_id=started.step_id, attempt=started.attempt, input=started.input, items=items.count,
        concurrency=items.concurrency, collects=items.collects,
    )  # fmt: skip


def variables(run: ClaimedRun, plan: Plan, state: RunState, place: Place) -> Variables:
    """What the expressions of a step see: in a container the steps beside it before those around it."""
    fixed: dict[str, Any] = {
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
    scopes: dict[str, str] = {}
    if place.scope:
        container, index = item_of(place.scope)
        fixed["item"] = state.step(container).input["items"][index]
        fixed["index"] = index
        scopes = _scopes(plan, place)

    def step(step_id: str) -> dict[str, Any]:
        known = state.step(scopes[step_id] + step_id if scopes else step_id)
        error = None if known.error is None else msgspec.structs.asdict(known.error)
        return {"status": known.status, "output": known.output, "error": error}

    return Variables(fixed, frozenset(scopes) if scopes else plan.step_ids, step)


def _scopes(plan: Plan, place: Place) -> dict[str, str]:
    """Step id to the scope that it is seen in from a place."""
    seen: dict[str, str] = {}
    while True:
        seen = dict.fromkeys(place.plan.step_ids, place.scope) | seen
        if not place.scope:
            return seen
        place = locate(plan, item_of(place.scope)[0])


def _sources(place: Place, state: RunState) -> dict[str, Any]:
    """The outputs of the sources whose edges are live."""
    return {
        link.source: source.output
        for link in place.step.incoming
        if link.handle in (source := state.step(place.scope + link.source)).handles
    }
