"""What a run with containers, people and child runs does, for every graph and order, against a naive reading."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from rpds import HashTrieMap

from factories import NOW, definition, edge, node, plan_of
from stepwire.definition.plan import Plan
from stepwire.engine.commands import Execute
from stepwire.engine.events import (
    AnyEvent,
    RunPaused,
    RunResumed,
    RunRetried,
    StepCancelled,
    StepCompleted,
    StepEvent,
    StepFailed,
    StepSkipped,
    data_of,
    revive,
    step_id_of,
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
from stepwire.engine.fold import apply, counted, renewable
from stepwire.engine.model import SETTLED, RunState, StepError
from stepwire.engine.places import locate
from stepwire.engine.transition import advance

SOON, LATE = 10**5, 10**7  # seconds: when those approvals run out that nobody answers, and the others
HANDLES = {"core.condition": ("true", "false"), "core.approval": ("default", "timeout"), "core.fail": ()}
TYPES = (
    "core.log",
    "core.log",
    "core.condition",
    "core.approval",
    "core.workflow",
    "core.fail",
    "core.map",
    "core.map",
)
CONFIGS: dict[str, dict[str, Any]] = {
    "core.approval": {"timeout": SOON},
    "core.workflow": {"workflow_id": "019583a0-0000-7000-8000-000000000000"},
}


@st.composite
def scopes(draw: st.DrawFn, prefix: str = "s", depth: int = 2) -> dict[str, Any]:
    """A graph of a few steps; containers hold graphs of their own."""
    types = draw(st.lists(st.sampled_from(TYPES if depth else TYPES[:6]), min_size=1, max_size=4))
    nodes: list[dict[str, Any]] = []
    edges: dict[tuple[int, int, str], dict[str, Any]] = {}
    for number, step_type in enumerate(types):
        step_id = f"{prefix}{number}"
        config = CONFIGS.get(step_type)
        if step_type == "core.map":
            config = {
                "items": [],
                "concurrency": draw(st.integers(1, 3)),
                "on_item_error": draw(st.sampled_from(["fail", "collect"])),
            }
            inner = draw(scopes(f"{step_id}_", depth - 1))
            nodes += [{"parentId": step_id, **each} for each in inner["nodes"]]
            edges |= {(id(each), 0, ""): each for each in inner["edges"]}
        data = draw(
            st.fixed_dictionaries(
                {}, optional={"on_error": st.just("continue"), "join": st.sampled_from(["all", "any"])}
            )
        )
        nodes.append(node(step_id, step_type, config, **data))
        for source in draw(st.lists(st.integers(0, number - 1), max_size=2, unique=True)) if number else []:
            handle = draw(st.sampled_from((*HANDLES.get(types[source], ("default",)), "error")))
            edges[source, number, handle] = edge(f"{prefix}{source}", step_id, handle)
    return definition(nodes, list(edges.values()))


@dataclass(frozen=True)
class World:
    """What every step does wherever it runs, from its path alone; a healed path does not fail."""

    seed: int
    healed: frozenset[str] = frozenset()

    def fails(self, path: str, step_type: str) -> bool:
        if path in self.healed:
            return False
        return step_type == "core.fail" or Random(f"{self.seed} fails {path}").random() < 0.2

    def handle(self, path: str, step_type: str) -> str:
        return Random(f"{self.seed} handle {path}").choice(HANDLES.get(step_type) or ("default",))

    def items(self, path: str) -> int:
        return Random(f"{self.seed} items {path}").randint(0, 3)


WORLDS = st.integers(0, 2**32).map(World)
RANDOMS = st.integers(0, 2**32).map(Random)


@dataclass
class Run:
    """A run that is played by hand: ``in_flight`` are attempts that were ordered, and whether they have started."""

    plan: Plan
    world: World
    state: RunState = field(default_factory=RunState)
    journal: list[AnyEvent] = field(default_factory=list)
    in_flight: dict[tuple[str, int], bool] = field(default_factory=dict)
    told: list[AnyFact] = field(default_factory=list)
    clock: datetime = NOW

    def take(self, *facts: AnyFact) -> None:
        result = advance(self.plan, self.state, facts)
        self.state = result.state
        self.journal.extend(result.events)
        self.told.extend(fact for fact in facts if not isinstance(fact, WorkerLost))
        self.in_flight |= {(each.step_id, each.attempt): False for each in result.commands if isinstance(each, Execute)}
        self.in_flight = {
            (path, attempt): started
            for (path, attempt), started in self.in_flight.items()
            if self.state.step(path).status == "running" and self.state.step(path).attempt == attempt
        }
        self.check()

    def check(self) -> None:
        """What holds at every moment."""
        state = self.state
        assert counted(state) == state, "what is kept for speed is what there is"
        is_asking = any(step.status == "waiting" and step.waits_for == "person" for step in state.steps.values())
        is_busy = any(step.is_busy for step in state.steps.values())
        if not state.is_finished and state.status != "queued":
            assert (state.status == "paused") == (is_asking and not is_busy)
        for path, step in state.steps.items():
            if step.map is not None and step.status == "running":
                progress = state.maps[path]
                assert progress.begun - progress.done <= step.map.concurrency
                assert progress.begun - progress.done == min(step.map.concurrency, step.map.items - progress.done)

    def type_of(self, path: str) -> str:
        return locate(self.plan, path).step.type

    def move(self, random: Random) -> None:
        """One report, from any that can come."""
        self.clock += timedelta(seconds=1)
        lost = [path for path in self.state.due if path not in self.state.asking]
        moves: list[Any] = [*self.in_flight, *self.state.asking, *self.state.awaiting, *lost]
        assert moves, f"nothing can move the run, which is {self.state.status}"
        move = random.choice(sorted(moves, key=str))
        if isinstance(move, tuple):
            self.take(*self.report(*move))
        elif move in self.state.awaiting:
            self.take(self.child_ended(move))
        elif move in lost or self.world.handle(move, "core.approval") == "timeout":
            self.clock = max(self.clock, self.state.due[move])
            self.take(TimePassed(at=self.clock))
        else:
            self.take(Answered(at=self.clock, step_id=move, data=path_output(move)))

    def report(self, path: str, attempt: int) -> list[AnyFact]:
        step_type, at = self.type_of(path), self.clock
        known: dict[str, Any] = {"at": at, "step_id": path, "attempt": attempt}
        if step_type == "core.map":
            config = locate(self.plan, path).step.config.value
            return [
                ItemsGiven(
                    **known, input={"items": [1] * self.world.items(path)}, items=self.world.items(path),
                    concurrency=config["concurrency"], collects=config["on_item_error"] == "collect",
                )
            ]  # fmt: skip
        if not self.in_flight[path, attempt]:
            self.in_flight[path, attempt] = True
            return [AttemptStarted(**known)]
        if step_type == "core.approval":
            seconds = SOON if self.world.handle(path, step_type) == "timeout" else LATE
            return [AttemptWaits(**known, until=at + timedelta(seconds=seconds), waits_for="person")]
        if step_type == "core.workflow":
            return [AttemptWaits(**known, until=None, waits_for="run", output={"run_id": path})]
        if self.world.fails(path, step_type):
            return [AttemptFailed(**known, code="broken", message="It broke.")]
        handle = self.world.handle(path, step_type)
        return [AttemptCompleted(**known, output=path_output(path), handles=(handle,))]

    def child_ended(self, path: str) -> ChildEnded:
        if self.world.fails(path, "core.workflow"):
            error = StepError("broken", "It broke.")
            return ChildEnded(at=self.clock, step_id=path, run_id=path, status="failed", error=error)
        return ChildEnded(at=self.clock, step_id=path, run_id=path, status="completed", output=path_output(path))

    def play(self, random: Random, noise: float = 0.0, losses: int = 0) -> None:
        for _ in range(3000):
            if self.state.is_finished:
                return
            if losses and random.random() < 0.1:
                losses -= 1
                self.in_flight.clear()
                self.told.clear()  # what a lost worker knew, nobody reports any more
                self.take(WorkerLost(at=self.clock), TakenUp(at=self.clock, trigger_type="manual"))
            elif self.told and random.random() < noise:
                before = self.state
                self.take(random.choice(self.told))
                assert self.state == before, "an old report changes nothing"
            else:
                self.move(random)
        raise AssertionError("The run does not end.")


def path_output(path: str) -> dict[str, Any]:
    return {"path": path}


def begun(raw: dict[str, Any], world: World) -> Run:
    run = Run(plan_of(raw), world)
    run.take(Begin(at=NOW, trigger_type="manual"))
    return run


# The reference


@dataclass
class Expected:
    """How a scope ends: whether a failure is left, and else each step's status and output."""

    is_unanswered: bool
    statuses: dict[str, str]
    outputs: dict[str, Any]
    output: dict[str, Any]


def reference(raw: dict[str, Any], world: World, scope: str = "", container: str | None = None) -> Expected:
    """The rule of settlement, looked at again and again until nothing changes; items one after another."""
    data = {each["id"]: each["data"] for each in raw["nodes"] if each.get("parentId") == container}
    edges = [each for each in raw["edges"] if each["target"] in data]
    statuses: dict[str, str] = {}
    outputs: dict[str, Any] = {}
    fired: dict[str, str] = {}
    is_unanswered = False
    while len(statuses) < len(data):
        for step_id in sorted(data):
            sources = [each for each in edges if each["target"] == step_id]
            if step_id in statuses or any(each["source"] not in statuses for each in sources):
                continue
            if sources and not any(fired.get(each["source"]) == each["sourceHandle"] for each in sources):
                statuses[step_id] = "skipped"
                continue
            ended = of_step(raw, world, scope, step_id, data[step_id])
            if ended is None:
                statuses[step_id] = "failed"
                wired = [each["sourceHandle"] for each in edges if each["source"] == step_id]
                if "error" in wired:
                    fired[step_id] = "error"
                elif data[step_id].get("on_error") == "continue":
                    fired[step_id] = "default"
                else:
                    is_unanswered = True
            else:
                statuses[step_id] = "completed"
                fired[step_id], outputs[step_id] = ended
    leaves = set(data) - {each["source"] for each in edges}
    output = {step_id: outputs[step_id] for step_id in data if step_id in leaves and step_id in outputs}
    return Expected(is_unanswered, statuses, outputs, output)


def of_step(
    raw: dict[str, Any], world: World, scope: str, step_id: str, data: dict[str, Any]
) -> tuple[str, Any] | None:
    """The handle that a step takes and its output; None where it fails."""
    path, step_type = scope + step_id, data["step_type"]
    if step_type == "core.map":
        items = [reference(raw, world, f"{path}[{n}].", step_id) for n in range(world.items(path))]
        if data["config"]["on_item_error"] == "fail" and any(item.is_unanswered for item in items):
            return None
        return "default", ["failed" if item.is_unanswered else item.output for item in items]
    if step_type == "core.approval":
        handle = world.handle(path, step_type)
        wired = any(each["source"] == step_id and each["sourceHandle"] == "timeout" for each in raw["edges"])
        if handle == "timeout":
            return (handle, None) if wired else None
        return handle, path_output(path)
    if world.fails(path, step_type):
        return None
    return world.handle(path, step_type), path_output(path)


def without_errors(output: Any) -> Any:
    """Items that failed as the reference says it."""
    if isinstance(output, list):
        return ["failed" if set(item) == {"error"} else without_errors(item) for item in output]
    return {key: without_errors(value) for key, value in output.items()} if isinstance(output, dict) else output


def outcome(run: Run) -> dict[str, str]:
    return {step_id: run.state.step(step_id).status for step_id in run.plan.steps}


# Properties


@given(scopes(), WORLDS, RANDOMS)
def test_the_outcome_is_the_references_in_every_order_of_reports(raw: Any, world: World, random: Random) -> None:
    expected = reference(raw, world)
    run = begun(raw, world)

    run.play(random, noise=0.2)

    if expected.is_unanswered:
        assert run.state.status == "failed"
    else:
        assert run.state.status == "completed"
        assert outcome(run) == expected.statuses
        assert without_errors(run.state.output) == expected.output
    assert all(step.status in SETTLED for step in run.state.steps.values())


@given(scopes(), WORLDS, RANDOMS)
def test_a_lost_worker_changes_no_outcome(raw: Any, world: World, random: Random) -> None:
    expected = reference(raw, world)
    run = begun(raw, world)

    run.play(random, losses=4)

    assert run.state.status == ("failed" if expected.is_unanswered else "completed")
    if not expected.is_unanswered:
        assert without_errors(run.state.output) == expected.output


@given(scopes(), WORLDS, RANDOMS)
def test_replaying_the_stored_journal_gives_the_state(raw: Any, world: World, random: Random) -> None:
    run = begun(raw, world)
    run.play(random, noise=0.1, losses=2)

    stored = [
        revive(event.name, step_id_of(event), msgspec.json.decode(msgspec.json.encode(data_of(event))), event.at)
        for event in run.journal
    ]

    assert reduce(apply, stored, RunState()) == run.state


@given(scopes(), WORLDS, RANDOMS)
def test_every_step_settles_once_and_pauses_and_resumes_alternate(raw: Any, world: World, random: Random) -> None:
    run = begun(raw, world)
    run.play(random, noise=0.1, losses=2)

    settled = Counter(
        event.step_id
        for event in run.journal
        if isinstance(event, StepCompleted | StepFailed | StepSkipped | StepCancelled)
    )
    assert set(settled) >= set(run.state.steps)
    assert set(settled.values()) <= {1}
    moods = [type(event) for event in run.journal if isinstance(event, RunPaused | RunResumed)]
    assert all(one is not other for one, other in pairwise(moods))


@given(scopes(), WORLDS, RANDOMS, st.integers(0, 30))
def test_a_cancelled_run_is_over_at_once_wherever_it_was(raw: Any, world: World, random: Random, moves: int) -> None:
    run = begun(raw, world)
    for _ in range(moves):
        if run.state.is_finished:
            return
        run.move(random)
    if run.state.is_finished:
        return
    before = len(run.journal)

    run.take(CancelRequested(at=run.clock))

    assert run.state.status == "cancelled"
    assert all(step.status in SETTLED for step in run.state.steps.values())
    assert all(isinstance(event, StepCancelled) for event in run.journal[before:-1])
    assert not run.in_flight


@given(scopes(), WORLDS, RANDOMS)
def test_a_retried_run_goes_on_from_what_failed_and_repeats_nothing(raw: Any, world: World, random: Random) -> None:
    run = begun(raw, world)
    run.play(random)
    if run.state.status != "failed":
        return
    renewed = renewable(run.state)
    finished = {path for path, step in run.state.steps.items() if path not in renewed}
    event = RunRetried(at=run.clock, step_ids=tuple(renewed))
    known = {path: step for path, step in run.state.steps.items() if step.status in ("failed", "cancelled") or step.map}
    cut_off = msgspec.structs.replace(run.state, steps=HashTrieMap(known))
    assert renewable(cut_off) == renewed, "what else is done need not be known"
    assert all(apply(cut_off, event).step(path) == apply(run.state, event).step(path) for path in renewed)
    run.journal.append(event)
    run.state = apply(run.state, event)
    retried_at = len(run.journal)
    run.in_flight.clear()
    # How a child run has ended is read anew, after it was taken up again for the next attempt.
    run.told = [fact for fact in run.told if not isinstance(fact, ChildEnded)]

    run.world = World(world.seed, healed=frozenset(run.state.steps))
    run.take(WorkerLost(at=run.clock), TakenUp(at=run.clock, trigger_type="manual"))
    before = run.state
    run.take(TakenUp(at=run.clock, trigger_type="manual"))
    assert run.state == before, "nothing is decided twice"
    for _ in range(50):
        if run.state.is_finished:
            break
        run.play(random, noise=0.1)

    again = {each.step_id for each in run.journal[retried_at:] if isinstance(each, StepEvent)}
    assert not finished & again
    assert reduce(apply, run.journal, RunState()) == run.state
    failed = [path for path, step in run.state.steps.items() if step.is_unanswered and path in renewed]
    assert all(run.type_of(path) in ("core.map", "core.approval") for path in failed), "what was healed works"
