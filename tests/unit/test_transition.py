"""What a run does, for every graph and every order of reports, against a naive reading of the contract."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import reduce
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import NOW, chain, definition, definitions, edge, node, plan_of, plans
from stepwire.definition.plan import Plan, RetryPolicy
from stepwire.engine.commands import Execute, StopAll
from stepwire.engine.events import (
    EVENT_TYPES,
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
    data_of,
    revive,
    step_id_of,
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
from stepwire.engine.fold import apply, renewable
from stepwire.engine.model import SETTLED, MapPlan, RunState, StepError, StepState
from stepwire.engine.retry import next_attempt_at
from stepwire.engine.transition import advance

TERMINAL = (RunCompleted, RunFailed, RunCancelled)
SHUFFLES = st.integers(0, 2**32).map(Random)
ERROR = StepError("broken", "It broke.", 1)


# Driving a run by hand


@dataclass
class Run:
    """A run and everything that came of it; ``told`` are the facts, ``ordered`` the attempts asked for."""

    plan: Plan
    state: RunState = field(default_factory=RunState)
    journal: list[AnyEvent] = field(default_factory=list)
    told: list[AnyFact] = field(default_factory=list)
    ordered: list[tuple[str, int]] = field(default_factory=list)
    last: tuple[AnyEvent, ...] = ()
    is_stopped: bool = False

    def take(self, *facts: AnyFact) -> list[tuple[str, int]]:
        """Tell the run facts; the attempts that it asks for now."""
        result = advance(self.plan, self.state, facts)
        self.state, self.last = result.state, result.events
        self.journal.extend(result.events)
        self.told.extend(facts)
        orders = [(each.step_id, each.attempt) for each in result.commands if isinstance(each, Execute)]
        self.ordered.extend(orders)
        self.is_stopped = self.is_stopped or any(isinstance(each, StopAll) for each in result.commands)
        return orders

    def complete(self, step_id: str, *handles: str, output: Any = None, attempt: int = 1) -> None:
        self.take(
            AttemptStarted(at=NOW, step_id=step_id, attempt=attempt),
            AttemptCompleted(at=NOW, step_id=step_id, attempt=attempt, output=output, handles=handles or ("default",)),
        )

    def fail(self, step_id: str, attempt: int = 1, at: datetime = NOW, **more: Any) -> None:
        self.take(
            AttemptStarted(at=at, step_id=step_id, attempt=attempt),
            AttemptFailed(at=at, step_id=step_id, attempt=attempt, code="broken", message="It broke.", **more),
        )

    @property
    def statuses(self) -> dict[str, str]:
        return {step_id: self.state.step(step_id).status for step_id in self.plan.steps}


def begun(raw: dict[str, Any], trigger_type: Any = "manual") -> Run:
    run = Run(plan_of(raw))
    run.take(Begin(at=NOW, trigger_type=trigger_type))
    return run


@dataclass(frozen=True)
class Behaviour:
    """What a step does whenever it runs: ``failures`` attempts fail, then it fails for good, or takes ``handle``."""

    handle: str
    failures: int = 0
    fails: bool = False
    waits: bool = False


@st.composite
def scenarios(draw: st.DrawFn, may_retry: bool = True) -> tuple[dict[str, Any], dict[str, Behaviour], Any]:
    raw = draw(definitions())
    behaviours = {}
    for each in raw["nodes"]:
        handles = {"core.condition": ("true", "false"), "core.switch": ("red", "blue", "default")}
        step_type = each["data"]["step_type"]
        handle = draw(st.sampled_from(handles.get(step_type, ("default",))))
        behaviours[each["id"]] = Behaviour(
            handle=handle,
            failures=draw(st.integers(0, 3)) if may_retry else 0,
            fails=step_type == "core.fail" or draw(st.integers(0, 4)) == 0,
            waits=handle == "default" and draw(st.booleans()),
        )
    return raw, behaviours, draw(st.sampled_from(["manual", "webhook", "schedule", "workflow"]))


def play(
    raw: dict[str, Any],
    behaviours: dict[str, Behaviour],
    trigger_type: Any,
    random: Random,
    *,
    noise: float = 0.0,
    losses: int = 0,
) -> Run:
    """Play a run to its end: reports in any order, with a part of ``noise``: old reports, early timers, lost workers."""
    run = Run(plan_of(raw))
    orders = run.take(Begin(at=NOW, trigger_type=trigger_type))
    return go_on(run, orders, behaviours, random, noise=noise, losses=losses)


def go_on(
    run: Run,
    orders: list[tuple[str, int]],
    behaviours: dict[str, Behaviour],
    random: Random,
    *,
    noise: float = 0.0,
    losses: int = 0,
) -> Run:
    clock = NOW
    in_flight: dict[tuple[str, int], bool] = dict.fromkeys(orders, False)  # whether the attempt has started
    for _ in range(2000):
        if run.state.is_finished:
            return run
        clock += timedelta(seconds=1)
        if losses and random.random() < 0.2:
            losses -= 1
            in_flight = dict.fromkeys(run.take(WorkerLost(at=clock)), False)
            continue
        if random.random() < noise:
            again = random.choice(
                [fact for fact in run.told if not isinstance(fact, WorkerLost)] + [TimePassed(at=NOW)]
            )
            assert run.take(again) == []
            continue
        due_at = run.state.next_due_at()
        chosen = random.choice([*in_flight, *(["timer"] if due_at else [])])
        if isinstance(chosen, str):
            clock = max(clock, due_at or clock)
            facts: list[AnyFact] = [TimePassed(at=clock)]
        elif not in_flight[chosen]:
            in_flight[chosen] = True
            facts = [AttemptStarted(at=clock, step_id=chosen[0], attempt=chosen[1], input={"n": 1})]
            if random.random() < 0.5:
                del in_flight[chosen]
                facts.append(ending(behaviours[chosen[0]], *chosen, clock))
        else:
            del in_flight[chosen]
            facts = [ending(behaviours[chosen[0]], *chosen, clock)]
        orders = run.take(*facts)
        in_flight |= dict.fromkeys(orders, False)
        if run.state.is_finished:
            in_flight.clear()
    raise AssertionError("The run does not end.")


def ending(behaviour: Behaviour, step_id: str, attempt: int, at: datetime) -> AnyFact:
    if attempt <= behaviour.failures or behaviour.fails:
        is_retryable = attempt <= behaviour.failures
        return AttemptFailed(
            at=at, step_id=step_id, attempt=attempt, code="broken", message="It broke.", is_retryable=is_retryable
        )
    if behaviour.waits:
        return AttemptWaits(at=at, step_id=step_id, attempt=attempt, until=at + timedelta(minutes=1), output=step_id)
    return AttemptCompleted(at=at, step_id=step_id, attempt=attempt, output=step_id, handles=(behaviour.handle,))


# The reference: the contract's settlement rule, looked at again and again until nothing changes


@dataclass
class Expected:
    statuses: dict[str, str]
    attempts: dict[str, int]
    unanswered: set[str]
    output: dict[str, Any]


def reference(raw: dict[str, Any], behaviours: dict[str, Behaviour], trigger_type: str) -> Expected:
    data = {each["id"]: each["data"] for each in raw["nodes"]}
    statuses: dict[str, str] = {}
    attempts: dict[str, int] = {}
    fired: dict[str, str] = {}
    unanswered: set[str] = set()
    while len(statuses) < len(data):
        for step_id in sorted(data):
            sources = [each for each in raw["edges"] if each["target"] == step_id]
            if step_id in statuses or any(each["source"] not in statuses for each in sources):
                continue
            live = [each for each in sources if fired.get(each["source"]) == (each["sourceHandle"] or "default")]
            if not (live if sources else fires(data, step_id, trigger_type)):
                statuses[step_id] = "skipped"
                continue
            behaviour = behaviours[step_id]
            most = data[step_id].get("retry", {}).get("max_attempts", 1)
            attempts[step_id] = min(behaviour.failures + 1, most)
            if behaviour.fails or behaviour.failures >= most:
                statuses[step_id] = "failed"
                outgoing = [each["sourceHandle"] for each in raw["edges"] if each["source"] == step_id]
                if "error" in outgoing:
                    fired[step_id] = "error"
                elif data[step_id].get("on_error") == "continue":
                    fired[step_id] = "default"
                else:
                    unanswered.add(step_id)
            else:
                statuses[step_id] = "completed"
                fired[step_id] = behaviour.handle
    followed = {each["source"] for each in raw["edges"]}
    output = {step_id: step_id for step_id in data if statuses[step_id] == "completed" and step_id not in followed}
    return Expected(statuses, attempts, unanswered, output)


def fires(data: dict[str, Any], step_id: str, trigger_type: str) -> bool:
    types = {each: each_data["step_type"] for each, each_data in data.items()}
    if not types[step_id].startswith("trigger."):
        return True
    own = "trigger.manual" if trigger_type == "workflow" else f"trigger.{trigger_type}"
    return types[step_id] == (own if own in types.values() else "trigger.manual")


# Properties


@given(scenarios(), SHUFFLES)
def test_the_outcome_is_the_references_in_every_order_of_reports(scenario: Any, random: Random) -> None:
    """Old, doubled and early reports change nothing. Where a failure is unanswered, who was first decides the rest."""
    expected = reference(*scenario)

    run = play(*scenario, random, noise=0.3)

    if expected.unanswered:
        assert run.state.status == "failed"
        assert all(status in (expected.statuses[each], "cancelled") for each, status in run.statuses.items())
        failed = run.journal[-1]
        assert isinstance(failed, RunFailed)
        assert failed.failed_step_id in expected.unanswered
        assert run.state.error == run.state.step(failed.failed_step_id or "").error == failed.error
    else:
        assert run.state.status == "completed"
        assert run.statuses == expected.statuses
        assert {each: run.state.step(each).attempt for each in expected.attempts} == expected.attempts
        assert run.state.output == expected.output


@given(scenarios(may_retry=False), SHUFFLES)
def test_a_lost_worker_changes_no_outcome(scenario: Any, random: Random) -> None:
    expected = reference(*scenario)

    run = play(*scenario, random, losses=4)

    assert run.state.status == ("failed" if expected.unanswered else "completed")
    if not expected.unanswered:
        assert run.statuses == expected.statuses
        assert run.state.output == expected.output


@given(scenarios(may_retry=False), SHUFFLES, st.booleans())
def test_a_retried_run_ends_as_if_its_failed_steps_had_worked_at_once(
    scenario: Any, random: Random, begins_lost: bool
) -> None:
    raw, behaviours, trigger_type = scenario
    run = play(*scenario, random)
    if run.state.status != "failed":
        return
    renewed = renewable(run.state)
    finished = {each for each in run.plan.steps if each not in renewed}
    healed = behaviours | {each: replace(behaviours[each], fails=False) for each in renewed}
    expected = reference(raw, healed, trigger_type)

    retry(run, renewed)
    took_up = len(run.journal)
    orders = run.take(*([WorkerLost(at=NOW)] if begins_lost else []), TakenUp(at=NOW, trigger_type=trigger_type))
    assert run.take(TakenUp(at=NOW, trigger_type=trigger_type)) == [], "nothing is decided twice"
    go_on(run, orders, healed, random, noise=0.2)

    assert run.state.status == "completed"
    assert run.statuses == expected.statuses
    assert run.state.output == expected.output
    assert not finished & {step_id_of(event) for event in run.journal[took_up:]}
    assert reduce(apply, map(through_json, run.journal), RunState()) == run.state


def test_a_run_that_never_began_begins_when_it_is_retried() -> None:
    run = Run(plan_of(chain(node("a"), node("b"))))
    run.take(Abandoned(at=NOW, code="plan-unavailable", message="No plan."))

    retry(run, renewable(run.state))

    assert (run.state.status, set(run.statuses.values())) == ("queued", {"pending"})
    assert run.take(Begin(at=NOW, trigger_type="manual")) == [("a", 1)]


def retry(run: Run, step_ids: list[str]) -> None:
    event = RunRetried(at=NOW, step_ids=tuple(step_ids))
    run.journal.append(event)
    run.state = apply(run.state, event)


@given(scenarios(), SHUFFLES)
def test_replaying_the_stored_journal_gives_the_state(scenario: Any, random: Random) -> None:
    run = play(*scenario, random, noise=0.2, losses=2)

    stored = [through_json(event) for event in run.journal]

    assert reduce(apply, run.journal, RunState()) == run.state
    assert reduce(apply, stored, RunState()) == run.state


@given(scenarios(), SHUFFLES)
def test_the_run_ends_exactly_when_every_step_has_settled(scenario: Any, random: Random) -> None:
    run = play(*scenario, random, noise=0.2, losses=2)

    before = reduce(apply, run.journal[:-1], RunState())
    assert isinstance(run.journal[-1], TERMINAL)
    assert not any(isinstance(event, TERMINAL) for event in run.journal[:-1])
    assert not before.is_finished
    assert set(run.statuses.values()) <= SETTLED
    assert run.state.settled == len(run.plan.steps)
    assert run.is_stopped
    last_settled = next(event for event in reversed(run.journal[:-1]) if run.state.step(step_id_of(event) or ""))
    assert isinstance(last_settled, StepCompleted | StepFailed | StepSkipped | StepCancelled)


@given(scenarios(), SHUFFLES)
def test_every_step_settles_once(scenario: Any, random: Random) -> None:
    run = play(*scenario, random, noise=0.3, losses=2)

    settlements = Counter(
        step_id_of(event)
        for event in run.journal
        if isinstance(event, StepCompleted | StepFailed | StepSkipped | StepCancelled)
    )
    assert settlements == dict.fromkeys(run.plan.steps, 1)


@given(scenarios(), SHUFFLES)
def test_no_attempt_is_ordered_or_started_twice(scenario: Any, random: Random) -> None:
    run = play(*scenario, random, noise=0.3)

    starts = Counter((event.step_id, event.attempt) for event in run.journal if isinstance(event, StepStarted))
    assert set(Counter(run.ordered).values()) <= {1}
    assert set(starts.values()) <= {1}
    assert starts.keys() <= set(run.ordered)


@given(scenarios(), SHUFFLES)
def test_a_step_runs_only_where_a_live_edge_or_a_fired_trigger_leads_to_it(scenario: Any, random: Random) -> None:
    raw, _, trigger_type = scenario
    data = {each["id"]: each["data"] for each in raw["nodes"]}

    run = play(*scenario, random, noise=0.2)

    fired: dict[str, tuple[str, ...]] = {}
    for event in run.journal:
        if isinstance(event, StepCompleted | StepFailed):
            fired[event.step_id] = event.handles
        if not isinstance(event, StepScheduled | StepSkipped):
            continue
        sources = [each for each in raw["edges"] if each["target"] == event.step_id]
        is_live = any((each["sourceHandle"] or "default") in fired.get(each["source"], ()) for each in sources)
        assert isinstance(event, StepScheduled) == (is_live if sources else fires(data, event.step_id, trigger_type)), (
            event
        )


@given(scenarios(), SHUFFLES)
def test_a_join_of_all_waits_for_all_its_sources(scenario: Any, random: Random) -> None:
    raw = scenario[0]
    joins = {each["id"]: each["data"].get("join", "all") for each in raw["nodes"]}

    run = play(*scenario, random, noise=0.2)

    settled: set[str] = set()
    for event in run.journal:
        if isinstance(event, StepCompleted | StepFailed | StepSkipped | StepCancelled):
            settled.add(event.step_id)
        sources = {each["source"] for each in raw["edges"] if each["target"] == step_id_of(event)}
        is_decided_early = isinstance(event, StepScheduled) and joins[event.step_id] == "any"
        if isinstance(event, StepScheduled | StepSkipped) and not is_decided_early:
            assert sources <= settled


@given(scenarios(), SHUFFLES)
def test_after_an_unanswered_failure_everything_unsettled_is_cancelled_at_once(scenario: Any, random: Random) -> None:
    run = play(*scenario, random, noise=0.2)

    if run.state.status == "failed":
        failure = next(n for n, event in enumerate(run.journal) if isinstance(event, StepFailed) and not event.handles)
        before = reduce(apply, run.journal[: failure + 1], RunState())
        unsettled = {step_id for step_id in run.plan.steps if before.step(step_id).status not in SETTLED}
        after = run.journal[failure + 1 : -1]
        assert {event.step_id for event in after if isinstance(event, StepCancelled)} == unsettled
        assert len(after) == len(unsettled)
    else:
        assert "cancelled" not in run.statuses.values()


@given(scenarios(), SHUFFLES, st.data())
def test_cancelling_at_any_moment_settles_everything(scenario: Any, random: Random, data: st.DataObject) -> None:
    played = play(*scenario, random)
    run = Run(played.plan)
    for fact in played.told[: data.draw(st.integers(0, len(played.told) - 1))]:
        run.take(fact)
    was = dict(run.statuses)
    was_finished = run.state.is_finished

    run.take(CancelRequested(at=NOW))

    if not was_finished:
        assert run.state.status == "cancelled"
        assert run.statuses == {each: status if status in SETTLED else "cancelled" for each, status in was.items()}
        assert isinstance(run.last[-1], RunCancelled)


@given(scenarios(), SHUFFLES)
def test_a_finished_run_is_final(scenario: Any, random: Random) -> None:
    run = play(*scenario, random)
    final, length = run.state, len(run.journal)

    late = [CancelRequested(at=NOW), WorkerLost(at=NOW), Abandoned(at=NOW, code="x", message="x")]
    orders = run.take(*run.told, *late, TimePassed(at=NOW + timedelta(days=99)))

    assert (run.state, len(run.journal), orders) == (final, length, [])


@given(scenarios(), SHUFFLES)
def test_facts_taken_together_are_the_same_as_one_by_one(scenario: Any, random: Random) -> None:
    one_by_one = play(*scenario, random, noise=0.1, losses=1)

    together = advance(one_by_one.plan, RunState(), one_by_one.told)

    assert together.state == one_by_one.state
    assert list(together.events) == one_by_one.journal


@given(scenarios(), SHUFFLES, st.data())
def test_a_lost_worker_orders_exactly_what_was_in_flight_again(
    scenario: Any, random: Random, data: st.DataObject
) -> None:
    played = play(*scenario, random)
    run = Run(played.plan)
    for fact in played.told[: data.draw(st.integers(0, len(played.told)))]:
        run.take(fact)
    before = run.state

    orders = run.take(WorkerLost(at=NOW))

    at_once, perhaps_later = set(), set()
    for step_id, step in before.steps.items():
        if step.status == "running" and not before.is_finished:
            has_begun = step.started_at is not None
            ordered = (step_id, step.attempt + has_begun)
            (perhaps_later if has_begun and step.attempt > 1 else at_once).add(ordered)
    assert at_once <= set(orders) <= at_once | perhaps_later
    assert len(orders) == len(set(orders))


@given(scenarios(), SHUFFLES, st.data())
def test_time_moves_only_what_is_due(scenario: Any, random: Random, data: st.DataObject) -> None:
    played = play(*scenario, random)
    run = Run(played.plan)
    for fact in played.told[: data.draw(st.integers(0, len(played.told)))]:
        run.take(fact)
    before = run.state
    at = NOW + timedelta(seconds=data.draw(st.integers(-10, 300)))

    run.take(TimePassed(at=at))

    due = {step_id for step_id, step in before.steps.items() if step.due_at is not None and step.due_at <= at}
    moved = {each for each, step in before.steps.items() if step.status == "waiting" and run.state.step(each) != step}
    assert moved == (set() if before.is_finished else due)
    assert run.last == () or due


@given(scenarios(), SHUFFLES)
def test_positions_count_the_steps_in_the_order_of_their_first_start(scenario: Any, random: Random) -> None:
    run = play(*scenario, random, losses=2)

    first_starts = list(dict.fromkeys(event.step_id for event in run.journal if isinstance(event, StepStarted)))
    positions = {each: step.position for each, step in run.state.steps.items() if step.position is not None}
    assert positions == {step_id: number for number, step_id in enumerate(first_starts)}


@given(
    st.builds(
        RetryPolicy,
        max_attempts=st.integers(1, 100),
        initial_interval=st.floats(0, 1e8),
        multiplier=st.floats(1, 100),
        max_interval=st.floats(0, 1e8),
        jitter=st.floats(0, 1),
    ),
    st.floats(0, 1),
    st.none() | st.floats(0, 1e6),
)
def test_retries_come_later_and_later_up_to_the_longest_interval(
    policy: RetryPolicy, jitter: float, retry_after: float | None
) -> None:
    times = [next_attempt_at(policy, attempt, NOW, jitter, retry_after) for attempt in range(1, policy.max_attempts)]

    known = [at for at in times if at is not None]
    longest = max(policy.max_interval, retry_after or 0)
    assert len(known) == policy.max_attempts - 1
    assert all(one <= other for one, other in pairwise(known))
    assert all(NOW <= at <= NOW + timedelta(seconds=longest) for at in known)
    assert all(at >= NOW + timedelta(seconds=retry_after or 0) for at in known)
    assert next_attempt_at(policy, policy.max_attempts, NOW, jitter, retry_after) is None


def test_retry_intervals_grow_by_the_multiplier_up_to_the_longest_less_jitter() -> None:
    policy = RetryPolicy(max_attempts=6, initial_interval=1, multiplier=3, max_interval=20, jitter=0.5)

    assert [_seconds(policy, attempt, 0.0) for attempt in range(1, 6)] == [1, 3, 9, 20, 20]
    assert [_seconds(policy, attempt, 1.0) for attempt in range(1, 6)] == [0.5, 1.5, 4.5, 10, 10]
    assert _seconds(policy, 1, 1.0, retry_after=7.5) == 7.5
    assert _seconds(policy, 4, 0.0, retry_after=7.5) == 20
    assert _seconds(policy, 1, 0.0, retry_after=3600) == 3600


def _seconds(policy: RetryPolicy, attempt: int, jitter: float, retry_after: float | None = None) -> float:
    due_at = next_attempt_at(policy, attempt, NOW, jitter, retry_after)
    assert due_at is not None
    return (due_at - NOW).total_seconds()


@pytest.mark.parametrize("seconds", [1e12, 1e300, float("inf")])
def test_a_retry_after_of_centuries_is_no_overflow(seconds: float) -> None:
    due_at = next_attempt_at(RetryPolicy(), 1, NOW, 0.0, seconds)

    assert due_at is not None
    assert due_at > NOW + timedelta(days=365)


# Events on their way through the journal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
AT = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(NOW.tzinfo))  # noqa: DTZ001
STEP = {"at": AT, "step_id": st.text()}
ATTEMPT = {**STEP, "attempt": st.integers(1, 100)}
HANDLES = st.lists(st.text(), max_size=3).map(tuple)
ERRORS = st.builds(StepError, st.text(), st.text(), st.integers(1, 100), JSON)
WAITS = st.sampled_from(["time", "person", "run"])
EVENTS: dict[type[Any], dict[str, st.SearchStrategy[Any]]] = {
    RunQueued: {
        "at": AT,
        "workflow_id": st.uuids(),
        "workflow_version": st.integers(1, 1000),
        "trigger_type": st.sampled_from(["manual", "webhook", "schedule", "workflow"]),
        "input": JSON,
    },
    RunStarted: {"at": AT},
    RunCompleted: {"at": AT, "output": st.dictionaries(st.text(), JSON, max_size=3)},
    RunFailed: {"at": AT, "error": ERRORS, "failed_step_id": st.none() | st.text()},
    RunCancelled: {"at": AT},
    RunPaused: {"at": AT},
    RunResumed: {"at": AT},
    RunRetried: {"at": AT, "step_ids": st.lists(st.text(), max_size=3).map(tuple)},
    StepScheduled: {**ATTEMPT, "step_type": st.text()},
    StepStarted: {
        **ATTEMPT,
        "input": JSON,
        "map": st.none() | st.builds(MapPlan, *[st.integers(0, 9)] * 3, st.booleans()),
    },
    StepRetrying: {**ATTEMPT, "error": ERRORS, "next_attempt_at": AT},
    StepWaiting: {**ATTEMPT, "until": st.none() | AT, "output": JSON, "waits_for": WAITS},
    StepCompleted: {**ATTEMPT, "output": JSON, "handles": HANDLES},
    StepFailed: {**ATTEMPT, "error": ERRORS, "handles": HANDLES},
    StepSkipped: STEP,
    StepCancelled: STEP,
}


def through_json(event: AnyEvent) -> AnyEvent:
    data = msgspec.json.decode(msgspec.json.encode(data_of(event)))
    return revive(event.name, step_id_of(event), data, event.at)


@pytest.mark.parametrize("name", EVENT_TYPES)
@settings(max_examples=30)
@given(data=st.data())
def test_an_event_survives_the_journal_unchanged(name: str, data: st.DataObject) -> None:
    event_type = EVENT_TYPES[name]
    event = event_type(**data.draw(st.fixed_dictionaries(EVENTS[event_type])))

    revived = through_json(event)

    assert revived == event
    assert type(revived) is event_type
    assert set(EVENTS[event_type]) == set(event_type.__struct_fields__)


def test_a_row_that_no_version_wrote_cannot_be_revived() -> None:
    with pytest.raises(KeyError):
        revive("step.exploded", "a", {}, NOW)
    with pytest.raises(msgspec.ValidationError):
        revive("step.completed", "a", {"attempt": "one"}, NOW)


def test_a_field_that_a_later_version_wrote_is_passed_over() -> None:
    assert revive("step.skipped", "a", {"because": "later"}, NOW) == StepSkipped(at=NOW, step_id="a")


# Settlement, sentence by sentence


def test_an_empty_plan_completes_at_once() -> None:
    run = Run(Plan(steps={}))

    run.take(Begin(at=NOW, trigger_type="manual"))

    assert [event.name for event in run.journal] == ["run.started", "run.completed"]


def test_a_run_begins_with_its_roots() -> None:
    run = begun(definition([node("a"), node("b"), node("c")], [edge("a", "c")]))

    assert run.ordered == [("a", 1), ("b", 1)]
    assert run.statuses == {"a": "running", "b": "running", "c": "pending"}
    assert run.state.started_at == NOW


def test_a_run_begins_once() -> None:
    run = begun(chain(node("a"), node("b")))

    run.take(Begin(at=NOW, trigger_type="manual"))

    assert run.last == ()


def test_a_condition_makes_one_of_its_edges_live_and_the_skip_goes_on_downwards() -> None:
    nodes = [node("if", "core.condition"), node("yes"), node("no"), node("after-no"), node("end")]
    edges = [edge("if", "yes", "true"), edge("if", "no", "false"), edge("no", "after-no"), edge("after-no", "end")]
    run = begun(definition(nodes, edges))

    run.complete("if", "true")

    assert run.statuses == {
        "if": "completed",
        "yes": "running",
        "no": "skipped",
        "after-no": "skipped",
        "end": "skipped",
    }


@pytest.mark.parametrize("shown", [None, "", "default"])
def test_null_empty_and_default_are_the_same_handle(shown: str | None) -> None:
    run = begun(definition([node("a"), node("b")], [edge("a", "b", shown)]))

    run.complete("a", "default")

    assert run.statuses["b"] == "running"


def test_an_edge_without_a_handle_key_is_a_default_edge() -> None:
    run = begun(definition([node("a"), node("b")], [{"id": "e", "source": "a", "target": "b"}]))

    run.complete("a")

    assert run.statuses["b"] == "running"


def test_a_switch_takes_its_case_and_leaves_the_default() -> None:
    nodes = [node("switch", "core.switch"), node("red"), node("blue"), node("else")]
    edges = [edge("switch", "red", "red"), edge("switch", "blue", "blue"), edge("switch", "else")]
    run = begun(definition(nodes, edges))

    run.complete("switch", "blue")

    assert run.statuses == {"switch": "completed", "red": "skipped", "blue": "running", "else": "skipped"}


def test_a_node_waits_until_all_its_sources_have_settled() -> None:
    run = begun(definition([node("a"), node("b"), node("join")], [edge("a", "join"), edge("b", "join")]))

    run.complete("b")
    assert run.statuses["join"] == "pending"
    run.complete("a")

    assert run.statuses["join"] == "running"


def test_one_live_edge_runs_a_node() -> None:
    nodes = [node("if", "core.condition"), node("yes"), node("no"), node("join")]
    edges = [edge("if", "yes", "true"), edge("if", "no", "false"), edge("yes", "join"), edge("no", "join")]
    run = begun(definition(nodes, edges))

    run.complete("if", "false")
    run.complete("no")

    assert run.statuses["join"] == "running"


def test_two_edges_from_one_source_settle_together() -> None:
    nodes = [node("if", "core.condition"), node("next")]
    run = begun(definition(nodes, [edge("if", "next", "true"), edge("if", "next", "false")]))

    run.complete("if", "false")

    assert run.ordered == [("if", 1), ("next", 1)]


def test_join_any_runs_at_the_first_live_edge_and_once() -> None:
    nodes = [node("a"), node("b"), node("join", join="any")]
    run = begun(definition(nodes, [edge("a", "join"), edge("b", "join")]))

    run.complete("b")
    assert run.statuses == {"a": "running", "b": "completed", "join": "running"}
    run.complete("join")
    run.complete("a")

    assert run.ordered == [("a", 1), ("b", 1), ("join", 1)]
    assert run.state.status == "completed"


def test_join_any_is_skipped_only_when_no_edge_can_become_live() -> None:
    nodes = [node("if", "core.condition"), node("a"), node("b"), node("join", join="any")]
    edges = [edge("if", "a", "true"), edge("a", "join"), edge("b", "join", "error")]
    run = begun(definition(nodes, edges))

    run.complete("if", "false")
    assert run.statuses["join"] == "pending"
    run.complete("b")

    assert run.statuses["join"] == "skipped"
    assert run.state.status == "completed"


def test_the_run_ends_when_every_node_has_settled_and_not_before() -> None:
    run = begun(definition([node("a"), node("b")]))

    run.complete("a")
    assert run.state.status == "running"
    run.complete("b")

    assert run.state.status == "completed"
    assert run.state.completed_at == NOW


def test_the_output_is_that_of_each_completed_step_without_an_outgoing_edge() -> None:
    nodes = [node("if", "core.condition"), node("yes"), node("no"), node("lone"), node("bad", on_error="continue")]
    run = begun(definition(nodes, [edge("if", "yes", "true"), edge("if", "no", "false")]))

    run.complete("if", "true", output={"result": True})
    run.complete("yes", output=[1])
    run.complete("lone", output=None)
    run.fail("bad")

    assert run.state.output == {"yes": [1], "lone": None}


# Failure, sentence by sentence


def test_an_error_edge_is_the_only_live_one_of_a_failed_step() -> None:
    nodes = [node("a"), node("next"), node("rescue")]
    run = begun(definition(nodes, [edge("a", "next"), edge("a", "rescue", "error")]))

    run.fail("a", details={"status": 500})

    assert run.statuses == {"a": "failed", "next": "skipped", "rescue": "running"}
    assert run.state.step("a").error == StepError("broken", "It broke.", 1, {"status": 500})
    run.complete("rescue")
    assert run.state.status == "completed"


def test_an_error_edge_is_dead_when_the_step_completes() -> None:
    run = begun(definition([node("a"), node("rescue")], [edge("a", "rescue", "error")]))

    run.complete("a")

    assert run.statuses["rescue"] == "skipped"


def test_on_error_continue_makes_the_default_edges_live_and_the_output_null() -> None:
    nodes = [node("if", "core.condition", on_error="continue"), node("yes"), node("a", on_error="continue"), node("b")]
    run = begun(definition(nodes, [edge("if", "yes", "true"), edge("a", "b")]))

    run.fail("if")
    run.fail("a")

    assert run.statuses == {"if": "failed", "yes": "skipped", "a": "failed", "b": "running"}
    assert run.state.step("a").output is None


def test_an_error_edge_comes_before_on_error_continue() -> None:
    nodes = [node("a", on_error="continue"), node("next"), node("rescue")]
    run = begun(definition(nodes, [edge("a", "next"), edge("a", "rescue", "error")]))

    run.fail("a")

    assert run.statuses == {"a": "failed", "next": "skipped", "rescue": "running"}


def test_an_unanswered_failure_ends_the_run_at_once() -> None:
    run = begun(definition([node("a"), node("b"), node("c")], [edge("b", "c")]))

    run.fail("a")

    assert [(event.name, step_id_of(event)) for event in run.last[1:]] == [
        ("step.failed", "a"),
        ("step.cancelled", "b"),
        ("step.cancelled", "c"),
        ("run.failed", None),
    ]
    assert run.is_stopped
    assert run.state.error == StepError("broken", "It broke.", 1)


def test_a_retryable_failure_waits_for_its_next_attempt() -> None:
    run = begun(chain(node("a", retry={"max_attempts": 2, "initial_interval": "PT10S", "jitter": 0})))
    due_at = NOW + timedelta(seconds=10)

    run.fail("a", is_retryable=True)
    assert run.state.step("a").status == "waiting"
    assert run.state.next_due_at() == due_at
    assert run.take(TimePassed(at=due_at - timedelta(microseconds=1))) == []
    assert run.take(TimePassed(at=due_at)) == [("a", 2)]
    assert run.state.next_due_at() is None
    assert run.take(TimePassed(at=due_at)) == []
    run.fail("a", attempt=2, is_retryable=True)

    assert run.statuses["a"] == "failed"
    assert run.state.step("a").attempt == 2


def test_a_failure_that_is_not_retryable_uses_no_further_attempt() -> None:
    run = begun(chain(node("a", retry={"max_attempts": 5})))

    run.fail("a", is_retryable=False)

    assert run.state.status == "failed"


def test_a_step_without_a_policy_has_one_attempt() -> None:
    run = begun(chain(node("a")))

    run.fail("a", is_retryable=True)

    assert run.state.status == "failed"


def test_the_other_sides_retry_after_is_the_least() -> None:
    run = begun(chain(node("a", retry={"max_attempts": 2, "initial_interval": 1, "jitter": 0})))

    run.fail("a", is_retryable=True, retry_after=120.0)

    assert run.state.next_due_at() == NOW + timedelta(seconds=120)


def test_a_completed_retry_leaves_no_error() -> None:
    run = begun(chain(node("a", retry={"max_attempts": 2})))

    run.fail("a", is_retryable=True)
    run.take(TimePassed(at=NOW + timedelta(minutes=1)))
    run.complete("a", attempt=2, output=1)

    assert run.state.step("a").error is None
    assert run.state.output == {"a": 1}


# Reports that come late or twice


def test_a_report_of_an_earlier_attempt_changes_nothing() -> None:
    run = begun(chain(node("a", retry={"max_attempts": 3})))
    run.fail("a", is_retryable=True)
    run.take(TimePassed(at=NOW + timedelta(minutes=1)))

    run.take(AttemptCompleted(at=NOW, step_id="a", attempt=1))
    assert run.last == ()
    run.take(AttemptCompleted(at=NOW, step_id="a", attempt=3))

    assert run.last == ()
    assert run.statuses["a"] == "running"


def test_a_report_about_a_step_that_waits_or_was_never_ordered_changes_nothing() -> None:
    run = begun(chain(node("a", "core.delay"), node("b")))
    run.take(AttemptWaits(at=NOW, step_id="a", attempt=1, until=NOW + timedelta(minutes=1)))

    for step_id, attempt in (("a", 1), ("b", 1), ("b", 0), ("nobody", 0), ("nobody", 1)):
        run.take(AttemptCompleted(at=NOW, step_id=step_id, attempt=attempt))
        assert run.last == ()
        run.take(AttemptFailed(at=NOW, step_id=step_id, attempt=attempt, code="x", message="x"))
        assert run.last == ()


def test_a_step_that_waits_completes_when_its_time_has_come() -> None:
    run = begun(chain(node("a", "core.delay"), node("b")))
    until = NOW + timedelta(days=30)

    run.take(
        AttemptStarted(at=NOW, step_id="a", attempt=1),
        AttemptWaits(at=NOW, step_id="a", attempt=1, until=until, output={"until": "then"}),
    )
    assert run.state.next_due_at() == until
    run.take(TimePassed(at=until))

    assert run.state.step("a").output == {"until": "then"}
    assert run.statuses == {"a": "completed", "b": "running"}


def test_a_wait_outlives_its_worker() -> None:
    run = begun(chain(node("a", "core.delay"), node("b")))
    run.take(AttemptWaits(at=NOW, step_id="a", attempt=1, until=NOW + timedelta(days=30)))

    run.take(WorkerLost(at=NOW))

    assert run.last == ()


# A worker that died


def test_an_effect_that_had_started_is_made_again_as_the_next_attempt() -> None:
    run = begun(chain(node("a", "http.request")))
    run.take(AttemptStarted(at=NOW, step_id="a", attempt=1))

    orders = run.take(WorkerLost(at=NOW))

    assert orders == [("a", 2)]
    assert [event.name for event in run.last] == ["step.retrying", "step.scheduled"]
    retrying = run.last[0]
    assert isinstance(retrying, StepRetrying)
    assert (retrying.error.code, retrying.attempt, retrying.next_attempt_at) == ("worker-lost", 1, NOW)


def test_an_effect_that_had_not_started_is_made_again_as_the_same_attempt() -> None:
    run = begun(chain(node("a", "http.request")))

    assert run.take(WorkerLost(at=NOW)) == [("a", 1)]


@pytest.mark.parametrize("retry", [{}, {"on_worker_lost": False}])
def test_a_pure_step_that_was_written_down_first_is_made_again_as_the_next_attempt(retry: dict[str, Any]) -> None:
    run = begun(chain(node("a", "core.transform", retry=retry)))
    run.take(AttemptStarted(at=NOW, step_id="a", attempt=1))

    assert run.take(WorkerLost(at=NOW)) == [("a", 2)]


def test_an_attempt_that_was_lost_again_waits_as_its_policy_says_less_what_chance_takes_off() -> None:
    run = begun(chain(node("a", "http.request", retry={"initial_interval": 4, "jitter": 0.5})))
    run.take(AttemptStarted(at=NOW, step_id="a", attempt=1), WorkerLost(at=NOW))

    orders = run.take(AttemptStarted(at=NOW, step_id="a", attempt=2), WorkerLost(at=NOW, jitter=0.5))

    assert orders == []
    assert run.state.step("a").due_at == NOW + timedelta(seconds=3)
    assert run.take(TimePassed(at=NOW + timedelta(seconds=3))) == [("a", 3)]


def test_an_effect_that_must_not_run_twice_fails_with_its_worker() -> None:
    never = {"max_attempts": 5, "on_worker_lost": False}
    run = begun(definition([node("a", "http.request", retry=never), node("b", "http.request", retry=never)]))
    run.take(AttemptStarted(at=NOW, step_id="a", attempt=1))

    orders = run.take(WorkerLost(at=NOW))

    assert orders == []
    assert run.statuses == {"a": "failed", "b": "cancelled"}
    assert run.state.error is not None
    assert run.state.error.code == "worker-lost"


def test_an_effect_that_must_not_run_twice_follows_its_error_edge() -> None:
    nodes = [node("a", "http.request", retry={"on_worker_lost": False}), node("rescue")]
    run = begun(definition(nodes, [edge("a", "rescue", "error")]))
    run.take(AttemptStarted(at=NOW, step_id="a", attempt=1))

    assert run.take(WorkerLost(at=NOW)) == [("rescue", 1)]


@pytest.mark.parametrize(("retry", "attempts"), [({"max_attempts": 2}, 10), ({"max_attempts": 12}, 12)])
def test_workers_that_keep_dying_use_up_the_attempts(retry: dict[str, Any], attempts: int) -> None:
    run = begun(chain(node("a", "http.request", retry=retry)))

    for attempt in range(1, attempts + 1):
        assert not run.state.is_finished
        run.take(AttemptStarted(at=NOW, step_id="a", attempt=attempt), WorkerLost(at=NOW))
        run.take(TimePassed(at=NOW + timedelta(days=1)))

    assert run.state.status == "failed"
    assert run.state.error is not None
    assert (run.state.error.code, run.state.error.attempt) == ("worker-lost", attempts)


# Cancelled, abandoned


def test_cancelling_a_queued_run_cancels_every_step() -> None:
    run = Run(plan_of(chain(node("a"), node("b"))))

    run.take(CancelRequested(at=NOW))

    assert [event.name for event in run.journal] == ["step.cancelled", "step.cancelled", "run.cancelled"]


def test_an_abandoned_run_fails_with_its_reason_even_without_its_plan() -> None:
    steps = plan_of(chain(node("a"), node("b")))
    begin = advance(steps, RunState(), [Begin(at=NOW, trigger_type="manual")])

    result = advance(Plan(steps={}), begin.state, [Abandoned(at=NOW, code="plan-lost", message="The plan is gone.")])

    assert [event.name for event in result.events] == ["step.cancelled", "run.failed"]
    assert result.state.error == StepError("plan-lost", "The plan is gone.")


def test_an_attempt_that_ends_among_the_same_facts_is_not_ordered() -> None:
    plan = plan_of(chain(node("a"), node("b")))

    result = advance(
        plan,
        RunState(),
        [Begin(at=NOW, trigger_type="manual"), AttemptCompleted(at=NOW, step_id="a", attempt=1)],
    )

    assert result.commands == (Execute("b", 1),)


# Triggers


@pytest.mark.parametrize(
    ("trigger_type", "drawn", "fired"),
    [
        ("manual", ("manual", "webhook", "schedule"), {"manual"}),
        ("webhook", ("manual", "webhook", "schedule"), {"webhook"}),
        ("schedule", ("manual", "webhook", "schedule"), {"schedule"}),
        ("workflow", ("manual", "webhook", "schedule"), {"manual"}),
        ("webhook", ("manual", "schedule"), {"manual"}),
        ("schedule", ("manual", "webhook"), {"manual"}),
        ("manual", ("webhook", "schedule"), set()),
        ("webhook", ("schedule",), set()),
    ],
)
def test_a_run_fires_the_triggers_of_its_type_else_the_manual_ones(
    trigger_type: str, drawn: tuple[str, ...], fired: set[str]
) -> None:
    nodes = [node(each, f"trigger.{each}") for each in drawn] + [node(f"after-{each}") for each in drawn]
    run = begun(definition(nodes, [edge(each, f"after-{each}") for each in drawn]), trigger_type)

    skipped = set(drawn) - fired
    assert {each for each in drawn if run.statuses[each] == "running"} == fired
    assert {each for each in run.statuses if run.statuses[each] == "skipped"} == {
        *skipped,
        *(f"after-{each}" for each in skipped),
    }
    assert run.state.status == ("running" if fired else "completed")


def test_every_trigger_of_the_runs_type_fires() -> None:
    nodes = [node("one", "trigger.manual"), node("two", "trigger.manual"), node("hook", "trigger.webhook")]

    run = begun(definition(nodes))

    assert run.ordered == [("one", 1), ("two", 1)]


# Folding


@given(plans())
def test_a_plan_knows_its_roots_and_leaves(plan: Plan) -> None:
    assert set(plan.roots) == {each.id for each in plan.steps.values() if not each.incoming}
    assert set(plan.leaves) == {each.id for each in plan.steps.values() if not each.downstream}
    for step in plan.steps.values():
        assert all(step.id in plan.steps[link.source].downstream for link in step.incoming)
        assert step.has_error_edge == any(
            link.handle == "error" for each in plan.steps.values() for link in each.incoming if link.source == step.id
        )


def test_a_state_never_changes_under_its_reader() -> None:
    events: Iterable[AnyEvent] = (
        RunStarted(at=NOW),
        StepScheduled(at=NOW, step_id="a", step_type="core.log", attempt=1),
        StepStarted(at=NOW, step_id="a", attempt=1, input={"x": 1}),
        StepRetrying(at=NOW, step_id="a", attempt=1, error=ERROR, next_attempt_at=NOW),
    )
    states = [RunState()]
    for event in events:
        states.append(apply(states[-1], event))

    assert [state.step("a").status for state in states] == ["pending", "pending", "running", "running", "waiting"]
    assert states[0] == RunState()


def test_a_queued_event_leaves_the_run_queued() -> None:
    queued = RunQueued(at=NOW, workflow_id=UUID(int=1), workflow_version=1, trigger_type="manual", input={})

    assert apply(RunState(), queued) == RunState()
    assert RunState().step("anything") == StepState()
