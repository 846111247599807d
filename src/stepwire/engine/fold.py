"""A run's state from its events: ``apply`` takes one more in. It never refuses and never decides."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, assert_never

import msgspec
from rpds import HashTrieMap, HashTrieSet

from stepwire.engine.events import (
    AnyEvent,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunQueued,
    RunResumed,
    RunRetried,
    RunStarted,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRetrying,
    StepScheduled,
    StepSkipped,
    StepStarted,
    StepWaiting,
)
from stepwire.engine.model import SETTLED, MapProgress, RunState, StepState
from stepwire.engine.places import item_of, scope_in, scope_of

_replace = msgspec.structs.replace


def apply(state: RunState, event: AnyEvent) -> RunState:
    """Fold one event into the state. Replay is this function over the journal, and nothing else."""
    match event:
        case StepScheduled(step_id=step_id, attempt=attempt):
            known = state.step(step_id)
            step = StepState(
                status="running", attempt=attempt, position=known.position, earlier_attempts=known.earlier_attempts
            )
            return _begin_item(_put(state, step_id, known, step), step_id)
        case StepStarted(step_id=step_id, input=value, map=plan, at=at):
            known = state.step(step_id)
            position = state.started if known.position is None else known.position
            until = None if plan is None else plan.until
            step = _replace(
                known, status="running", input=value, started_at=at, position=position, map=plan, due_at=until
            )
            started = _put(state, step_id, known, step, started=max(state.started, position + 1))
            return started if plan is None else _replace(started, maps=started.maps.insert(step_id, MapProgress()))
        case StepRetrying(step_id=step_id, error=error, next_attempt_at=due_at):
            return _change(state, step_id, status="waiting", waits_for="time", error=error, due_at=due_at)
        case StepWaiting(step_id=step_id, until=until, waits_for=waits_for, output=output):
            return _change(state, step_id, status="waiting", waits_for=waits_for, due_at=until, output=output)
        case StepCompleted(step_id=step_id, output=output, handles=handles, at=at):
            step = _settled(
                state.step(step_id), status="completed", output=output, error=None, handles=handles, completed_at=at
            )
            return _settle(state, step_id, step, context_bytes=state.context_bytes + _bytes_of(output))
        case StepFailed(step_id=step_id, attempt=attempt, error=error, handles=handles, at=at):
            step = _settled(
                state.step(step_id), status="failed", output=None, error=error, handles=handles, completed_at=at,
                attempt=attempt,
            )  # fmt: skip
            return _settle(state, step_id, step)
        case StepSkipped(step_id=step_id, at=at):
            return _settle(state, step_id, _settled(state.step(step_id), status="skipped", completed_at=at))
        case StepCancelled(step_id=step_id, at=at):
            step = _settled(state.step(step_id), status="cancelled", output=None, completed_at=at)
            return _settle(state, step_id, step)
        case RunQueued():
            return state
        case RunStarted(at=at):
            return _replace(state, status="running", started_at=at)
        case RunPaused():
            return _replace(state, status="paused")
        case RunResumed():
            return _replace(state, status="running")
        case RunCompleted(output=output, at=at):
            return _replace(state, status="completed", output=output, completed_at=at)
        case RunFailed(error=error, at=at):
            return _replace(state, status="failed", error=error, completed_at=at)
        case RunCancelled(at=at):
            return _replace(state, status="cancelled", completed_at=at)
        case RunRetried(step_ids=step_ids, at=at):
            return _renew(state, step_ids, at)
        case _:
            assert_never(event)


def counted(state: RunState) -> RunState:
    """The state with everything counted anew that is kept only for speed: of a state that was read, or renewed."""
    steps = state.steps
    settled: dict[str, int] = {}
    unanswered: set[str] = set()
    begun: dict[str, int] = {}
    for path, step in steps.items():
        scope = scope_of(state, path)
        settled[scope] = settled.get(scope, 0) + (step.status in SETTLED)
        if scope:
            container, index = item_of(scope)
            begun[container] = max(begun.get(container, 0), index + 1)
            if step.is_unanswered:
                unanswered.add(scope)
    items: dict[str, int] = {}
    maps: dict[str, MapProgress] = {}
    for path, step in steps.items():
        if step.map is not None:
            scopes = [scope_in(path, index) for index in range(begun.get(path, 0))]
            done = {scope for scope in scopes if settled.get(scope, 0) == step.map.steps}
            maps[path] = MapProgress(len(scopes), len(done), sum(scope in unanswered for scope in scopes))
            items.update({scope: settled.get(scope, 0) for scope in scopes if scope not in done})
    return _replace(
        state,
        settled=settled.get("", 0),
        started=max((step.position + 1 for step in steps.values() if step.position is not None), default=0),
        busy=sum(step.is_busy for step in steps.values()),
        asking=HashTrieSet(path for path, step in steps.items() if step.waits_for == "person"),
        awaiting=HashTrieSet(path for path, step in steps.items() if step.waits_for == "run"),
        due=HashTrieMap({path: step.due_at for path, step in steps.items() if step.due_at is not None}),
        maps=HashTrieMap(maps),
        items=HashTrieMap(items),
        context_bytes=sum(_bytes_of(step.output) for step in steps.values() if step.status == "completed"),
    )


def renewable(state: RunState) -> list[str]:
    """What a retry of a failed run makes new: the steps that failed it and those that were cancelled for it.

    An item that failed by itself, in a container that notes failures and goes on, is as done as any other.
    """
    failed_items = {
        scope for path, step in state.steps.items() if step.is_unanswered and (scope := scope_of(state, path))
    }
    found: dict[str, bool] = {}

    def is_renewable(path: str) -> bool:
        if path not in found:
            step, scope = state.step(path), scope_of(state, path)
            found[path] = step.status == "cancelled" or step.is_unanswered
            if found[path] and scope:
                container, _ = item_of(scope)
                plan = state.step(container).map
                is_noted = plan is not None and plan.collects and scope in failed_items
                found[path] = is_renewable(container) and not is_noted
        return found[path]

    return sorted(path for path in state.steps if is_renewable(path))


def _bytes_of(output: Any) -> int:
    return 0 if output is None else len(msgspec.json.encode(output))


def _put(state: RunState, path: str, known: StepState, step: StepState, **changes: Any) -> RunState:
    """The state with a step that was ``known``, with what is counted of it, and with other ``changes``."""
    if step.due_at is not None:
        changes["due"] = state.due.insert(path, step.due_at)
    elif known.due_at is not None:
        changes["due"] = state.due.discard(path)
    if step.waits_for != known.waits_for:
        changes["asking"] = _moved(state.asking, path, step.waits_for == "person")
        changes["awaiting"] = _moved(state.awaiting, path, step.waits_for == "run")
    busy = state.busy + step.is_busy - known.is_busy
    return _replace(state, steps=state.steps.insert(path, step), busy=busy, **changes)


def _moved(paths: "HashTrieSet[str]", path: str, is_in: bool) -> "HashTrieSet[str]":
    return paths.insert(path) if is_in else paths.discard(path)


def _change(state: RunState, path: str, **changes: Any) -> RunState:
    known = state.step(path)
    return _put(state, path, known, _replace(known, **changes))


def _begin_item(state: RunState, path: str) -> RunState:
    """Note that an item has begun, with the first of its steps that is scheduled."""
    scope = scope_of(state, path)
    if not scope:
        return state
    container, index = item_of(scope)
    progress = state.maps[container]
    if index < progress.begun:
        return state
    begun = state.maps.insert(container, _replace(progress, begun=index + 1))
    return _replace(state, maps=begun, items=state.items.insert(scope, 0))


def _settled(known: StepState, **changes: Any) -> StepState:
    return _replace(known, due_at=None, waits_for=None, **changes)


def _settle(state: RunState, path: str, step: StepState, **changes: Any) -> RunState:
    """The state with a step that settled, counted where it is: in its item, or outside of containers."""
    known, scope = state.step(path), scope_of(state, path)
    if not scope:
        return _put(state, path, known, step, settled=state.settled + 1, **changes)
    changed = _put(state, path, known, step, **changes)
    container, _ = item_of(scope)
    plan, progress = state.step(container).map, state.maps[container]
    count = state.items[scope] + 1
    is_done = plan is not None and count == plan.steps
    return _replace(
        changed,
        items=state.items.discard(scope) if is_done else state.items.insert(scope, count),
        maps=changed.maps.insert(
            container,
            MapProgress(
                progress.begun, progress.done + is_done, progress.failed + step.is_unanswered
            ),
        ),
    )  # fmt: skip


def _renew(state: RunState, step_ids: Iterable[str], at: datetime) -> RunState:
    """A run that ended, going on: with these steps as new, save containers, which go on where they were and have all
    their time again.
    """
    steps = state.steps
    for path in step_ids:
        known = state.step(path)
        if known.map is None:
            steps = steps.insert(path, StepState(attempt=known.attempt, earlier_attempts=known.attempt))
        else:
            until, since = known.map.until, known.started_at
            due_at = None if until is None or since is None else at + (until - since)
            going_on = _replace(
                known, status="running", error=None, handles=(), output=None, completed_at=None, due_at=due_at
            )
            steps = steps.insert(path, going_on)
    renewed = _replace(
        state,
        status="queued" if state.started_at is None else "running",
        steps=steps,
        output=None,
        error=None,
        completed_at=None,
    )
    return counted(renewed)
