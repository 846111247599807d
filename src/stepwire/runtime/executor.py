"""One attempt of one step: configuration evaluated, step type called, what came of it as a fact."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import msgspec

from stepwire.db.journal import ClaimedRun
from stepwire.definition.expressions import ExpressionFailed, Variables
from stepwire.definition.plan import Plan, Step
from stepwire.definition.redaction import Redactor
from stepwire.engine.facts import AnyFact, AttemptCompleted, AttemptFailed, AttemptStarted, AttemptWaits
from stepwire.engine.model import RunState
from stepwire.log import redaction
from stepwire.runtime.clock import jitter, now
from stepwire.runtime.secrets import SecretReader
from stepwire.steps.base import EffectContext, EffectStep, InlineContext, InlineStep, Outcome, StepFailed, Wait
from stepwire.steps.registry import StepRegistry

log = logging.getLogger(__name__)
DEFAULT_TIMEOUT_SECONDS = 3600.0
_TOLD = frozenset({"input", "output", "code", "message", "details"})  # what a step says in a fact


@dataclass(frozen=True, slots=True)
class Prepared:
    """An effect that may begin once the journal says that it has: ``started`` is the fact to write first.

    A step that names secrets, of whatever kind, is one too: reading them is I/O. Its configuration is evaluated then.
    """

    step: Step
    attempt: int
    config: Any
    started: AttemptStarted
    confidential: "Confidential | None" = None


@dataclass(frozen=True, slots=True)
class Confidential:
    """What an attempt is evaluated with when its secrets are there. An edge leaves from each of the ``handles``."""

    owner: UUID
    variables: Variables
    inline: InlineContext
    handles: frozenset[str]


class Executor:
    """Runs attempts. Inline steps are done on the spot; effects are prepared first and executed when durable."""

    def __init__(
        self, registry: StepRegistry, http: httpx.AsyncClient, max_output_bytes: int, secrets: SecretReader
    ) -> None:
        self._registry = registry
        self._http = http
        self._max_output_bytes = max_output_bytes
        self._secrets = secrets

    def begin(
        self, run: ClaimedRun, plan: Plan, state: RunState, step_id: str, attempt: int
    ) -> list[AnyFact] | Prepared:
        """Evaluate the step's configuration; an inline step is carried out at once."""
        step = plan.steps[step_id]
        step_type = self._registry[step.type]
        at = now()
        if step.config.masked is not None:
            return self._begin_confidential(run, plan, state, step, attempt)
        try:
            raw = step.config.evaluate(_variables(run, plan, state))
            config = _convert(raw, step_type.config)
        except (ExpressionFailed, StepFailed) as error:
            return [self._failed(step_id, attempt, error)]
        started = AttemptStarted(at=at, step_id=step_id, attempt=attempt, input=raw)
        if not isinstance(step_type, InlineStep):
            return Prepared(step, attempt, config, started)
        context = InlineContext(now=at, run_input=run.input, sources=_sources(step, state))
        try:
            return [started, self._fact(step_id, attempt, step_type.evaluate(config, context))]
        except Exception as error:
            return [started, self._failed(step_id, attempt, error)]

    async def execute(self, run_id: UUID, prepared: Prepared) -> AnyFact:
        """Carry out an effect; cancelling this stops it."""
        if prepared.confidential is None:
            return await self._timed(prepared, self._act(run_id, prepared.step, prepared.attempt, prepared.config))
        redactor = Redactor()
        logged = redaction.set(redactor.text)
        try:
            act = self._act_confidentially(run_id, prepared, prepared.confidential, redactor)
            return _redacted(await self._timed(prepared, act), redactor, prepared.confidential.handles)
        finally:
            redaction.reset(logged)

    def _begin_confidential(
        self, run: ClaimedRun, plan: Plan, state: RunState, step: Step, attempt: int
    ) -> list[AnyFact] | Prepared:
        """Say what the attempt begins with, its secrets masked; they are read when it does."""
        assert step.config.masked is not None  # noqa: S101 - the caller has looked
        at, variables = now(), _variables(run, plan, state)
        try:
            shown = step.config.masked.evaluate(variables)
        except ExpressionFailed as error:
            return [self._failed(step.id, attempt, error)]
        started = AttemptStarted(at=at, step_id=step.id, attempt=attempt, input=shown)
        inline = InlineContext(now=at, run_input=run.input, sources=_sources(step, state))
        handles = frozenset(
            link.handle for target in step.downstream for link in plan.steps[target].incoming if link.source == step.id
        )
        return Prepared(step, attempt, None, started, Confidential(run.owner_id, variables, inline, handles))

    async def _act_confidentially(
        self, run_id: UUID, prepared: Prepared, confidential: Confidential, redactor: Redactor
    ) -> Outcome | Wait:
        step = prepared.step
        step_type = self._registry[step.type]
        secrets = await self._secrets.read(confidential.owner, step.config.secrets)
        redactor.hide(secrets.values())
        raw = step.config.evaluate(confidential.variables.with_secrets(secrets))
        config = _convert(raw, step_type.config)
        if isinstance(step_type, InlineStep):
            return step_type.evaluate(config, confidential.inline)
        return await self._act(run_id, step, prepared.attempt, config)

    async def _act(self, run_id: UUID, step: Step, attempt: int, config: Any) -> Outcome:
        step_type = self._registry[step.type]
        assert isinstance(step_type, EffectStep)  # noqa: S101 - the registry takes no other kind
        context = EffectContext(
            run_id=run_id,
            step_id=step.id,
            attempt=attempt,
            idempotency_key=f"{run_id}:{step.id}",
            http=self._http,
            log=log,
        )
        return await step_type.execute(config, context)

    async def _timed(self, prepared: Prepared, act: Coroutine[Any, Any, Outcome | Wait]) -> AnyFact:
        step, attempt = prepared.step, prepared.attempt
        limit = step.timeout or DEFAULT_TIMEOUT_SECONDS
        try:
            async with asyncio.timeout(limit):
                return self._fact(step.id, attempt, await act)
        except TimeoutError:
            late = StepFailed("timeout", f"The step took longer than {limit:g} seconds.", is_retryable=True)
            return self._failed(step.id, attempt, late)
        except Exception as error:
            return self._failed(step.id, attempt, error)

    def _fact(self, step_id: str, attempt: int, outcome: Outcome | Wait) -> AnyFact:
        if isinstance(outcome, Wait):
            return AttemptWaits(at=now(), step_id=step_id, attempt=attempt, until=outcome.until, output=outcome.output)
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


def _redacted(fact: AnyFact, redactor: Redactor, handles: frozenset[str]) -> AnyFact:
    """The fact without the step's secrets, before anybody else sees it. Handles with edges are no secret."""
    changes = {field: redactor.value(getattr(fact, field)) for field in fact.__struct_fields__ if field in _TOLD}
    if isinstance(fact, AttemptCompleted):
        changes["handles"] = tuple(each if each in handles else redactor.text(each) for each in fact.handles)
    return msgspec.structs.replace(fact, **changes)


def _convert(raw: Any, config: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.convert(raw, config)
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
