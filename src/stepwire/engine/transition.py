"""What a run does next: ``advance`` says what follows from a fact.

Pure: no I/O, no clock, no chance. A report about an attempt that is over changes nothing, so the shell may report
late, twice and in any order.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from stepwire.definition.plan import Plan, Step
from stepwire.engine.commands import AnyCommand, Execute, StopAll
from stepwire.engine.events import (
    AnyEvent,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunResumed,
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
    Answered,
    AnyFact,
    AttemptCompleted,
    AttemptFailed,
    AttemptStarted,
    AttemptWaits,
    Begin,
    CancelRequested,
    ChildEnded,
    Expired,
    ItemsGiven,
    TakenUp,
    TimePassed,
    WorkerLost,
)
from stepwire.engine.fold import apply
from stepwire.engine.model import SETTLED, MapPlan, RunState, StepError
from stepwire.engine.places import item_of, locate
from stepwire.engine.retry import next_attempt_at
from stepwire.engine.settlement import (
    begun_items,
    cancel_all,
    cut_off,
    decision,
    failure,
    failure_handles,
    go_on,
    run_output,
    unanswered,
)

MAX_ATTEMPTS = 100
MAX_CONTEXT_BYTES = 16 << 20  # of the outputs of a run's steps together, where the shell says nothing else
_FOLLOWED = (StepStarted, StepCompleted, StepFailed, StepSkipped, StepCancelled, RunStarted)  # see `consequences`
MAX_ITEM_STEPS = 1_000_000  # of all containers of a run together
MAX_LOST_ATTEMPTS = 10  # of a step whose workers die, where its policy does not allow more


class Advance(msgspec.Struct, frozen=True):
    """The settled state; ``events`` to journal in this order; ``commands``, which wait until those are durable."""

    state: RunState
    events: tuple[AnyEvent, ...] = ()
    commands: tuple[AnyCommand, ...] = ()


def advance(
    plan: Plan, state: RunState, facts: Iterable[AnyFact], max_context_bytes: int = MAX_CONTEXT_BYTES
) -> Advance:
    """Take facts into a run, one after another, and say everything that follows from them.

    Consequences are followed until none is left: nothing more happens to the run until the next fact arrives. A step
    whose output would bring those of the run beyond ``max_context_bytes`` fails.
    """
    events: list[AnyEvent] = []
    unfollowed: deque[AnyEvent] = deque()

    def take(state: RunState, event: AnyEvent) -> RunState:
        after = apply(state, event)
        if isinstance(event, StepCompleted) and after.context_bytes > max(state.context_bytes, max_context_bytes):
            event = _too_large(plan, event, after.context_bytes, max_context_bytes)
            after = apply(state, event)
        events.append(event)
        if isinstance(event, _FOLLOWED):
            unfollowed.append(event)
        return after

    for fact in facts:
        for number, decided in enumerate(decide(plan, state, fact)):
            if state.is_finished:
                break
            if number and not _still_holds(state, fact, decided):
                continue  # what was decided before it, which the first has none of, has led to it or cut it off
            if state.status == "paused" and not isinstance(fact, CancelRequested | Expired | Abandoned):
                state = take(state, RunResumed(at=decided.at))
            state = take(state, decided)
            while unfollowed:
                for event in consequences(plan, state, unfollowed.popleft()):
                    state = take(state, event)
    if events and state.status == "running" and state.asking and not state.busy:
        state = take(state, RunPaused(at=events[-1].at))
    return Advance(state, tuple(events), tuple(commands(events)))


def decide(plan: Plan, state: RunState, fact: AnyFact) -> Sequence[AnyEvent]:
    """The events that a fact makes by itself; none where it is about something that is over."""
    match fact:
        case AttemptStarted() | AttemptCompleted() | AttemptFailed() | AttemptWaits() | ItemsGiven():
            return _report(plan, state, fact)
        case Begin(at=at):
            return [RunStarted(at=at), *_begin(plan, state, fact)] if state.status == "queued" else []
        case TakenUp():
            return [*_begin(plan, state, fact), *_decide_again(plan, state, "", fact)]
        case TimePassed(at=at):
            due = sorted(path for path, due_at in state.due.items() if due_at <= at)  # the map's own order is chance
            return [_when_due(plan, state, path, fact) for path in due]
        case WorkerLost():
            return [event for path in sorted(state.steps) for event in _lose(plan, state, path, fact)]
        case CancelRequested(at=at):
            return [*cancel_all(plan, state, fact), RunCancelled(at=at)]
        case Expired(at=at, seconds=seconds):
            error = StepError("run-timeout", f"The run has taken longer than {seconds:,.0f} seconds.")
            return [*cancel_all(plan, state, fact), RunFailed(at=at, error=error)]
        case Abandoned(at=at, code=code, message=message):
            return [*cancel_all(plan, state, fact), RunFailed(at=at, error=StepError(code, message))]
        case Answered() | ChildEnded():
            return _outside(plan, state, fact)
        case _:
            assert_never(fact)


def consequences(plan: Plan, state: RunState, event: AnyEvent) -> Sequence[AnyEvent]:
    """What follows from an event, in a state that has it: steps decided downstream, the end of an item or the run."""
    if state.is_finished:
        return []
    match event:
        case StepFailed(step_id=path, handles=handles):
            cut = cut_off(plan, state, event)
            follows = (
                _settled(plan, state, path, event) if handles else unanswered(plan, state, locate(plan, path), event)
            )
            return [*cut, *follows]
        case StepCompleted(step_id=path) | StepSkipped(step_id=path):
            return _settled(plan, state, path, event)
        case StepCancelled(step_id=path):
            place = locate(plan, path) if plan.steps else None
            is_over = place is not None and place.scope and place.scope not in state.items
            return go_on(plan, state, item_of(place.scope)[0], event) if place is not None and is_over else []
        case StepStarted(step_id=path) if event.map is not None:
            return go_on(plan, state, path, event)
        case RunStarted() if not plan.steps:
            return [RunCompleted(at=event.at, output={})]
        case _:
            return []


def commands(events: Iterable[AnyEvent]) -> Iterator[AnyCommand]:
    """What the shell is asked to do by these events, none of which is about an attempt that they also end."""
    wanted: dict[str, AnyCommand] = {}
    for event in events:
        match event:
            case StepStarted():  # the most frequent one, looked for first; nothing is asked for it
                pass
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


def _settled(plan: Plan, state: RunState, path: str, event: StepCompleted | StepFailed | StepSkipped) -> list[AnyEvent]:
    place = locate(plan, path)
    scope, steps = place.scope, place.plan.steps
    if scope:
        if scope not in state.items:
            return go_on(plan, state, item_of(scope)[0], event)
    elif state.settled == len(steps):
        return [RunCompleted(at=event.at, output=run_output(plan, state))]
    decisions = (decision(state, scope, steps[target], event) for target in place.step.downstream)
    return [decided for decided in decisions if decided is not None]


def _begin(plan: Plan, state: RunState, fact: Begin | TakenUp) -> Iterator[AnyEvent]:
    """Roots run at once, save the triggers that this run was not started by."""
    fired = plan.fired_triggers(fact.trigger_type)
    for step in map(plan.steps.__getitem__, plan.roots):
        known = state.step(step.id)
        if known.status != "pending":
            continue
        if step.kind == "trigger" and step.id not in fired:
            yield StepSkipped(at=fact.at, step_id=step.id)
        else:
            yield StepScheduled(at=fact.at, step_id=step.id, step_type=step.type, attempt=known.attempt + 1)


def _decide_again(
    plan: Plan, state: RunState, scope: str, fact: TakenUp, whole: Plan | None = None
) -> Iterator[AnyEvent]:
    """Pending steps that nothing is awaited for, and containers with room: none in a run that was never retried."""
    whole = whole or plan
    for step in plan.steps.values():
        path = scope + step.id
        if (step.incoming or scope) and (decided := decision(state, scope, step, fact)) is not None:
            yield decided
        for inner_scope in begun_items(state, path) if step.inner is not None else ():
            yield from _decide_again(step.inner or plan, state, inner_scope, fact, whole)
        yield from go_on(whole, state, path, fact) if step.inner is not None else ()


def _still_holds(state: RunState, fact: AnyFact, event: AnyEvent) -> bool:
    if not isinstance(event, StepEvent):
        return True
    status = state.step(event.step_id).status
    if isinstance(fact, TakenUp):
        return status == ("running" if isinstance(event, StepCompleted) else "pending")
    return status not in SETTLED


def _report(
    plan: Plan, state: RunState, fact: AttemptStarted | AttemptCompleted | AttemptFailed | AttemptWaits | ItemsGiven
) -> list[AnyEvent]:
    at, path, attempt = fact.at, fact.step_id, fact.attempt
    step = state.step(path)
    if step.status != "running" or step.attempt != attempt or step.map is not None:
        return []
    match fact:
        case AttemptStarted(input=value):
            started = StepStarted(at=at, step_id=path, attempt=attempt, input=value)
            return [started] if step.started_at is None else []
        case ItemsGiven(input=value, items=items, concurrency=concurrency, collects=collects):
            planned = locate(plan, path).step
            inner = len(planned.inner.steps) if planned.inner is not None else 0
            if state.item_steps + items * inner > MAX_ITEM_STEPS:
                return _too_many_steps(plan, state, fact)
            wanted = MapPlan(items, inner, concurrency, collects, _deadline(planned, at))
            return [StepStarted(at=at, step_id=path, attempt=attempt, input=value, map=wanted)]
        case AttemptCompleted(output=output, handles=handles):
            return [StepCompleted(at=at, step_id=path, attempt=attempt, output=output, handles=handles)]
        case AttemptWaits(until=until, waits_for=waits_for, output=output):
            deadline = _deadline(locate(plan, path).step, step.started_at or at)
            until = min(filter(None, (until, deadline)), default=None)
            return [
                StepWaiting(at=at, step_id=path, attempt=attempt, until=until, waits_for=waits_for, output=output)
            ]  # fmt: skip
        case AttemptFailed():
            return [failure(locate(plan, path), state, fact)]
        case _:
            assert_never(fact)


def _outside(plan: Plan, state: RunState, fact: Answered | ChildEnded) -> list[AnyEvent]:
    """What a person or a child run says to the step that waits for it."""
    at, path = fact.at, fact.step_id
    step = state.step(path)
    if step.status != "waiting":
        return []
    if isinstance(fact, Answered):
        answered = StepCompleted(at=at, step_id=path, attempt=step.attempt, output=fact.data)
        return [answered] if step.waits_for == "person" else []
    if step.waits_for != "run" or step.output != {"run_id": fact.run_id}:
        return []
    if fact.status == "completed":
        return [StepCompleted(at=at, step_id=path, attempt=step.attempt, output=fact.output)]
    message = f"The run {fact.run_id} was cancelled." if fact.error is None else fact.error.message
    failed = AttemptFailed(
        at=at,
        step_id=path,
        attempt=step.attempt,
        code="child-cancelled" if fact.error is None else "child-failed",
        message=message,
        details={"run_id": fact.run_id},
        is_retryable=fact.error is not None,
        jitter=fact.jitter,
    )
    return [failure(locate(plan, path), state, failed)]


def _when_due(plan: Plan, state: RunState, path: str, fact: TimePassed) -> AnyEvent:
    """A step whose time has come: the next attempt, the end of a delay; or nobody has answered, or it took too long."""
    step = state.step(path)
    place = locate(plan, path)
    planned = place.step
    if step.waits_for == "person":
        if "timeout" in planned.wired:
            return StepCompleted(at=fact.at, step_id=path, attempt=step.attempt, handles=("timeout",))
        error = StepError("approval-timeout", "Nobody answered in time.", step.attempt)
        handles = failure_handles(planned)
        return StepFailed(at=fact.at, step_id=path, attempt=step.attempt, error=error, handles=handles)
    if step.error is not None:
        return StepScheduled(at=fact.at, step_id=path, step_type=planned.type, attempt=step.attempt + 1)
    late = f"The step took longer than {planned.timeout or 0:g} seconds."
    if step.map is not None:
        error = StepError("timeout", late, step.attempt)
        return StepFailed(at=fact.at, step_id=path, attempt=step.attempt, error=error, handles=failure_handles(planned))
    if step.started_at is not None and step.due_at == _deadline(planned, step.started_at):
        failed = AttemptFailed(
            at=fact.at,
            step_id=path,
            attempt=step.attempt,
            code="timeout",
            message=late,
            is_retryable=True,
            jitter=fact.jitter,
        )
        return failure(place, state, failed)
    return StepCompleted(at=fact.at, step_id=path, attempt=step.attempt, output=step.output)


def _deadline(step: Step, started_at: datetime) -> datetime | None:
    """When an attempt that began then has taken too long, waits included; None where nothing limits it."""
    return None if step.timeout is None else started_at + timedelta(seconds=step.timeout)


def _too_many_steps(plan: Plan, state: RunState, given: ItemsGiven) -> list[AnyEvent]:
    """Containers in containers may come to any number of steps, each of which is kept in memory and in the database."""
    at, path, attempt = given.at, given.step_id, given.attempt
    message = f"With {given.items:,} items more, the run's containers would run more than {MAX_ITEM_STEPS:,} steps."
    failed = AttemptFailed(at=at, step_id=path, attempt=attempt, code="too-many-steps", message=message)
    started = StepStarted(at=at, step_id=path, attempt=attempt, input=given.input)
    return [started, failure(locate(plan, path), state, failed)]


def _too_large(plan: Plan, event: StepCompleted, size: int, limit: int) -> StepFailed:
    message = f"With this step, the outputs of the run's steps have {size:,} bytes; the limit is {limit:,}."
    error = StepError("context-too-large", message, event.attempt)
    handles = failure_handles(locate(plan, event.step_id).step)
    return StepFailed(at=event.at, step_id=event.step_id, attempt=event.attempt, error=error, handles=handles)


def _lose(plan: Plan, state: RunState, path: str, fact: WorkerLost) -> Iterator[AnyEvent]:
    """An attempt whose worker died is made again as the next one, unless the step must not run twice.

    A container has no attempt to lose: its items' steps have.
    """
    step = state.step(path)
    if step.status != "running" or step.map is not None:
        return
    planned = locate(plan, path).step
    if step.started_at is None:
        yield StepScheduled(at=fact.at, step_id=path, step_type=planned.type, attempt=step.attempt)
        return
    error = StepError("worker-lost", "The worker died while it ran the step.", step.attempt)
    due_at = _again_at(planned, step.attempt - step.earlier_attempts, fact)
    if due_at is None:
        handles = failure_handles(planned)
        yield StepFailed(at=fact.at, step_id=path, attempt=step.attempt, error=error, handles=handles)
        return
    yield StepRetrying(at=fact.at, step_id=path, attempt=step.attempt, error=error, next_attempt_at=due_at)
    if due_at <= fact.at:
        yield StepScheduled(at=fact.at, step_id=path, step_type=planned.type, attempt=step.attempt + 1)


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
