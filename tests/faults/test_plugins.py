"""Step types of installed packages: equal to the built-in ones, and whatever they do wrong stays theirs."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from factories import chain, definition, edge, node
from plugged import FAULTS, Plugged, install, readme_project
from recorder import Recorder
from stack import Api, Process, until

LEFT_OUT = {
    "raises": "it cannot be loaded",
    "exits": "it cannot be loaded",
    "nowhere": "it cannot be loaded",
    "nameless": "It has no `type`.",
    "log-again": "There is a step type 'core.log' already.",
    "compute-again": "There is a step type 'acme.compute' already.",
    "dict-config": "Its `config` is not a msgspec.Struct class",
    "odd-config": "Its `config` cannot be read from JSON",
    "async-pure": "A step of kind pure has a plain `evaluate`.",
    "plain-effect": "A step of kind effect has an async `execute`.",
    "own-trigger": "Its `kind` is not one of pure, effect, wait.",
    "raises-when-made": "it cannot be loaded",
    "raises-when-asked": "it cannot be loaded",
    "not-a-step": "It has no `type`.",
}


@pytest.fixture(scope="module")
def plugged(services: dict[str, str], tmp_path_factory: pytest.TempPathFactory, workplace: Path) -> Iterator[Plugged]:
    target = workplace / "plug-ins"
    for project in (FAULTS, readme_project(tmp_path_factory.mktemp("readme"))):
        install(project, target)
    folder = workplace / "plugged"
    folder.mkdir()
    plugged = Plugged(services, folder, target)
    yield plugged
    plugged.close()


@pytest.fixture
def api(plugged: Plugged) -> Api:
    return plugged.api


@pytest.fixture
def worker(plugged: Plugged) -> Iterator[Process]:
    """The one worker there is: a good one, whatever an earlier test left."""
    running = [worker for worker in plugged.workers if worker.popen.poll() is None]
    if len(running) != 1:
        plugged.rest()
        running = [plugged.work()]
    yield running[0]
    assert running[0].popen.poll() is None, "the worker lives"


@pytest.fixture
def no_worker(plugged: Plugged) -> Iterator[None]:
    """For tests that start workers of their own."""
    plugged.rest()
    yield
    plugged.rest()


def act(do: str, value: Any = None, node_id: str = "a", **data: Any) -> dict[str, Any]:
    return node(node_id, "acme.act", {"do": do, "value": value}, **data)


def compute(do: str, value: Any = None, node_id: str = "a", **data: Any) -> dict[str, Any]:
    return node(node_id, "acme.compute", {"do": do, "value": value}, **data)


def call(recorder: Recorder, node_id: str = "call") -> dict[str, Any]:
    return node(node_id, "http.request", {"url": recorder.url, "method": "POST"})


def begun(api: Api, run: dict[str, Any], step_id: str = "a") -> None:
    def look() -> bool:
        return any(each["event"] == "step.started" and each["step_id"] == step_id for each in api.events(run["id"]))

    until(look, f"step {step_id} having begun")


# What works


def test_the_readmes_step_type_is_in_the_catalog_validates_and_runs(
    api: Api, worker: Process, recorder: Recorder
) -> None:
    listed = {step["type"]: step for step in api.http.get("/api/v1/catalog/steps").json()}["acme.notify"]
    assert (listed["kind"], listed["title"], listed["icon"]) == ("effect", "Notify", "bell")
    assert listed["config_schema"]["required"] == ["url"]
    notify = node("say", "acme.notify", {"url": recorder.url, "text": "Order {{ input.id }}"}, retry={})
    recorder.answers.append((503, {}, {}))

    run = api.execute(chain(notify), {"id": 7})

    assert (run["status"], run["output"]) == ("completed", {"say": {"status": 200}})
    assert [request.body for request in recorder.requests] == [b'{"text":"Order 7"}'] * 2
    assert {request.headers["idempotency-key"] for request in recorder.requests} == {f"{run['id']}:say"}


def test_a_bad_configuration_of_a_plug_in_is_refused_at_its_place(api: Api) -> None:
    created = api.create(definition([node("say", "acme.notify", {"urll": 1}), compute("refused", node_id="no")]))
    issues = api.http.post(f"/api/v1/workflows/{created['id']}/validate").json()["issues"]

    assert {(each["node_id"], each["path"]) for each in issues} == {("say", "/data/config"), ("no", "/data/config")}
    assert "It must not be refused." in {each["message"] for each in issues}


def test_a_pure_step_chooses_a_handle_and_a_wait_rests(api: Api, worker: Process) -> None:
    nodes = [
        compute("left", node_id="a"),
        node("rest", "acme.rest", {"value": 0.1}),
        node("no"),
        act("well", node_id="z"),
    ]
    drawn = definition(nodes, [edge("a", "rest", "left"), edge("a", "no"), edge("rest", "z")])

    run = api.execute(drawn, {"n": 1})

    assert (run["status"], run["output"]) == ("completed", {"z": {"did": "well"}})
    steps = {each["step_id"]: each for each in api.http.get(f"/api/v1/runs/{run['id']}/steps").json()["items"]}
    assert steps["a"]["output"] == {"input": {"n": 1}, "sources": {}}
    assert (steps["rest"]["output"], steps["no"]["status"]) == ({"rested": 0.1}, "skipped")


def test_what_is_json_comes_back_as_it_was(api: Api, worker: Process) -> None:
    run = api.execute(definition([act("return", "plain", "a"), compute("return", "plain", "b")]))

    plain = {"big": 2**70, "nul": "\0", "tuple": [1, 2], "none": None, "yes": True, "float": 1.5, "ä": "€"}
    assert run["output"] == {"a": plain, "b": plain}


def test_a_configuration_that_a_step_changes_is_as_drawn_in_the_next_run(api: Api, worker: Process) -> None:
    remember = {"do": "remember", "value": []}
    drawn = definition([node("a", "acme.act", remember), node("b", "acme.compute", remember)])
    workflow_id = api.publish(drawn)

    outputs = [api.finished(api.start(workflow_id)["id"])["output"] for _ in range(2)]

    assert outputs == [{"a": 1, "b": 1}] * 2


# What cannot be loaded


def test_plug_ins_that_are_not_sound_are_left_out_and_named(plugged: Plugged, worker: Process) -> None:
    types = {step["type"] for step in plugged.api.http.get("/api/v1/catalog/steps").json()}

    assert {each for each in types if each.startswith("acme.")} == {
        "acme.act", "acme.compute", "acme.rest", "acme.notify",
    }  # fmt: skip
    for log in (plugged.process.log, worker.log):
        lines = log.read_text()
        for name, reason in LEFT_OUT.items():
            line = re.search(rf"Step plug-in {name} \(.*, of acme-faults\) is left out: (.*)", lines)
            assert line is not None, name
            assert reason in line[1]
        assert "no license found" in lines


def test_a_step_type_that_could_not_be_loaded_is_unknown_to_validation(api: Api) -> None:
    created = api.create(definition([node("a", "acme.sound", {})]))
    response = api.http.post(f"/api/v1/workflows/{created['id']}/publish")

    assert response.status_code == 422
    (issue,) = response.json()["errors"]
    assert (issue["code"], issue["node_id"]) == ("unknown-step-type", "a")
    assert "acme.sound" in issue["message"]


@pytest.mark.parametrize("broken", ["handles", "check"])
def test_a_step_type_whose_own_checks_break_hurts_only_the_workflow_that_uses_it(api: Api, broken: str) -> None:
    drawn = definition([compute(broken), node("b")], [edge("a", "b")])
    created = api.create(drawn)
    response = api.http.post(f"/api/v1/workflows/{created['id']}/validate")

    assert response.status_code == 200
    messages = [each["message"] for each in response.json()["issues"]]
    expected = ["The step type's own check failed. The step raised KeyboardInterrupt: "]
    assert messages == (expected if broken == "check" else [])


def test_a_run_whose_step_type_is_gone_fails_and_can_be_retried_when_it_is_back(
    plugged: Plugged, no_worker: None
) -> None:
    workflow_id = plugged.api.publish(chain(compute("well"), act("well", node_id="b")))
    plugged.work(PYTHONPATH="")
    run = plugged.api.finished(plugged.api.start(workflow_id)["id"])
    assert (run["status"], run["error"]["code"]) == ("failed", "plan-unavailable")
    assert "acme.compute" in run["error"]["message"]

    plugged.rest()
    plugged.work()
    assert plugged.api.http.post(f"/api/v1/runs/{run['id']}/retry").status_code == 202

    assert plugged.api.finished(run["id"])["output"] == {"b": {"did": "well"}}


def test_a_run_whose_step_type_is_gone_is_cancelled_by_whoever_takes_it_over(plugged: Plugged, no_worker: None) -> None:
    run_id = plugged.api.start(plugged.api.publish(chain(act("hang"), node("after"))))["id"]
    worker = plugged.work(STEPWIRE_LEASE_SECONDS="5")
    until(lambda: "a" in plugged.api.run(run_id)["context"]["steps"], "the step having begun")
    worker.kill()
    assert plugged.api.http.post(f"/api/v1/runs/{run_id}/cancel").json()["status"] == "running", "it is still leased"
    plugged.work(PYTHONPATH="")

    run = plugged.api.finished(run_id)

    assert (run["status"], run["context"]["steps"]["a"]["status"]) == ("cancelled", "cancelled")


def test_a_run_whose_step_type_is_gone_takes_the_runs_that_it_waits_for_along(
    plugged: Plugged, no_worker: None
) -> None:
    api = plugged.api
    child = api.publish(chain(node("ask", "core.approval", {})))
    waiting = [node(name, "core.workflow", {"workflow_id": child}) for name in ("one", "other")]
    run_id = api.start(api.publish(definition([*waiting, act("well")], [edge("one", "a")])))["id"]
    plugged.work()

    def paused() -> list[dict[str, Any]]:
        return list(api.http.get(f"/api/v1/runs?workflow_id={child}&status=paused").json()["items"])

    one, other = until(lambda: paused() if len(paused()) == 2 else None, "both questions")
    plugged.rest()
    plugged.work(PYTHONPATH="")
    api.http.post(f"/api/v1/runs/{one['id']}/resume", json={"step_id": "ask", "data": {}})

    assert api.finished(run_id)["error"]["code"] == "plan-unavailable"
    assert api.finished(other["id"])["status"] == "cancelled"


# What comes of an attempt


@pytest.mark.parametrize("draw", [act, compute])
@pytest.mark.parametrize(
    ("what", "code", "told"),
    [
        ("nothing", "bad-outcome", "returned NoneType"),
        ("a dict", "bad-outcome", "returned dict"),
        ("a set", "output-not-json", "set is no JSON value (at /a/0)"),
        ("nan", "output-not-json", "nan is no JSON number (at the top)"),
        ("infinity", "output-not-json", "inf is no JSON number (at /0)"),
        ("a key", "output-not-json", "a key is int"),
        ("bytes", "output-not-json", "bytes is no JSON value"),
        ("an instant", "output-not-json", "datetime is no JSON value"),
        ("a surrogate", "output-not-json", "surrogate"),
        ("a surrogate in a key", "output-not-json", "surrogate"),
        ("huge digits", "output-not-json", "more digits"),
        ("itself", "output-not-json", "64 deep"),
        ("laughs", "output-too-large", "limit"),
        ("too much", "output-too-large", "limit"),
        ("a string for handles", "bad-outcome", "tuple of strings"),
        ("an unknown handle", "bad-outcome", "'sideways'"),
        ("a wait without an offset", "bad-outcome", "offset"),
        ("a wait at the end of time", "bad-outcome", "offset"),
        ("a wait for nan", "output-not-json", "nan"),
    ],
)
def test_an_outcome_that_cannot_be_stored_fails_its_step(
    api: Api, worker: Process, draw: Any, what: str, code: str, told: str
) -> None:
    run = api.execute(chain(draw("return", what)))

    assert (run["status"], run["error"]["code"]) == ("failed", code)
    assert told in run["error"]["message"]


@pytest.mark.parametrize("draw", [act, compute])
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("an error", "The step raised ValueError: bad ? text"),
        ("system exit", "The step raised SystemExit: 78"),
        ("keyboard interrupt", "The step raised KeyboardInterrupt: "),
        ("generator exit", "The step raised GeneratorExit: "),
        ("cancelled", None),
        ("unreadable", "The step raised Unreadable: (its message cannot be read)"),
        ("bare failure", "The step raised Bare: "),
    ],
)
def test_whatever_a_step_raises_fails_it_alone(
    api: Api, worker: Process, draw: Any, what: str, message: str | None
) -> None:
    run = api.execute(chain(draw("raise", what)))

    assert (run["status"], run["error"]["code"]) == ("failed", "step-crashed")
    assert message is None or run["error"]["message"] == message


def test_a_failure_full_of_garbage_is_stored_as_far_as_it_can_be(api: Api, worker: Process) -> None:
    run = api.execute(chain(compute("raise", "garbage", retry={"max_attempts": 3})))

    assert run["error"]["attempt"] == 1, "`is_retryable` has to be true, not just something"
    assert run["error"]["code"] == "<class 'dict'>"
    assert "set is no JSON value" in run["error"]["details"]["omitted"]


def test_a_task_of_a_step_that_asks_the_process_to_end_ends_itself_alone(api: Api, worker: Process) -> None:
    assert api.execute(chain(act("start a task that exits")))["status"] == "completed"


# What does not end


def test_a_step_that_hangs_is_stopped_at_its_timeout(api: Api, worker: Process) -> None:
    run = api.execute(chain(act("hang", timeout=0.1)))

    assert (run["error"]["code"], run["error"]["message"]) == ("timeout", "The step took longer than 0.1 seconds.")


def test_a_step_that_hangs_without_a_timeout_is_stopped_at_the_longest_one(plugged: Plugged, no_worker: None) -> None:
    plugged.work(STEPWIRE_STEP_TIMEOUT_SECONDS="0.2")

    assert plugged.api.execute(chain(act("hang")))["error"]["code"] == "timeout"


def test_a_step_that_does_not_heed_its_timeout_is_left_to_itself(api: Api, worker: Process, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    run = api.execute(chain(act("refuse to end", str(begun), timeout=0.1)))

    assert run["error"]["code"] == "timeout"
    assert begun.with_suffix(".refused").exists()
    assert f"Step 'a' (acme.act) of run {run['id']} goes on although it was cancelled" in worker.log.read_text()


def test_a_run_with_a_step_that_does_not_heed_its_cancellation_is_cancelled(
    api: Api, worker: Process, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    run = api.start(api.publish(chain(act("refuse to end", str(begun)))))
    until(begun.exists, "the step having begun")
    assert api.http.post(f"/api/v1/runs/{run['id']}/cancel").status_code == 202

    assert api.finished(run["id"])["status"] == "cancelled"
    until(begun.with_suffix(".refused").exists, "the cancellation having reached the step")


def test_a_worker_ends_in_time_whatever_its_steps_do(plugged: Plugged, no_worker: None, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    worker = plugged.work()
    thread = plugged.api.execute(chain(act("leave a thread behind")))
    run = plugged.api.start(plugged.api.publish(chain(act("refuse to end", str(begun)))))
    until(begun.exists, "the step having begun")

    asked_at = time.monotonic()
    worker.stop()

    assert time.monotonic() - asked_at < 16
    assert thread["status"] == "completed"
    assert plugged.api.run(run["id"])["status"] == "running"
    assert plugged.api.http.post(f"/api/v1/runs/{run['id']}/cancel").status_code == 202
    plugged.work()
    assert plugged.api.finished(run["id"])["status"] == "cancelled"


def test_tasks_that_a_step_leaves_behind_are_cancelled(api: Api, worker: Process, tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    run = api.execute(chain(act("leave a task behind", str(ended))))

    assert run["status"] == "completed"
    until(ended.exists, "the end of the task")
    assert f"of run {run['id']} left 1 tasks behind" in worker.log.read_text()


# What blocks the worker


@pytest.mark.parametrize(("draw", "do"), [(act, "sleep"), (compute, "spin")])
def test_a_step_that_blocks_the_loop_is_named_and_takes_no_other_runs_lease(
    plugged: Plugged, no_worker: None, recorder: Recorder, draw: Any, do: str
) -> None:
    blocked = plugged.work()
    recorder.hold()
    called = plugged.api.start(plugged.api.publish(chain(call(recorder))))
    until(lambda: recorder.requests, "the call being under way")
    blocking = plugged.api.start(plugged.api.publish(chain(draw(do, 4))))
    until(lambda: "keeps the event loop from turning" in blocked.log.read_text(), "the step being named")
    plugged.work()  # to take over whatever leases lapse
    ended = plugged.api.finished(blocking["id"])
    recorder.let_go()

    assert (ended["status"], ended["output"]) == ("completed", {"a": {"did": do}})
    assert plugged.api.finished(called["id"])["status"] == "completed"
    assert len(recorder.requests) == 1, "nobody repeated the call, for its lease was renewed"
    told = blocked.log.read_text()
    assert f"Step 'a' ({'acme.act' if draw is act else 'acme.compute'}) of run {ended['id']} keeps the" in told
    assert "in misbehave" in told, "with its stack"
    until(lambda: "The event loop turns again" in blocked.log.read_text(), "the watchdog seeing it turn")


@pytest.mark.parametrize(("do", "told"), [("sleep", "has stood still"), ("backtrack", "acme_faults")])
def test_a_worker_that_a_step_blocks_for_too_long_ends_and_others_take_over(
    plugged: Plugged, no_worker: None, do: str, told: str
) -> None:
    blocked = plugged.work()
    blocking = plugged.api.start(
        plugged.api.publish(chain(act(do, 600, retry={"on_worker_lost": False})))
    )  # fmt: skip
    begun(plugged.api, blocking)
    other = plugged.api.start(plugged.api.publish(chain(act("well"))))
    plugged.work()
    assert plugged.api.finished(other["id"])["status"] == "completed"
    assert blocked.popen.wait(60) != 0
    ended = plugged.api.finished(blocking["id"])

    assert (ended["status"], ended["error"]["code"]) == ("failed", "worker-lost")
    assert told in blocked.log.read_text()


# What kills the worker


@contextmanager
def revived(plugged: Plugged) -> Iterator[None]:
    """A worker that is started again whenever it dies."""
    ending = threading.Event()

    def keep() -> None:
        while not ending.wait(0.02):
            if plugged.workers[-1].popen.poll() is not None:
                plugged.workers.append(Process("worker", plugged.environment, plugged.folder / "revived.log"))

    plugged.work()
    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


@pytest.mark.parametrize("draw", [act, compute])
def test_a_step_that_kills_every_worker_fails_its_run_and_the_others_complete(
    plugged: Plugged, no_worker: None, recorder: Recorder, draw: Any
) -> None:
    quick = {"initial_interval": 0.1, "max_interval": 0.1}
    other_id = plugged.api.publish(chain(call(recorder), compute("well", node_id="b")))
    others = []
    with revived(plugged):
        started = len(plugged.workers)
        poisoned = plugged.api.start(plugged.api.publish(chain(draw("exit", retry=quick))))
        while plugged.api.run(poisoned["id"])["status"] in ("queued", "running"):
            others.append(plugged.api.start(other_id)["id"])
            until(lambda count=len(plugged.workers): len(plugged.workers) > count
                  or plugged.api.run(poisoned["id"])["status"] == "failed", "the next worker")  # fmt: skip
        ended = [plugged.api.finished(run_id) for run_id in others]

    error = plugged.api.run(poisoned["id"])["error"]
    assert (error["code"], error["attempt"]) == ("worker-lost", 10)
    assert {run["status"] for run in ended} == {"completed"}
    assert len(plugged.workers) - started <= 11, "one life an attempt, and one for the attempt before it was suspected"
