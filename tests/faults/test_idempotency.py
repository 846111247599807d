"""One key is one effect: whichever of several processes is asked, however often, and whatever dies meanwhile."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from factories import chain, node
from served import Served, kill
from stack import Api, until

ONE = chain(node("a", "core.log", {"message": "a"}))


def storm(apis: list[Api], path: str, bodies: list[Any], key: str) -> list[httpx.Response]:
    """A hundred requests at once, over all processes."""

    def send(number: int) -> httpx.Response:
        api = apis[number % len(apis)]
        with api.client() as client:
            return client.post(path, json=bodies[number % len(bodies)], headers={"X-Idempotency-Key": key})

    with ThreadPoolExecutor(25) as pool:
        return list(pool.map(send, range(100)))


@pytest.mark.parametrize("operation", ["create", "duplicate", "run"])
def test_a_hundred_requests_with_one_key_make_one(apis: list[Api], operation: str) -> None:
    workflow_id = apis[0].publish(ONE)
    path = {
        "create": "/api/v1/workflows",
        "duplicate": f"/api/v1/workflows/{workflow_id}/duplicate",
        "run": f"/api/v1/workflows/{workflow_id}/run",
    }[operation]
    key = str(uuid4())

    answers = storm(apis, path, [{"name": "Once"} if operation == "create" else {}], key)

    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 99}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert {answer.headers["location"] for answer in answers} == {answers[0].headers["location"]}
    assert [answer.headers.get("idempotency-replayed") for answer in answers].count("true") == 99
    if operation == "run":
        assert apis[0].http.get("/api/v1/runs", params={"workflow_id": workflow_id}).json()["total"] == 1


@pytest.mark.parametrize("operation", ["create", "run"])
def test_of_two_requests_with_one_key_one_wins_and_the_other_is_refused(apis: list[Api], operation: str) -> None:
    workflow_id = apis[0].publish(ONE)
    path = "/api/v1/workflows" if operation == "create" else f"/api/v1/workflows/{workflow_id}/run"
    bodies = [{"name": "A"}, {"name": "B"}, {"name": "B"}, {"name": "A"}]
    if operation == "run":
        bodies = [{"input": body} for body in bodies]

    answers = storm(apis, path, bodies, str(uuid4()))

    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 49, 422: 50}
    assert {answer.json()["type"] for answer in answers if answer.status_code == 422} == {
        "/problems/idempotency-key-reused"
    }


def test_a_replay_shows_the_resource_as_it_is_now(server: Api) -> None:
    key = {"Idempotency-Key": f'"{uuid4()}"'}
    body = {"name": "First", "definition": ONE}
    made = server.http.post("/api/v1/workflows", json=body, headers=key).json()
    server.http.put(f"/api/v1/workflows/{made['id']}", json={"name": "Renamed"})
    server.http.post(f"/api/v1/workflows/{made['id']}/publish")
    unquoted = {"X-Idempotency-Key": key["Idempotency-Key"].strip('"')}

    replay = server.http.post("/api/v1/workflows", json=body, headers=unquoted)

    assert (replay.status_code, replay.json()["name"], replay.json()["status"]) == (200, "Renamed", "published")
    path = f"/api/v1/workflows/{made['id']}/run"
    run = server.http.post(path, headers=key).json()
    ended = server.finished(run["id"])
    server.http.post(f"/api/v1/workflows/{made['id']}/archive")
    assert server.http.post(path, json={}, headers=key).json() == ended, "archived meanwhile; {} is no body"


def test_a_key_goes_with_its_row_and_belongs_to_one_operation(server: Api) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    first = server.http.post("/api/v1/workflows", json={"name": "x"}, headers=key)
    copy = server.http.post(f"/api/v1/workflows/{first.json()['id']}/duplicate", headers=key)
    other = server.create(ONE)["id"]
    elsewhere = server.http.post(f"/api/v1/workflows/{other}/duplicate", headers=key)
    server.http.delete(f"/api/v1/workflows/{first.json()['id']}")
    replayed = server.http.post(f"/api/v1/workflows/{first.json()['id']}/duplicate", headers=key)
    again = server.http.post("/api/v1/workflows", json={"name": "y"}, headers=key)

    assert (first.status_code, copy.status_code, elsewhere.status_code) == (201, 201, 422)
    assert (replayed.status_code, replayed.json()["id"]) == (200, copy.json()["id"]), "its source is gone, it is not"
    assert (again.status_code, again.json()["name"]) == (201, "y")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            {"name": "x"},
            {"definition": {"edges": [], "nodes": []}, "name": "x", "description": "", "input_schema": None},
        ),
        ({"name": "x", "id": "ignored"}, {"name": "x"}),
        ({"name": "\u00e4"}, '{ "name" : "\\u00e4" }'),
    ],
)
def test_requests_are_the_same_when_they_mean_the_same(server: Api, one: Any, other: Any) -> None:
    key = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
    first = server.http.post("/api/v1/workflows", json=one, headers=key)
    sent = {"content": other} if isinstance(other, str) else {"json": other}
    second = server.http.post("/api/v1/workflows", headers=key, **sent)

    assert (first.status_code, second.status_code) == (201, 200)


@pytest.mark.parametrize("verb", ["publish", "archive"])
def test_a_verb_that_many_call_at_once_happens_once(apis: list[Api], verb: str) -> None:
    workflow_id = apis[0].create(ONE)["id"] if verb == "publish" else apis[0].publish(ONE)
    answers = storm(apis, f"/api/v1/workflows/{workflow_id}/{verb}", [None], str(uuid4()))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["etag"] for answer in answers}) == 1
    assert len({answer.text for answer in answers}) == 1


def test_copies_that_are_made_at_once_have_versions_of_their_own(apis: list[Api]) -> None:
    workflow_id = apis[0].publish(ONE)

    def duplicate(number: int) -> int:
        with apis[number % 2].client() as client:
            return int(client.post(f"/api/v1/workflows/{workflow_id}/duplicate").json()["version"])

    with ThreadPoolExecutor(20) as pool:
        versions = list(pool.map(duplicate, range(40)))

    assert sorted(versions) == list(range(2, 42))


def test_of_many_changes_of_one_revision_one_wins(apis: list[Api]) -> None:
    workflow_id = apis[0].create(ONE)["id"]

    def change(number: int) -> int:
        with apis[number % 2].client() as client:
            body = {"name": f"by {number}"}
            return client.put(f"/api/v1/workflows/{workflow_id}", json=body, headers={"If-Match": '"1"'}).status_code

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(change, range(40)))

    assert Counter(answers) == {200: 1, 412: 39}
    assert apis[0].http.get(f"/api/v1/workflows/{workflow_id}").json()["name"] == f"by {answers.index(200)}"


def test_keys_outlive_the_death_of_everything(tmp_path: Path) -> None:
    """An API is killed in a storm of requests with keys, then all servers; each key is one run, then and after."""
    served = Served(tmp_path)
    try:
        api = served.api
        assert api is not None
        path = f"/api/v1/workflows/{api.publish(ONE)}/run"

        def send(number: int) -> tuple[int, str] | None:
            try:
                with api.client() as client:
                    answer = client.post(path, headers={"X-Idempotency-Key": f"k{number}"})
                return (answer.status_code, answer.json()["id"]) if answer.is_success else None
            except httpx.TransportError:
                return None

        with ThreadPoolExecutor(20) as pool:
            futures = [pool.submit(send, number) for number in range(200)]
            until(lambda: sum(future.done() for future in futures) > 60, "some answers")
            kill(served.child("api"))
            first = [future.result() for future in futures]
        assert None in first, "the kill came too late"
        until(api.is_ready, "the API being back")
        second = [until(lambda number=number: send(number), "an answer") for number in range(200)]
        kill(*served.all())
        served.process.popen.wait(30)
        served.start()
        third = [send(number) for number in range(200)]
    finally:
        served.process.stop()
        if served.api is not None:
            served.api.http.close()

    for before, after, last in zip(first, second, third, strict=True):
        assert after is not None
        assert last == (200, after[1])
        assert before is None or before[1] == after[1]
    assert len({after[1] for after in second}) == 200
