"""What a run does next: ``apply`` folds an event into the state, ``advance`` says what follows from a fact.

Pure: no I/O, no clock, no chance. A report about an attempt that is over changes nothing, so the shell may report
late, twice and in any order.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, assert_never

import msgspec

from stepwire.definition.plan import Plan, Step
from stepwire.engine.commands import AnyCommand, Execute, StopAll
from stepwire.engine.events import (
    AnyEvent,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunQueued,
    RunRetried,
    RunStarted,
    StepCancelled,
    StepCompleted,
    StepEvent,
    StepFailed,
    StepRetrying,
    StepScheduled,
    StepSkipped,
    StepStarted,
    StepWaiting,
)
from stepwire.engine.facts import (
    Abandoned,
    AnyFact,
    AttemptCompleted,
    AttemptFailed,
    AttemptStarted,
    AttemptWaits,
    Begin,
    CancelRequested,
    TakenUp,
    TimePassed,
    WorkerLost,
)
from stepwire.engine.model import SETTLED, RunState, StepError, StepState
from stepwire.engine.retry import next_attempt_at

MAX_ATTEMPTS = 100
MAX_LOST_ATTEMPTS = 10  # of a step whose workers die, where its policy does not allow more


class Advance(msgspec.Struct, frozen=True):
    """The settled state; ``events`` to journal in this order; ``commands``, which wait until those are durable."""

    state: RunState
    events: tuple[AnyEvent, ...] = ()
    commands: tuple[AnyCommand, ...] = ()


def apply(state: RunState, event: AnyEvent) -> RunState:
    """Fold one event into the state. Replay is this function over the journal, and nothing else."""
    match event:
        case StepScheduled(step_id=step_id, attempt=attempt):
            position = state.step(step_id).position
            return _with_step(state, step_id, StepState(status="running", attempt=attempt, position=position))
        case StepStarted(step_id=step_id, attempt=attempt, input=value, at=at):
            known = state.step(step_id).position
            position = state.started if known is None else known
            step = StepState(status="running", attempt=attempt, input=value, started_at=at, position=position)
            started = max(state.started, position + 1)
            return msgspec.structs.replace(state, started=started, steps=state.steps.insert(step_id, step))
        case StepRetrying(step_id=step_id, error=error, next_attempt_at=due_at):
            return _change(state, step_id, status="waiting", error=error, due_at=due_at)
        case StepWaiting(step_id=step_id, until=until, output=output):
            return _change(state, step_id, status="waiting", due_at=until, output=output)
        case StepCompleted(step_id=step_id, output=output, handles=handles, at=at):
            return _settle(
                state, step_id, status="completed", output=output, error=None, handles=handles, completed_at=at
            )
        case StepFailed(step_id=step_id, attempt=attempt, error=error, handles=handles, at=at):
            return _settle(
                state, step_id, status="failed", output=None, error=error, handles=handles, completed_at=at,
                attempt=attempt,
            )  # fmt: skip
        case StepSkipped(step_id=step_id, at=at):
            return _settle(state, step_id, status="skipped", completed_at=at)
        case StepCancelled(step_id=step_id, at=at):
            return _settle(state, step_id, status="cancelled", output=None, completed_at=at)
        case RunQueued():
            return state
        case RunStarted(at=at):
            return msgspec.structs.replace(state, status="running", started_at=at)
        case RunCompleted(output=output, at=at):
            return msgspec.structs.replace(state, status="completed", output=output, completed_at=at)
        case RunFailed(error=error, at=at):
            return msgspec.structs.replace(state, status="failed", error=error, completed_at=at)
        case RunCancelled(at=at):
            return msgspec.structs.replace(state, status="cancelled", completed_at=at)
        case RunRetried(step_ids=step_ids):
            return _renew(state, step_ids)
        case _:
            assert_never(event)


def advance(plan: Plan, state: RunState, facts: Iterable[AnyFact]) -> Advance:
    """Take facts into a run, one after another, and say everything that follows from them.

    Consequences are followed until none is left: nothing more happens to the run until the next fact arrives.
    """
    events: list[AnyEvent] = []
    unfollowed: deque[AnyEvent] = deque()
    for fact in facts:
        for decided in decide(plan, state, fact):
            if state.is_finished:
                break
            if isinstance(fact, TakenUp) and not _is_pending(state, decided):
                continue  # what was decided just before led to it already
            state = apply(state, decided)
            events.append(decided)
            unfollowed.append(decided)
            while unfollowed:
                for event in consequences(plan, state, unfollowed.popleft()):
                    state = apply(state, event)
                    events.append(event)
                    unfollowed.append(event)
    return Advance(state, tuple(events), tuple(commands(events)))


def decide(plan: Plan, state: RunState, fact: AnyFact) -> Sequence[AnyEvent]:
    """The events that a fact makes by itself; none where it is about something that is over."""
    match fact:
        case Begin(at=at):
            if state.status != "queued":
                return []
            return [RunStarted(at=at), *_begin(plan, fact)]
        case TakenUp():
            return list(_decide_again(plan, state, fact))
        case TimePassed(at=at):
            return [event for step_id, step in state.steps.items() for event in _go_on(plan, step_id, step, fact)]
        case WorkerLost():
            return [event for step_id, step in state.steps.items() for event in _lose(plan, step_id, step, fact)]
        case CancelRequested(at=at):
            return [*_cancel_unsettled(plan, state, fact), RunCancelled(at=at)]
        case Abandoned(at=at, code=code, message=message):
            error = StepError(code, message)
            return [*_cancel_unsettled(plan, state, fact), RunFailed(at=at, error=error)]
        case AttemptStarted() | AttemptCompleted() | AttemptFailed() | AttemptWaits():
            return _report(plan, state, fact)
        case _:
            assert_never(fact)


def consequences(plan: Plan, state: RunState, event: AnyEvent) -> Sequence[AnyEvent]:
    """What follows from an event, in a state that has it: steps decided downstream, the run's end."""
    if state.is_finished:
        return []
    match event:
        case StepFailed(handles=(), error=error, step_id=step_id, at=at):
            failed = RunFailed(at=at, error=error, failed_step_id=step_id)
            return [*_cancel_unsettled(plan, state, event), failed]
        case StepCompleted() | StepFailed() | StepSkipped():
            decided = [
                decision
                for target in plan.steps[event.step_id].downstream
                if (decision := _decision(state, plan.steps[target], event)) is not None
            ]
            if state.settled == len(plan.steps):
                return [RunCompleted(at=event.at, output=_output(plan, state))]
            return decided
        case RunStarted() if not plan.steps:
            return [RunCompleted(at=event.at, output={})]
        case _:
            return []


def commands(events: Iterable[AnyEvent]) -> Iterator[AnyCommand]:
    """What the shell is asked to do by these events, none of which is about an attempt that they also end."""
    wanted: dict[str, AnyCommand] = {}
    for event in events:
        match event:
            case StepScheduled(step_id=step_id, attempt=attempt):
                wanted[step_id] = Execute(step_id, attempt)
            case StepCompleted() | StepFailed() | StepCancelled() | StepWaiting() | StepRetrying():
                wanted.pop(event.step_id, None)
            case RunFailed() | RunCancelled() | RunCompleted():
                yield StopAll()
                return
            case _:
                pass
    yield from wanted.values()


def _begin(plan: Plan, fact: Begin | TakenUp) -> Iterator[StepScheduled | StepSkipped]:
    """Roots run at once, save the triggers that this run was not started by."""
    fired = plan.fired_triggers(fact.trigger_type)
    for step in map(plan.steps.__getitem__, plan.roots):
        if step.kind == "trigger" and step.id not in fired:
            yield StepSkipped(at=fact.at, step_id=step.id)
        else:
            yield StepScheduled(at=fact.at, step_id=step.id, step_type=step.type, attempt=1)


def _decide_again(plan: Plan, state: RunState, fact: TakenUp) -> Iterator[StepScheduled | StepSkipped]:
    """Pending steps that nothing is awaited for; none in a run that was never retried."""
    for decided in _begin(plan, fact):
        if state.step(decided.step_id).status == "pending":
            yield decided
    for step in plan.steps.values():
        if step.incoming and (decision := _decision(state, step, fact)) is not None:
            yield decision


def _report(
    plan: Plan, state: RunState, fact: AttemptStarted | AttemptCompleted | AttemptFailed | AttemptWaits
) -> list[AnyEvent]:
    at, step_id, attempt = fact.at, fact.step_id, fact.attempt
    step = state.step(step_id)
    if step.status != "running" or step.attempt != attempt:
        return []
    match fact:
        case AttemptStarted(input=value):
            started = StepStarted(at=at, step_id=step_id, attempt=attempt, input=value)
            return [started] if step.started_at is None else []
        case AttemptCompleted(output=output, handles=handles):
            return [StepCompleted(at=at, step_id=step_id, attempt=attempt, output=output, handles=handles)]
        case AttemptWaits(until=until, output=output):
            return [StepWaiting(at=at, step_id=step_id, attempt=attempt, until=until, output=output)]
        case AttemptFailed():
            return [_failure(plan.steps[step_id], fact)]
        case _:
            assert_never(fact)


def _failure(step: Step, fact: AttemptFailed) -> AnyEvent:
    """Another attempt where the policy has one left, else the step's failure."""
    error = StepError(fact.code, fact.message, fact.attempt, fact.details)
    due_at = next_attempt_at(step.retry, fact.attempt, fact.at, fact.jitter, fact.retry_after)
    if fact.is_retryable and due_at is not None:
        return StepRetrying(
            at=fact.at, step_id=step.id, attempt=fact.attempt, error=error, next_attempt_at=due_at
        )  # fmt: skip
    return StepFailed(
        at=fact.at, step_id=step.id, attempt=fact.attempt, error=error, handles=_failure_handles(step)
    )  # fmt: skip


def _failure_handles(step: Step) -> tuple[str, ...]:
    """An error edge comes before ``on_error: continue``."""
    if step.has_error_edge:
        return ("error",)
    return ("default",) if step.on_error == "continue" else ()


def _go_on(plan: Plan, step_id: str, step: StepState, fact: TimePassed) -> Iterator[AnyEvent]:
    """A waiting step whose time has come: the next attempt of a failed one, the end of a delay."""
    if step.due_at is None or step.due_at > fact.at:
        return
    if step.error is not None:
        attempt = step.attempt + 1
        yield StepScheduled(at=fact.at, step_id=step_id, step_type=plan.steps[step_id].type, attempt=attempt)
    else:
        yield StepCompleted(at=fact.at, step_id=step_id, attempt=step.attempt, output=step.output)


def _lose(plan: Plan, step_id: str, step: StepState, fact: WorkerLost) -> Iterator[AnyEvent]:
    """An attempt whose worker died is made again as the next one, unless the step must not run twice."""
    if step.status != "running":
        return
    planned = plan.steps[step_id]
    if step.started_at is None:
        yield StepScheduled(at=fact.at, step_id=step_id, step_type=planned.type, attempt=step.attempt)
        return
    error = StepError("worker-lost", "The worker died while it ran the step.", step.attempt)
    due_at = _again_at(planned, step.attempt, fact)
    if due_at is None:
        handles = _failure_handles(planned)
        yield StepFailed(at=fact.at, step_id=step_id, attempt=step.attempt, error=error, handles=handles)
        return
    yield StepRetrying(at=fact.at, step_id=step_id, attempt=step.attempt, error=error, next_attempt_at=due_at)
    if due_at <= fact.at:
        yield StepScheduled(at=fact.at, step_id=step_id, step_type=planned.type, attempt=step.attempt + 1)


def _again_at(step: Step, attempt: int, fact: WorkerLost) -> datetime | None:
    """When a lost attempt is made again: the first at once, the others later and later; None when that is enough.

    A worker may die of the very step that it runs, and takes what else it runs with it. Chance parts those runs from
    the culprit, else they would die with it again each time; and the culprit fails in the end.
    """
    is_repeatable = step.retry.on_worker_lost or step.kind != "effect"
    if not is_repeatable or attempt >= max(step.retry.max_attempts, MAX_LOST_ATTEMPTS):
        return None
    if attempt == 1:
        return fact.at
    policy = msgspec.structs.replace(step.retry, max_attempts=MAX_ATTEMPTS)
    return next_attempt_at(policy, attempt - 1, fact.at, fact.jitter)


def _decision(
    state: RunState, step: Step, cause: StepCompleted | StepFailed | StepSkipped | TakenUp
) -> StepScheduled | StepSkipped | None:
    """Whether the step runs, is skipped, or cannot be decided yet.

    Sources are looked at from the last one: where they settle in the drawn order, the first look finds one that has
    not, so that joining n branches does not cost n * n looks.
    """
    if state.step(step.id).status != "pending":
        return None
    is_live = False
    for link in reversed(step.incoming):
        source = state.step(link.source)
        if source.status in SETTLED:
            is_live = is_live or link.handle in source.handles
        elif step.join == "all":
            return None
    if is_live:
        return StepScheduled(at=cause.at, step_id=step.id, step_type=step.type, attempt=1)
    if all(state.step(link.source).status in SETTLED for link in step.incoming):
        return StepSkipped(at=cause.at, step_id=step.id)
    return None


def _cancel_unsettled(plan: Plan, state: RunState, cause: AnyEvent | AnyFact) -> list[AnyEvent]:
    """Every step that has not settled, those of the state included whose plan is gone."""
    return [
        StepCancelled(at=cause.at, step_id=step_id)
        for step_id in dict.fromkeys([*plan.steps, *state.steps])
        if state.step(step_id).status not in SETTLED
    ]


def _output(plan: Plan, state: RunState) -> dict[str, Any]:
    """Step id to output, of each completed step that nothing follows."""
    return {step_id: state.step(step_id).output for step_id in plan.leaves if state.step(step_id).status == "completed"}


def _with_step(state: RunState, step_id: str, step: StepState) -> RunState:
    return msgspec.structs.replace(state, steps=state.steps.insert(step_id, step))


def _change(state: RunState, step_id: str, **changes: Any) -> RunState:
    return _with_step(state, step_id, msgspec.structs.replace(state.step(step_id), **changes))


def _is_pending(state: RunState, event: AnyEvent) -> bool:
    return isinstance(event, StepEvent) and state.step(event.step_id).status == "pending"


def _renew(state: RunState, step_ids: Iterable[str]) -> RunState:
    """A run that ended, going on, with these steps as if nothing had happened to them."""
    steps = state.steps
    for step_id in step_ids:
        steps = steps.discard(step_id)
    return msgspec.structs.replace(
        state,
        status="queued" if state.started_at is None else "running",
        steps=steps,
        settled=sum(step.status in SETTLED for step in steps.values()),
        started=max((step.position + 1 for step in steps.values() if step.position is not None), default=0),
        output=None,
        error=None,
        completed_at=None,
    )


def _settle(state: RunState, step_id: str, **changes: Any) -> RunState:
    settled = msgspec.structs.replace(state, settled=state.settled + 1)
    return _change(settled, step_id, due_at=None, **changes)
