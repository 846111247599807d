"""What clients do to one thing at the same moment, through two processes: somebody comes first, nothing is mixed."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest

from factories import chain, definition, node
from recorder import Recorder
from stack import Api

ONE = chain(node("a", "core.log", {"message": "a"}))
BROKEN = definition([node("a", "no.such.step", {})])
WORKFLOWS, RUNS = "/api/v1/workflows", "/api/v1/runs"
Call = Callable[[httpx.Client], httpx.Response]


def at_once(apis: list[Api], calls: list[Call]) -> list[httpx.Response]:
    """Make every call in a thread of its own, on the processes in turn, all at the same moment; answers in order."""
    barrier = Barrier(len(calls))

    def make(number: int) -> httpx.Response:
        with apis[number % len(apis)].client() as client:
            client.get("/health")  # connect
            barrier.wait(30)
            return calls[number](client)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(make, range(len(calls))))


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


# Workflows


def test_a_draft_that_many_delete_is_deleted_once(apis: list[Api]) -> None:
    path = f"{WORKFLOWS}/{apis[0].create(ONE)['id']}"

    assert statuses(at_once(apis, [lambda client: client.delete(path)] * 10)) == {204: 1, 404: 9}


def test_a_draft_is_either_changed_first_or_gone(apis: list[Api]) -> None:
    for _ in range(10):
        path = f"{WORKFLOWS}/{apis[0].create(ONE)['id']}"
        calls: list[Call] = [
            lambda client, path=path: client.delete(path, headers={"If-Match": '"1"'}),
            lambda client, path=path: client.put(path, headers={"If-Match": '"1"'}, json={"name": "changed"}),
        ]
        deleted, changed = at_once(apis, calls)

        assert (deleted.status_code, changed.status_code) in ((204, 404), (412, 200))
        assert apis[1].http.get(path).status_code == (404 if deleted.status_code == 204 else 200)


def test_a_draft_is_either_published_or_deleted(apis: list[Api]) -> None:
    for _ in range(10):
        path = f"{WORKFLOWS}/{apis[0].create(ONE)['id']}"
        published, deleted = at_once(
            apis,
            [lambda client, path=path: client.post(f"{path}/publish"), lambda client, path=path: client.delete(path)],
        )

        assert (published.status_code, deleted.status_code) in ((200, 400), (404, 204))
        assert apis[1].http.get(path).status_code == (404 if deleted.status_code == 204 else 200)


def test_nothing_is_published_that_was_not_validated(apis: list[Api]) -> None:
    """One saves a broken graph over a sound one while the other publishes, and the other way round."""
    for saved, stored in [(BROKEN, ONE), (ONE, BROKEN)] * 8:
        path = f"{WORKFLOWS}/{apis[0].create(stored)['id']}"
        calls: list[Call] = [
            lambda client, path=path, saved=saved: client.put(path, json={"definition": saved}),
            *[lambda client, path=path: client.post(f"{path}/publish")] * 3,
        ]
        change, *publications = at_once(apis, calls)
        now = apis[0].http.get(path).json()

        assert {each.status_code for each in publications} <= {200, 422}
        assert (now["status"] == "published") is any(each.status_code == 200 for each in publications)
        assert change.status_code in (200, 409)
        if now["status"] == "published":
            assert now["definition"] == ONE
        assert now["definition"] == (saved if change.status_code == 200 else stored)


def test_no_run_is_accepted_once_its_workflow_is_said_to_be_archived(apis: list[Api]) -> None:
    workflow_id = apis[0].publish(ONE)
    path = f"{WORKFLOWS}/{workflow_id}"
    for api in apis:  # each process has read it
        api.start(workflow_id)
    starts: list[Call] = [lambda client: client.post(f"{path}/run", json={})] * 12
    archived, *answers = at_once(apis, [lambda client: client.post(f"{path}/archive"), *starts])
    before = apis[0].http.get(RUNS, params={"workflow_id": workflow_id}).json()["total"]
    late = at_once(apis, starts)

    assert archived.status_code == 200
    assert set(statuses(answers)) <= {201, 409}
    assert statuses(late) == {409: 12}
    assert before == 2 + statuses(answers)[201]
    assert apis[0].http.get(RUNS, params={"workflow_id": workflow_id}).json()["total"] == before


def test_copies_of_copies_have_versions_of_their_own_whatever_is_deleted_meanwhile(apis: list[Api]) -> None:
    first = apis[0].publish(ONE)
    copies = [apis[0].http.post(f"{WORKFLOWS}/{first}/duplicate").json()["id"] for _ in range(3)]
    calls: list[Call] = [
        *[lambda client: client.post(f"{WORKFLOWS}/{first}/duplicate")] * 8,
        *[lambda client: client.post(f"{WORKFLOWS}/{copies[1]}/duplicate")] * 8,
        lambda client: client.delete(f"{WORKFLOWS}/{copies[2]}"),
    ]
    *answers, deleted = at_once(apis, calls)

    versions = [answer.json()["version"] for answer in answers]
    assert (deleted.status_code, statuses(answers)) == (204, {201: 16})
    assert len(set(versions)) == 16
    assert min(versions) >= 4
    assert {answer.json()["source_id"] for answer in answers} == {first, copies[1]}


# Runs


def test_a_failed_run_that_two_take_up_again_is_taken_up_once(apis: list[Api], recorder: Recorder) -> None:
    recorder.answers = [(500, {}, {})]
    run = apis[0].execute(chain(node("call", "http.request", {"url": recorder.url})))
    recorder.hold()

    answers = at_once(apis, [lambda client: client.post(f"{RUNS}/{run['id']}/retry")] * 6)
    recorder.let_go()

    assert run["status"] == "failed"
    assert statuses(answers) == {202: 1, 409: 5}
    assert {each.json()["type"] for each in answers if each.status_code == 409} == {"/problems/run-not-failed"}
    assert apis[0].finished(run["id"])["status"] == "completed"
    assert [event["event"] for event in apis[0].events(run["id"])].count("run.retried") == 1
    assert len(recorder.requests) == 2


def test_a_run_that_ends_while_it_is_cancelled_ends_once(apis: list[Api]) -> None:
    """Whoever comes first: a refused order is one about a run that has ended, an accepted one leaves one end."""
    delays = chain(*(node(f"d{number}", "core.delay", {"duration": "{{ input.seconds }}"}) for number in range(3)))
    workflow_id = apis[0].publish(delays)
    ends = set()
    for attempt in range(15):
        run = apis[0].start(workflow_id, {"seconds": attempt * 0.02})
        path = f"{RUNS}/{run['id']}"
        orders: list[Call] = [lambda client, path=path: client.post(f"{path}/cancel")] * 3
        answers = at_once(apis, orders)
        ended = apis[0].finished(run["id"])
        names = [event["event"] for event in apis[0].events(run["id"])]
        later = apis[1].http.post(f"{path}/cancel")

        assert set(statuses(answers)) <= {200, 202, 409}
        assert not {200, 409} <= set(statuses(answers))
        assert ended["status"] == "cancelled" or 200 not in statuses(answers)
        assert ended["status"] == "completed" or 409 not in statuses(answers)
        assert [name for name in names if name in ("run.completed", "run.cancelled")] == [f"run.{ended['status']}"]
        assert names[-1] == f"run.{ended['status']}"
        assert later.status_code == {"cancelled": 200, "completed": 409}[ended["status"]]
        ends.add(ended["status"])

    assert ends == {"completed", "cancelled"}


@pytest.mark.parametrize("_attempt", range(5))
def test_a_failed_run_is_cancelled_only_once_it_was_taken_up_again(
    apis: list[Api], recorder: Recorder, _attempt: int
) -> None:
    recorder.answers = [(500, {}, {})]
    run = apis[0].execute(chain(node("call", "http.request", {"url": recorder.url})))
    path = f"{RUNS}/{run['id']}"
    recorder.hold()
    calls: list[Call] = [
        lambda client: client.post(f"{path}/retry"),
        lambda client: client.post(f"{path}/cancel"),
    ]
    retried, cancelled = at_once(apis, calls)
    if cancelled.status_code == 409:
        assert "has failed already" in cancelled.json()["detail"]
        recorder.let_go()
    ended = apis[0].finished(run["id"])

    assert retried.status_code == 202
    assert (cancelled.status_code, ended["status"]) in ((202, "cancelled"), (409, "completed"))
