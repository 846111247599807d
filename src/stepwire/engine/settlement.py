"""How steps settle: which are decided next, what a failure leads to, and what is cut off when something ends early."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import msgspec

from stepwire.definition.plan import Plan, Step
from stepwire.engine.events import (
    AnyEvent,
    Event,
    RunFailed,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRetrying,
    StepScheduled,
    StepSkipped,
)
from stepwire.engine.facts import AttemptFailed, Fact
from stepwire.engine.model import SETTLED, RunState, StepError
from stepwire.engine.places import Place, item_of, locate, scope_in
from stepwire.engine.retry import next_attempt_at


def decision(state: RunState, scope: str, step: Step, cause: Event | Fact) -> StepScheduled | StepSkipped | None:
    """Whether the step runs, is skipped, or cannot be decided yet.

    Sources are looked at from the last one: where they settle in the drawn order, the first look finds one that has
    not, so that joining n branches does not cost n * n looks.
    """
    path = scope + step.id
    known = state.step(path)
    if known.status != "pending":
        return None
    is_live = not step.incoming
    for link in reversed(step.incoming):
        source = state.step(scope + link.source)
        if source.status in SETTLED:
            is_live = is_live or link.handle in source.handles
        elif step.join == "all":
            return None
    if is_live:
        return StepScheduled(at=cause.at, step_id=path, step_type=step.type, attempt=known.attempt + 1)
    if all(state.step(scope + link.source).status in SETTLED for link in step.incoming):
        return StepSkipped(at=cause.at, step_id=path)
    return None


def failure(place: Place, state: RunState, fact: AttemptFailed) -> StepRetrying | StepFailed:
    """Another attempt where the policy has one left, else the step's failure."""
    step, path = place.step, place.path
    error = StepError(fact.code, fact.message, fact.attempt, fact.details)
    counted = fact.attempt - state.step(path).earlier_attempts
    due_at = next_attempt_at(step.retry, counted, fact.at, fact.jitter, fact.retry_after)
    if fact.is_retryable and due_at is not None:
        return StepRetrying(at=fact.at, step_id=path, attempt=fact.attempt, error=error, next_attempt_at=due_at)
    return StepFailed(at=fact.at, step_id=path, attempt=fact.attempt, error=error, handles=failure_handles(step))


def failure_handles(step: Step) -> tuple[str, ...]:
    """An error edge comes before ``on_error: continue``."""
    if step.has_error_edge:
        return ("error",)
    return ("default",) if step.on_error == "continue" else ()


def unanswered(plan: Plan, state: RunState, place: Place, failed: StepFailed) -> list[AnyEvent]:
    """A failure that nothing takes care of ends the run; in a container, its item, or the container."""
    if not place.scope:
        ended = RunFailed(at=failed.at, error=failed.error, failed_step_id=failed.step_id)
        return [*cancel_all(plan, state, failed), ended]
    path, index = item_of(place.scope)
    container = state.step(path)
    if container.map is not None and container.map.collects:
        return [*cancel_in(place.plan, state, place.scope, failed)] or go_on(plan, state, path, failed)
    error = StepError(
        failed.error.code,
        f"Item {index}: {failed.error.message}",
        container.attempt,
        {"index": index, "step_id": failed.step_id},
    )
    handles = failure_handles(locate(plan, path).step)
    return [StepFailed(at=failed.at, step_id=path, attempt=container.attempt, error=error, handles=handles)]


def cut_off(plan: Plan, state: RunState, failed: StepFailed) -> list[AnyEvent]:
    """What still runs in a container that has failed is cancelled."""
    if state.step(failed.step_id).map is None:
        return []
    inner = locate(plan, failed.step_id).step.inner or plan
    return [event for scope in begun_items(state, failed.step_id) for event in cancel_in(inner, state, scope, failed)]


def go_on(plan: Plan, state: RunState, path: str, cause: Event | Fact) -> list[AnyEvent]:
    """What a container does next: begin as many items as may run side by side, or end when all have."""
    container = state.step(path)
    if container.status != "running" or container.map is None:
        return []
    inner = locate(plan, path).step.inner or plan
    wanted, progress = container.map, state.maps[path]
    if progress.done == wanted.items:
        output = [_item_output(inner, state, scope_in(path, index)) for index in range(wanted.items)]
        return [StepCompleted(at=cause.at, step_id=path, attempt=container.attempt, output=output)]
    end = min(wanted.items, progress.done + wanted.concurrency)
    return [
        StepScheduled(at=cause.at, step_id=f"{path}[{index}].{root}", step_type=inner.steps[root].type, attempt=1)
        for index in range(progress.begun, end)
        for root in inner.roots
    ]


def cancel_all(plan: Plan, state: RunState, cause: Event | Fact) -> Iterator[StepCancelled]:
    """Every step that has not settled, those of the state included whose plan is gone."""
    yield from cancel_in(plan, state, "", cause)
    if not plan.steps:
        for path, step in sorted(state.steps.items(), key=itemgetter(0)):
            if step.status not in SETTLED:
                yield StepCancelled(at=cause.at, step_id=path)


def cancel_in(plan: Plan, state: RunState, scope: str, cause: Event | Fact) -> Iterator[StepCancelled]:
    """Every step of a scope that has not settled; a container before what is in it, so that it begins nothing more."""
    for step in plan.steps.values():
        path = scope + step.id
        if state.step(path).status in SETTLED:
            continue
        yield StepCancelled(at=cause.at, step_id=path)
        for inner_scope in begun_items(state, path):
            yield from cancel_in(step.inner or plan, state, inner_scope, cause)


def begun_items(state: RunState, path: str) -> Iterator[str]:
    """The scopes of a container's items that have begun and not ended."""
    progress = state.maps.get(path)
    for index in range(progress.begun if progress is not None else 0):
        if (scope := scope_in(path, index)) in state.items:
            yield scope


def run_output(plan: Plan, state: RunState) -> dict[str, Any]:
    """Step id to output, of each completed step that nothing follows."""
    return {step_id: state.step(step_id).output for step_id in plan.leaves if state.step(step_id).status == "completed"}


def _item_output(plan: Plan, state: RunState, scope: str) -> dict[str, Any]:
    """Child id to output, of the children that nothing follows; of an item that failed, why."""
    for step_id in plan.steps:
        child = state.step(scope + step_id)
        if child.is_unanswered and child.error is not None:
            return {"error": msgspec.to_builtins(child.error)}
    return {
        step_id: child.output
        for step_id in plan.leaves
        if (child := state.step(scope + step_id)).status == "completed"
    }  # fmt: skip
