"""Processes that stand still, and ways between them that break, slow down or swallow what is sent."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from factories import chain, node
from recorder import Recorder
from split import DATABASE_SECONDS, LEASE_SECONDS, Split
from stack import until
from stepwire.db.migrate import migrate
from stepwire.embedded.services import embedded_services
from stepwire.settings import Settings
from works import Works, check_journal, fetch

SEED = 20_260_101


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Split]:
    """An API, and the worker ``one``."""
    folder: Path = tmp_path_factory.mktemp("split")
    with embedded_services(folder / "home", Settings(home=folder / "home")) as services:
        migrate(services["DATABASE_URL"])
        with closing(Split(folder, services)) as processes:
            processes.start("one")
            yield processes


@pytest.fixture
def works(split: Split, recorder: Recorder) -> Iterator[Works]:
    with closing(Works(split.api, recorder)) as known:
        yield known
        split.heal()


@pytest.fixture
def two(split: Split) -> Iterator[None]:
    """A second worker, once the test has started it."""
    yield
    split.heal()
    split.end("two")


def events_of(split: Split, run_id: str) -> list[str]:
    records = fetch(split.database, "SELECT event FROM run_event WHERE run_id = $1 ORDER BY seq", run_id)
    return [record["event"] for record in records]


def test_a_worker_that_was_asleep_past_its_lease_changes_nothing_when_it_wakes(
    split: Split, works: Works, recorder: Recorder, two: None
) -> None:
    recorder.hold()
    run_ids = [works.calling() for _ in range(3)]
    until(lambda: len(recorder.requests) == 6, "calls being under way")
    with split.stopped("one"):
        split.start("two")
        until(lambda: len(recorder.requests) == 12, "the calls being made again by the other worker")
        works.cancel(run_ids[0])
        recorder.let_go()
        for run_id in run_ids:
            works.ended(run_id)
        before = {run_id: events_of(split, run_id) for run_id in run_ids}
    with split.stopped("two"):
        woken = works.calling()  # it is awake: it drives what is new
        works.ended(woken)

    assert {run_id: events_of(split, run_id) for run_id in run_ids} == before
    assert "The event loop turns again" not in (split.folder / "one.log").read_text()
    works.check(split.database)


def test_a_worker_that_falls_asleep_between_the_journal_and_the_act_does_not_act_when_it_wakes(
    split: Split, works: Works, recorder: Recorder, two: None
) -> None:
    """What it is about to begin was cancelled meanwhile."""
    split.to_postgres["one"].seconds = 0.3
    run_id = works.calling()
    until(lambda: "step.started" in events_of(split, run_id), "the calls being journalled")
    with split.stopped("one"):
        assert recorder.requests == []
        split.start("two")
        split.to_postgres["one"].heal()
        recorder.hold()
        works.cancel(run_id)
        recorder.let_go()
        count = len(recorder.requests)
    with split.stopped("two"):
        works.ended(works.calling())

    assert not [each for each in recorder.requests[count:] if each.headers["idempotency-key"].startswith(run_id)]
    works.check(split.database)


def test_what_was_sent_to_an_api_that_stands_still_is_answered_when_it_goes_on(split: Split, works: Works) -> None:
    workflow_id = split.api.publish(chain(node("a", "core.log", {})))

    def post(number: int) -> str:
        answer = works.ask(f"/workflows/{workflow_id}/run", {"input": {}}, {"Idempotency-Key": f"still-{number}"})
        return str(answer.json()["id"])

    with ThreadPoolExecutor(8) as pool:
        posting = [pool.submit(post, number) for number in range(40)]
        with split.stopped("api"):
            time.sleep(2 * LEASE_SECONDS)  # for as long as it is stopped, nothing can be seen to happen
        run_ids = [each.result() for each in posting]

    assert len(set(run_ids)) == len(run_ids)
    for run_id in run_ids:
        assert check_journal(split.api, split.api.finished(run_id))[-1] == "run.completed"


def test_a_worker_that_is_cut_off_without_a_word_loses_its_runs_and_comes_back(
    split: Split, works: Works, recorder: Recorder, two: None
) -> None:
    recorder.hold()
    held = [works.calling(), works.calling()]
    until(lambda: len(recorder.requests) == 4, "calls being under way")
    split.to_postgres["one"].swallowing = split.to_valkey["one"].swallowing = True
    split.start("two")
    until(lambda: len(recorder.requests) == 8, "the calls being made again by the other worker")
    works.cancel(held[0])
    recorder.let_go()
    works.ended(held[1])
    split.heal()
    with split.stopped("two"):
        works.ended(works.parent())

    works.check(split.database)


def test_an_api_that_is_cut_off_without_a_word_says_so_in_time_and_comes_back(
    split: Split, works: Works, recorder: Recorder
) -> None:
    paused = works.asking()
    until(lambda: works.is_paused(paused), "the run being paused")
    split.to_postgres["api"].swallowing = True
    requests: dict[str, tuple[str, str, object]] = {
        "read": ("GET", f"/api/v1/runs/{paused}", None),
        "list": ("GET", "/api/v1/runs", None),
        "cancel": ("POST", f"/api/v1/runs/{paused}/cancel", {}),
        "resume": ("POST", f"/api/v1/runs/{paused}/resume", {"step_id": "ask", "data": {}}),
        "ready": ("GET", "/health/ready", None),
    }
    with split.api.client() as client, ThreadPoolExecutor(len(requests)) as pool:
        asking = {
            name: pool.submit(client.request, method, path, json=body)
            for name, (method, path, body) in requests.items()
        }
        answers = {name: each.result() for name, each in asking.items()}
    taken = {name: answer.elapsed.total_seconds() for name, answer in answers.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 503)
    assert max(taken.values()) < 3 * DATABASE_SECONDS, taken
    split.heal()
    works.resume(paused)

    works.check(split.database)


def test_requests_are_served_while_nothing_comes_back_from_valkey(split: Split, works: Works) -> None:
    split.to_valkey["api"].swallowing = True
    run_id = works.asking()
    until(lambda: works.is_paused(run_id), "the run being paused")
    works.resume(run_id)
    assert split.api.http.get("/health/ready").json()["checks"]["redis"] != "ok"
    split.heal()
    until(split.api.is_ready, "the API being ready")

    works.check(split.database)


def test_a_worker_hears_of_cancellations_again_after_its_connections_went_dead(
    split: Split, works: Works, recorder: Recorder
) -> None:
    """Dead, not broken: nothing but silence tells, since it only listens on them."""
    split.to_valkey["one"].strand()
    recorder.hold()

    def is_heard() -> bool:
        run_id = works.calling()
        until(lambda: any(each.headers["idempotency-key"].startswith(run_id) for each in recorder.requests), "a call")
        began = time.monotonic()
        works.cancel(run_id)
        return time.monotonic() - began < LEASE_SECONDS / 3 / 3

    until(lambda: is_heard() and is_heard() and is_heard(), "cancellations being heard at once")
    recorder.let_go()
    works.check(split.database)


def test_runs_end_although_connections_break_lose_answers_and_are_slow(
    split: Split, works: Works, recorder: Recorder
) -> None:
    chance = random.Random(SEED)
    proxies = [*split.to_postgres.values(), *split.to_valkey.values()]
    for proxy in split.to_postgres.values():
        proxy.lose_answer_to = lambda piece: piece.startswith((b"B", b"Q")) and chance.random() < 0.05
    for _ in range(3):
        asking, calling, _, _ = works.asking(), works.calling(), works.parent(), works.delayed()
        chance.choice(proxies).cut()
        until(lambda run_id=asking: works.is_paused(run_id), "the run being paused")
        chance.choice(proxies).seconds = chance.choice((0.0, 0.3))
        works.resume(asking)
        chance.choice(proxies).cut()
        works.ask(f"/runs/{calling}/cancel") if chance.random() < 0.5 else None
        for proxy in proxies:
            proxy.seconds = 0.0
    lost = sum(proxy.lost for proxy in split.to_postgres.values())
    split.heal()
    for run_id in works.expected:
        if works.ended(run_id)["status"] == "cancelled":
            works.cancelled[run_id] = len(recorder.requests)

    assert lost > 2
    works.check(split.database)
