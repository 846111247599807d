"""A process may die between any two lines that matter, and at any moment under load: nothing is lost, nothing is doubled
that cannot be recognised.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from factories import chain, node
from fleet import Fleet
from load import Load, World
from stack import until
from stepwire.points import POINTS

SEED = int(os.environ.get("STEPWIRE_FAULTS_SEED") or time.time())
RUNS = int(os.environ.get("STEPWIRE_FAULTS_RUNS") or 60)
OF_THE_API = ("accept", "answer", "cancel", "retry", "wake", "nudge")
OF_THE_WORKER = (
    "claim",
    "journal",
    "act",
    "child",
    "tell",
    "nudge",
    "renew",
    "release",
    "wake",
    "fire",
    "deliver",
    "record",
)
_BY_COMMAND = {"api": OF_THE_API, "worker": OF_THE_WORKER}
PLACES = {
    command: [point for point in POINTS if point.partition(".")[0] in names] for command, names in _BY_COMMAND.items()
}


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def test_every_point_is_somebodys() -> None:
    assert set(POINTS) == {point for places in PLACES.values() for point in places}


def test_dying_at_any_point_costs_nothing(
    services: dict[str, str], tmp_path: Path, world: World, request: pytest.FixtureRequest
) -> None:
    fleet = Fleet(services, tmp_path, apis=1, workers=1, number=2)
    request.addfinalizer(fleet.kill)
    load = Load(fleet.apis, world, SEED)
    stop = threading.Event()
    clients = threading.Thread(target=lambda: load.run_until(stop))
    clients.start()
    try:
        for name, points in (("api-0", PLACES["api"]), ("worker-0", PLACES["worker"])):
            for point in points:
                fleet.replace(name, point)
                if point.startswith("release"):
                    hold_and_stop(fleet, world)
                if point == "fire.after":
                    fire(fleet)
                until(lambda name=name: fleet.has_died(name) or load.faults, f"{name} dying at {point}")
            fleet.replace(name)
    finally:
        stop.set()
        clients.join()
    assert load.faults == []
    fleet.settle(load, world)
    fleet.close()


def hold_and_stop(fleet: Fleet, world: World) -> None:
    """Have the worker told to end while it is in the middle of something that takes longer than its grace."""
    api, before = fleet.apis[0], len(world.calls)
    long = api.publish(chain(node("call", "http.request", {"method": "POST", "url": f"{world.url}/long"})))
    held = api.start(long)["id"]

    def is_under_way() -> bool:
        """Or the worker has died already, when it let go of another run."""
        return fleet.has_died("worker-0") or any(key.startswith(held) for _, key in world.calls[before:])

    until(is_under_way, "the call being under way")
    fleet.processes["worker-0"].popen.terminate()


def fire(fleet: Fleet) -> None:
    """Have a schedule due."""
    api = fleet.apis[0]
    workflow_id = api.publish(chain(node("done", "core.transform", {"values": {"n": 1}})))
    made = api.http.post("/api/v1/triggers/schedule", json={"workflow_id": workflow_id, "cron": "0 0 1 1 *"})
    assert made.status_code == 201, made.text
    fleet.execute("UPDATE schedule SET next_fire_at = now(), due_at = now()")


def test_a_child_run_may_end_before_its_parent_is_taken_up_again(
    services: dict[str, str], tmp_path: Path, world: World, request: pytest.FixtureRequest
) -> None:
    fleet = Fleet(services, tmp_path, apis=1, workers=1, number=2)
    request.addfinalizer(fleet.kill)
    child = fleet.apis[0].publish(chain(node("done", "core.transform", {"values": {"n": 1}})))
    parent = fleet.apis[0].publish(chain(node("child", "core.workflow", {"workflow_id": child})))
    fleet.replace("worker-0", "child.after")
    run = fleet.apis[0].start(parent)
    until(lambda: fleet.has_died("worker-0"), "the worker dying when the child run is stored")
    fleet.replace("worker-0")

    assert fleet.apis[0].finished(run["id"])["output"] == {"child": {"done": {"n": 1}}}
    fleet.close()


def test_a_child_run_that_is_not_waited_for_is_started_once_whatever_becomes_of_it(
    services: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fleet = Fleet(services, tmp_path, apis=1, workers=1, number=2)
    request.addfinalizer(fleet.kill)
    api = fleet.apis[0]
    child = api.publish(chain(node("rest", "core.delay", {"duration": 3600})))
    parent = api.publish(chain(node("child", "core.workflow", {"workflow_id": child, "wait": False})))
    fleet.replace("worker-0", "child.after")
    run_id = api.start(parent)["id"]
    until(lambda: fleet.has_died("worker-0"), "the worker dying when the child run is stored")
    (started,) = api.http.get("/api/v1/runs", params={"workflow_id": child}).json()["items"]
    assert api.http.post(f"/api/v1/runs/{started['id']}/cancel").json()["status"] == "cancelled"
    fleet.replace("worker-0")

    assert api.finished(run_id)["output"] == {"child": {"run_id": started["id"]}}
    assert [run["id"] for run in fleet.fetch("SELECT id::text FROM run WHERE depth = 1")] == [started["id"]]
    fleet.close()


def test_a_long_stretch_without_effects_goes_on_where_its_journal_ends(
    services: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fleet = Fleet(services, tmp_path, apis=1, workers=1, number=2)
    request.addfinalizer(fleet.kill)
    api = fleet.apis[0]
    first = node("s0", "core.transform", {"values": {"n": 1}})
    others = [
        node(f"s{number}", "core.transform", {"values": {"n": f"{{{{ steps.s{number - 1}.output.n + 1 }}}}"}})
        for number in range(1, 100)
    ]
    workflow_id = api.publish(chain(first, *others))
    fleet.replace("worker-0", "journal.after:2")
    run_id = api.start(workflow_id)["id"]
    until(lambda: fleet.has_died("worker-0"), "the worker dying when part of the run is stored")
    before = [each for each in api.events(run_id) if each["event"] == "step.completed"]
    fleet.replace("worker-0")
    run = api.finished(run_id)
    events = api.events(run_id)

    assert 0 < len(before) < 100
    assert run["output"] == {"s99": {"n": 100}}
    assert [each["seq"] for each in events] == list(range(1, len(events) + 1))
    done = [each for each in events if each["event"] == "step.completed"]
    assert done[: len(before)] == before
    assert [(each["step_id"], each["data"]["attempt"]) for each in done] == [(f"s{number}", 1) for number in range(100)]
    fleet.close()


def test_dying_at_random_under_load_costs_nothing(
    services: dict[str, str], tmp_path: Path, world: World, request: pytest.FixtureRequest
) -> None:
    print(f"STEPWIRE_FAULTS_SEED={SEED} STEPWIRE_FAULTS_RUNS={RUNS}")
    chance = random.Random(SEED)
    fleet = Fleet(services, tmp_path, apis=2, workers=2, number=3)
    request.addfinalizer(fleet.kill)
    load = Load(fleet.apis, world, SEED)
    clients = threading.Thread(target=lambda: load.run(RUNS, clients=24 if RUNS > 1000 else 8))
    clients.start()
    while clients.is_alive():
        print(fleet.harass(chance, PLACES))
        clients.join(chance.uniform(0.5, 3.0))
    assert load.faults == []
    fleet.settle(load, world)
    fleet.close()
    print(fleet.found)
