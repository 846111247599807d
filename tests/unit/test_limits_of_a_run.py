"""What bounds a run in the core: the outputs of its steps together, and the time that a waiting step may take."""

from datetime import timedelta
from typing import Any

from factories import NOW, chain, definition, edge, node, plan_of
from stepwire.definition.plan import Plan
from stepwire.engine.events import AnyEvent, StepFailed, data_of, revive, step_id_of
from stepwire.engine.facts import (
    AnyFact,
    AttemptCompleted,
    AttemptStarted,
    AttemptWaits,
    Begin,
    ChildEnded,
    Expired,
    ItemsGiven,
    TimePassed,
)
from stepwire.engine.fold import apply, counted
from stepwire.engine.model import RunState
from stepwire.engine.transition import advance

KIB = "x" * 1022  # with its quotes 1,024 bytes of JSON
LATER = NOW + timedelta(seconds=1)


def played(plan: Plan, *facts: AnyFact, limit: int = 16 << 20) -> tuple[RunState, tuple[AnyEvent, ...]]:
    result = advance(plan, RunState(), [Begin(at=NOW, trigger_type="manual"), *facts], limit)
    assert counted(result.state) == result.state
    return result.state, result.events


def completed(path: str, output: Any = None) -> list[AnyFact]:
    return [
        AttemptStarted(at=NOW, step_id=path, attempt=1),
        AttemptCompleted(at=NOW, step_id=path, attempt=1, output=output),
    ]


def test_the_step_that_brings_the_outputs_beyond_the_limit_fails_and_is_not_tried_again() -> None:
    plan = plan_of(chain(*(node(name, retry={"max_attempts": 5}) for name in "abc")))
    facts = [fact for name in "abc" for fact in completed(name, KIB)]

    state, events = played(plan, *facts, limit=2 * 1024)

    assert state.status == "failed"
    assert state.error is not None
    assert state.error.code == "context-too-large"
    assert [event.step_id for event in events if isinstance(event, StepFailed)] == ["c"]
    assert {name: state.step(name).status for name in "abc"} == {"a": "completed", "b": "completed", "c": "failed"}


def test_what_takes_over_from_a_failure_takes_over_from_too_much_output() -> None:
    plan = plan_of(definition([node("a"), node("b"), node("after")], [edge("a", "b"), edge("b", "after", "error")]))

    state, _ = played(plan, *completed("a", KIB), *completed("b", KIB), *completed("after"), limit=1500)

    assert state.status == "completed"
    assert (state.step("b").status, state.step("after").status) == ("failed", "completed")


def test_two_attempts_that_end_together_cannot_pass_the_limit_together() -> None:
    plan = plan_of(definition([node("a"), node("b", on_error="continue")]))

    state, _ = played(plan, *completed("a", KIB), *completed("b", KIB), limit=1500)

    assert (state.step("a").status, state.step("b").status) == ("completed", "failed")


def test_a_containers_result_counts_like_any_output() -> None:
    plan = plan_of(definition([node("each", "core.map", {"items": [1]}), {**node("in"), "parentId": "each"}]))
    items = ItemsGiven(at=NOW, step_id="each", attempt=1, input={"items": [1]}, items=1, concurrency=1, collects=False)

    fits, _ = played(plan, items, *completed("each[0].in", KIB), limit=2 * 1024 + 20)
    exceeds, _ = played(plan, items, *completed("each[0].in", KIB), limit=2 * 1024)

    assert fits.status == "completed"
    assert exceeds.step("each").error is not None
    assert (exceeds.status, exceeds.step("each[0].in").status) == ("failed", "completed")


def given(path: str, items: int) -> ItemsGiven:
    return ItemsGiven(at=NOW, step_id=path, attempt=1, input={}, items=items, concurrency=2, collects=True)


def test_a_container_whose_items_have_too_many_steps_fails_before_the_first_of_them() -> None:
    def plan(steps: int) -> Plan:
        inner = [{**node(f"in{number}"), "parentId": "each"} for number in range(steps)]
        return plan_of(definition([node("each", "core.map", {"items": []}), *inner]))

    fits, _ = played(plan(100), given("each", 10_000))
    exceeds, events = played(plan(101), given("each", 10_000))

    assert (fits.status, fits.item_steps) == ("running", 1_000_000)
    assert exceeds.error is not None
    assert (exceeds.status, exceeds.error.code) == ("failed", "too-many-steps")
    assert [event.name for event in events] == [
        "run.started",
        "step.scheduled",
        "step.started",
        "step.failed",
        "run.failed",
    ]


def test_containers_in_containers_have_no_more_steps_together() -> None:
    inner = [{**node("in", "core.map", {"items": []}), "parentId": "each"}]
    innermost = [{**node(f"step{number}"), "parentId": "in"} for number in range(60)]
    plan = plan_of(definition([node("each", "core.map", {"items": []}), *inner, *innermost]))

    state, _ = played(plan, given("each", 2), given("each[0].in", 10_000), given("each[1].in", 10_000))

    error = state.step("each[1].in").error
    assert error is not None
    assert error.code == "too-many-steps"
    assert state.step("each[0].in").status == "running"


def test_what_was_refused_for_the_limit_is_refused_on_replay_whatever_the_limit_is_then() -> None:
    plan = plan_of(chain(node("a"), node("b")))
    state, events = played(plan, *completed("a", KIB), *completed("b", KIB), limit=1500)

    again = RunState()
    for event in events:
        again = apply(again, revive(event.name, step_id_of(event), data_of(event), event.at))

    assert again == state


# Time


def waiting(name: str, **more: Any) -> list[AnyFact]:
    return [
        AttemptStarted(at=NOW, step_id=name, attempt=1),
        AttemptWaits(at=NOW, step_id=name, attempt=1, until=None, **more),
    ]


def test_a_child_run_that_takes_too_long_fails_the_step_that_waits_for_it() -> None:
    plan = plan_of(chain(node("child", "core.workflow", {"workflow_id": "{{ input.id }}"}, timeout=1)))
    waits = waiting("child", waits_for="run", output={"run_id": "r"})
    ended = ChildEnded(at=LATER, step_id="child", run_id="r", status="completed", output={})

    in_time, _ = played(plan, *waits, ended)
    late, _ = played(plan, *waits, TimePassed(at=LATER), ended)

    assert in_time.status == "completed"
    assert late.error is not None
    assert (late.status, late.error.code) == ("failed", "timeout")


def test_a_delay_beyond_its_timeout_is_tried_again_under_its_policy() -> None:
    plan = plan_of(chain(node("rest", "core.delay", timeout=1, retry={"max_attempts": 2, "initial_interval": 0})))

    state, events = played(plan, *waiting("rest"), TimePassed(at=LATER))

    assert [event.name for event in events][-2:] == ["step.waiting", "step.retrying"]
    assert state.step("rest").status == "waiting"


def test_a_delay_within_its_timeout_is_complete() -> None:
    plan = plan_of(chain(node("rest", "core.delay", timeout=2)))
    waits = AttemptWaits(at=NOW, step_id="rest", attempt=1, until=LATER, output={"until": "then"})

    state, _ = played(plan, AttemptStarted(at=NOW, step_id="rest", attempt=1), waits, TimePassed(at=LATER))

    assert state.output == {"rest": {"until": "then"}}


def test_a_container_that_takes_too_long_fails_with_all_that_is_in_it() -> None:
    each = node("each", "core.map", {"items": [1, 2]}, timeout=1)
    plan = plan_of(
        definition([each, {**node("in"), "parentId": "each"}, node("after")], [edge("each", "after", "error")])
    )
    items = ItemsGiven(at=NOW, step_id="each", attempt=1, input={}, items=2, concurrency=2, collects=True)

    state, _ = played(plan, items, *completed("each[0].in"), TimePassed(at=LATER), *completed("after"))

    error = state.step("each").error
    assert error is not None
    assert (state.status, error.code) == ("completed", "timeout")
    assert state.step("each[1].in").status == "cancelled"
    assert state.next_due_at() is None


def test_a_run_that_takes_too_long_fails_with_all_that_waits_in_it() -> None:
    nodes = [node("ask", "core.approval"), node("each", "core.map", {"items": [1]}), {**node("in"), "parentId": "each"}]
    items = ItemsGiven(at=NOW, step_id="each", attempt=1, input={}, items=1, concurrency=1, collects=True)
    asks = waiting("ask", waits_for="person")

    state, events = played(plan_of(definition(nodes)), *asks, items, Expired(at=LATER, seconds=2_592_000))

    assert state.error is not None
    assert (state.status, state.error.code) == ("failed", "run-timeout")
    assert {path: step.status for path, step in state.steps.items()} == dict.fromkeys(
        ["ask", "each", "each[0].in"], "cancelled"
    )
    assert events[-1].name == "run.failed"
    assert state.next_due_at() is None
