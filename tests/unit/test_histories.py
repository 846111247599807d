"""What runs of released versions left behind: every later version reads it to the same end, and goes on from it.

The files are made by ``make histories`` and never changed.
"""

from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rpds import HashTrieMap

from factories import plan_of
from stepwire.engine.events import (
    EVENT_TYPES,
    AnyEvent,
    RunQueued,
    RunResumed,
    RunRetried,
    RunStarted,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRetrying,
    StepScheduled,
    StepStarted,
    StepWaiting,
    revive,
)
from stepwire.engine.facts import (
    Answered,
    AnyFact,
    AttemptCompleted,
    AttemptFailed,
    AttemptStarted,
    AttemptWaits,
    Begin,
    CancelRequested,
    ChildEnded,
    ItemsGiven,
    TakenUp,
    TimePassed,
    WorkerLost,
)
from stepwire.engine.fold import apply, counted
from stepwire.engine.model import RunState, StepError, StepState
from stepwire.engine.transition import advance

FILES = sorted((Path(__file__).resolve().parents[1] / "histories").glob("*/*.json"))
MOST_FACTS_AT_ONCE = 20


class History(msgspec.Struct):
    definition: dict[str, Any]
    run: dict[str, Any]
    steps: dict[str, StepState]
    events: list[dict[str, Any]]

    def revived(self) -> list[AnyEvent]:
        return [
            revive(each["event"], each["step_id"], each["data"], msgspec.convert(each["at"], datetime))
            for each in self.events
        ]

    def stored(self) -> RunState:
        """The state as a worker that claims the run loads it."""
        run = self.run
        state = RunState(
            status=run["status"],
            steps=HashTrieMap(self.steps),
            output=run["output"],
            error=msgspec.convert(run["error"], StepError | None),
            started_at=msgspec.convert(run["started_at"], datetime),
            completed_at=msgspec.convert(run["completed_at"], datetime | None),
        )
        return counted(state)


@pytest.fixture(params=FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def history(request: pytest.FixtureRequest) -> History:
    return msgspec.json.decode(request.param.read_bytes(), type=History)


def test_a_stored_journal_is_read_to_the_stored_state(history: History) -> None:
    assert reduce(apply, history.revived(), RunState()) == history.stored()


def test_the_same_facts_still_make_the_same_events(history: History) -> None:
    """Facts are read off the events that they made. Those that were told at once are, where one by one says more."""
    plan, events = plan_of(history.definition), history.revived()
    assert isinstance(events[0], RunQueued)
    state, done = apply(RunState(), events[0]), 1
    while done < len(events):
        if isinstance(event := events[done], RunRetried):
            state, done = apply(state, event), done + 1
            continue
        facts: list[AnyFact] = []
        made: tuple[AnyEvent, ...] = ()
        while not made or list(made) != events[done : done + len(made)]:
            told = done + _agreed(made, events[done:])
            assert len(facts) < MOST_FACTS_AT_ONCE, f"at event {told + 1}, {events[told]}: {made[told - done :][:1]}"
            facts.append(_fact(events, told, reduce(apply, events[:told], RunState())))
            made = advance(plan, state, facts).events
        state, done = advance(plan, state, facts).state, done + len(made)
        assert state == reduce(apply, events[:done], RunState())


def test_a_run_that_has_not_ended_goes_on_from_its_stored_state(history: History) -> None:
    plan, state = plan_of(history.definition), history.stored()
    at = msgspec.convert(history.events[-1]["at"], datetime)
    facts: list[AnyFact] = [WorkerLost(at=at), TakenUp(at=at, trigger_type=history.run["trigger_type"])]

    taken = advance(plan, state, facts)
    answered = advance(plan, taken.state, [Answered(at=at, step_id=path, data={}) for path in sorted(state.asking)])

    assert taken.events == ()
    assert answered.state.status in ("completed", "failed", "cancelled")


def test_the_stored_histories_hold_every_event_and_every_end() -> None:
    seen = [msgspec.json.decode(file.read_bytes(), type=History) for file in FILES]

    assert {event["event"] for each in seen for event in each.events} == set(EVENT_TYPES)
    assert {each.run["status"] for each in seen} == {"paused", "completed", "failed", "cancelled"}
    assert {step.status for each in seen for step in each.steps.values()} >= {
        "waiting",
        "skipped",
        "cancelled",
        "failed",
    }
    assert any(path.count("].") == 2 for each in seen for path in each.steps)


def _agreed(made: tuple[AnyEvent, ...], events: list[AnyEvent]) -> int:
    """How many of the first events are the same."""
    return next(
        (number for number, pair in enumerate(zip(made, events, strict=False)) if pair[0] != pair[1]), len(made)
    )


def _fact(events: list[AnyEvent], position: int, state: RunState) -> AnyFact:
    """The fact that made an event which does not follow from those before it."""
    event = events[position]
    if isinstance(event, RunResumed):
        return _fact(events, position + 1, apply(state, event))
    queued = events[0]
    assert isinstance(queued, RunQueued)
    at = event.at
    match event:
        case RunStarted():
            return Begin(at=at, trigger_type=queued.trigger_type)
        case StepStarted(step_id=path, attempt=attempt, input=value, map=None):
            return AttemptStarted(at=at, step_id=path, attempt=attempt, input=value)
        case StepStarted(step_id=path, attempt=attempt, input=value, map=wanted):
            assert wanted is not None
            return ItemsGiven(
                at=at, step_id=path, attempt=attempt, input=value, items=wanted.items,
                concurrency=wanted.concurrency, collects=wanted.collects,
            )  # fmt: skip
        case StepWaiting(step_id=path, attempt=attempt, until=until, waits_for=waits_for, output=output):
            return AttemptWaits(
                at=at, step_id=path, attempt=attempt, until=until, waits_for=waits_for, output=output
            )  # fmt: skip
        case StepCompleted():
            return _end(event, state.step(event.step_id))
        case StepFailed() | StepRetrying():
            return _failure(event, state.step(event.step_id))
        case StepScheduled(step_id=path):
            waited = state.step(path).status == "waiting"
            return TimePassed(at=at) if waited else TakenUp(at=at, trigger_type=queued.trigger_type)
        case StepCancelled():
            return CancelRequested(at=at)
        case _:
            raise AssertionError(f"Nothing from outside makes {event}")


def _end(event: StepCompleted, step: StepState) -> AnyFact:
    at, path = event.at, event.step_id
    if step.status != "waiting":
        return AttemptCompleted(
            at=at, step_id=path, attempt=event.attempt, output=event.output, handles=event.handles
        )  # fmt: skip
    if step.waits_for == "person" and event.handles == ("default",):
        return Answered(at=at, step_id=path, data=event.output)
    if step.waits_for == "run":
        return ChildEnded(at=at, step_id=path, run_id=step.output["run_id"], status="completed", output=event.output)
    return TimePassed(at=at)


def _failure(event: StepFailed | StepRetrying, step: StepState) -> AnyFact:
    at, path, error = event.at, event.step_id, event.error
    if error.code == "worker-lost":
        return WorkerLost(at=at)
    if error.code == "child-failed":
        ended = StepError("", error.message)
        return ChildEnded(at=at, step_id=path, run_id=step.output["run_id"], status="failed", error=ended)
    if step.status == "waiting":
        return TimePassed(at=at)
    wait = (event.next_attempt_at - at).total_seconds() if isinstance(event, StepRetrying) else None
    return AttemptFailed(
        at=at, step_id=path, attempt=event.attempt, code=error.code, message=error.message, details=error.details,
        is_retryable=wait is not None, retry_after=wait, jitter=1.0,
    )  # fmt: skip
