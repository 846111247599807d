"""Others are told when runs have ended: signed, at least once, until they take it; and what became of it can be seen."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from factories import chain, node
from recorder import Recorder, Request
from stack import Api, until

WORK = chain(node("a", "core.transform", {"values": {"n": 1}}))
FAILS = chain(node("a", "core.fail", {"message": "no"}))


def hook_of(workflow_id: str) -> str:
    return f"/api/v1/workflows/{workflow_id}/hook"


def put(server: Api, workflow_id: str, url: str, *events: str) -> httpx.Response:
    return server.http.put(hook_of(workflow_id), json={"url": url, **({"events": events} if events else {})})


def deliveries(server: Api, workflow_id: str, **params: Any) -> list[dict[str, Any]]:
    answer = server.http.get(f"/api/v1/workflows/{workflow_id}/deliveries", params=params)
    return list(answer.json()["items"])


def arrived(recorder: Recorder, count: int) -> list[Request]:
    until(lambda: len(recorder.requests) >= count, f"{count} deliveries")
    return recorder.requests


def is_settled(server: Api, workflow_id: str, status: str) -> dict[str, Any]:
    return dict(
        until(lambda: [each for each in deliveries(server, workflow_id) if each["status"] == status], status)[0]
    )


def execute(services: dict[str, str], statement: str, *arguments: object) -> None:
    async def do() -> None:
        connection = await asyncpg.connect(services["DATABASE_URL"])
        await connection.execute(statement, *arguments)
        await connection.close()

    asyncio.run(do())


def test_who_has_a_hook_is_told_of_each_end_with_a_signature_that_the_reference_library_takes(
    server: Api, recorder: Recorder
) -> None:
    workflow_id = server.publish(WORK)
    made = put(server, workflow_id, f"{recorder.url}/in")
    run = server.finished(server.start(workflow_id)["id"])

    [request] = arrived(recorder, 1)

    assert made.status_code == 201
    assert (request.method, request.path, request.headers["content-type"]) == ("POST", "/in", "application/json")
    told = Webhook(made.json()["secret"]).verify(request.body, request.headers)
    assert told == json.loads(request.body)
    assert (told["type"], told["data"]["run_id"], told["data"]["output"]) == ("run.completed", run["id"], run["output"])
    delivery = is_settled(server, workflow_id, "delivered")
    assert request.headers["webhook-id"] == f"msg_{delivery['id'].replace('-', '')}"
    assert (delivery["run_id"], delivery["event"], delivery["next_attempt_at"]) == (run["id"], "run.completed", None)
    assert [each["status"] for each in delivery["attempts"]] == [200]
    assert delivery["delivered_at"] is not None


def test_there_are_no_deliveries_of_what_is_not_there(server: Api) -> None:
    there, not_there = (
        server.http.get(f"/api/v1/workflows/{one}/deliveries") for one in (server.create(WORK)["id"], uuid4())
    )

    assert (there.status_code, there.json()["items"]) == (200, [])
    assert (not_there.status_code, not_there.json()["type"]) == (404, "/problems/workflow-not-found")


def test_only_what_was_asked_for_is_told_and_a_failure_with_its_error(server: Api, recorder: Recorder) -> None:
    fails, works = server.publish(FAILS), server.publish(WORK)
    for workflow_id in (fails, works):
        put(server, workflow_id, recorder.url, "run.failed", "run.cancelled")
    server.finished(server.start(works)["id"])
    run = server.finished(server.start(fails)["id"])
    waiting = server.publish(chain(node("ask", "core.approval", {})))
    put(server, waiting, recorder.url, "run.cancelled")
    server.http.post(f"/api/v1/runs/{server.start(waiting)['id']}/cancel")

    told = [json.loads(each.body) for each in arrived(recorder, 2)]

    assert sorted(each["type"] for each in told) == ["run.cancelled", "run.failed"]
    [failed] = [each["data"] for each in told if each["type"] == "run.failed"]
    assert (failed["error"]["code"], failed["output"]) == (run["error"]["code"], None)
    assert deliveries(server, works) == []


def test_what_is_not_taken_is_sent_again_the_same_but_for_the_time_and_given_up_in_the_end(
    server: Api, recorder: Recorder, services: dict[str, str]
) -> None:
    recorder.answers = [(500, {}, {}), (302, {"location": recorder.url}, {})]
    workflow_id = server.publish(WORK)
    put(server, workflow_id, recorder.url)
    server.start(workflow_id)
    for count in (1, 2):
        until(
            lambda count=count: [each for each in deliveries(server, workflow_id) if len(each["attempts"]) == count],
            "it",
        )
        assert [each["status"] for each in deliveries(server, workflow_id)] == ["pending"]
        execute(services, "UPDATE delivery SET next_at = now() WHERE workflow_id = $1", workflow_id)

    delivery = is_settled(server, workflow_id, "delivered")

    assert [each["status"] for each in delivery["attempts"]] == [500, 302, 200]
    assert len({(each.headers["webhook-id"], each.body) for each in recorder.requests}) == 1
    recorder.answers = [(503, {}, {})]
    execute(
        services,
        "UPDATE delivery SET status = 'pending', tries = 8, next_at = now() WHERE workflow_id = $1", workflow_id,
    )  # fmt: skip
    assert is_settled(server, workflow_id, "failed")["next_attempt_at"] is None
    assert [each["id"] for each in deliveries(server, workflow_id, status="failed")] == [delivery["id"]]
    assert deliveries(server, workflow_id, status="delivered") == []


def test_a_delivery_is_sent_again_when_its_owner_says_so(server: Api, recorder: Recorder) -> None:
    workflow_id = server.publish(WORK)
    put(server, workflow_id, recorder.url)
    server.start(workflow_id)
    delivery = is_settled(server, workflow_id, "delivered")

    answer = server.http.post(f"/api/v1/workflows/{workflow_id}/deliveries/{delivery['id']}/replay")

    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    first, second = arrived(recorder, 2)
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    missing = server.http.post(f"/api/v1/workflows/{workflow_id}/deliveries/{uuid4()}/replay")
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/delivery-not-found")


def test_a_changed_secret_signs_beside_the_one_before(server: Api, recorder: Recorder) -> None:
    workflow_id = server.publish(WORK)
    old = put(server, workflow_id, recorder.url).json()["secret"]
    path, key = f"{hook_of(workflow_id)}/secret", {"Idempotency-Key": "one"}
    renewed, again = (server.http.post(path, headers=key) for _ in range(2))
    server.start(workflow_id)
    [request] = arrived(recorder, 1)

    assert (renewed.status_code, again.status_code) == (201, 200)
    assert renewed.json() == again.json()
    assert renewed.json()["secret"] != old
    for secret in (old, renewed.json()["secret"]):
        assert Webhook(secret).verify(request.body, request.headers)


def test_a_hook_is_changed_read_and_deleted_and_its_secret_is_shown_once(server: Api, recorder: Recorder) -> None:
    workflow_id = server.publish(WORK)
    made, changed = put(server, workflow_id, recorder.url), put(server, workflow_id, f"{recorder.url}/b", "run.failed")
    read = server.http.get(hook_of(workflow_id))

    assert [made.status_code, changed.status_code, read.status_code] == [201, 200, 200]
    assert made.json()["events"] == ["run.cancelled", "run.completed", "run.failed"]
    assert "secret" not in changed.json() | read.json()
    assert (read.json()["url"], read.json()["events"]) == (f"{recorder.url}/b", ["run.failed"])
    assert server.http.put(hook_of(workflow_id), json=read.json()).status_code == 200
    assert server.http.delete(hook_of(workflow_id)).status_code == 204
    gone = [server.http.get(hook_of(workflow_id)), server.http.delete(hook_of(workflow_id)),
            server.http.post(f"{hook_of(workflow_id)}/secret")]  # fmt: skip
    assert {(each.status_code, each.json()["type"]) for each in gone} == {(404, "/problems/hook-not-found")}


def test_deleting_a_hook_ends_what_is_pending_and_a_draft_takes_its_hook_with_it(
    server: Api, recorder: Recorder
) -> None:
    recorder.answers = [(500, {}, {})]
    workflow_id = server.publish(WORK)
    put(server, workflow_id, recorder.url)
    server.start(workflow_id)
    until(lambda: [each for each in deliveries(server, workflow_id) if each["attempts"]], "the first try")
    draft = server.create(WORK)["id"]
    put(server, draft, recorder.url)

    server.http.delete(hook_of(workflow_id))
    deleted = server.http.delete(f"/api/v1/workflows/{draft}")

    assert deleted.status_code == 204
    [delivery] = deliveries(server, workflow_id)
    assert (delivery["status"], delivery["next_attempt_at"]) == ("failed", None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"url": "ftp://example.com"}, 422), ({"url": "https://"}, 422), ({"url": "not a url"}, 422),
        ({"url": "https://user:password@example.com"}, 422), ({"url": "https://exa\x00mple.com"}, 422),
        ({"url": "https://[::1"}, 422), ({"url": "https://xn--/"}, 422), ({"url": "https://a b/"}, 422), ({"url": "https://a:65536/"}, 422), ({"url": "x" * 2001}, 400), ({"url": ""}, 400), ({}, 400),
        ({"url": "https://example.com", "events": []}, 400), ({"url": "https://example.com", "events": ["run.x"]}, 400),
    ],
)  # fmt: skip
def test_what_cannot_be_a_hook_is_refused(server: Api, body: dict[str, Any], status: int) -> None:
    answer = server.http.put(hook_of(server.create(WORK)["id"]), json=body)

    assert answer.status_code == status, answer.text
    assert "password" not in answer.text.replace("a user or a password", "")


def test_an_address_that_is_not_public_is_not_called(server: Api) -> None:
    """The servers of the tests may call 127.0.0.1, and nothing else that is private."""
    workflow_id = server.publish(WORK)
    put(server, workflow_id, "http://169.254.169.254/latest/meta-data")
    server.start(workflow_id)
    until(lambda: [each for each in deliveries(server, workflow_id) if each["attempts"]], "the first try")

    [attempt] = deliveries(server, workflow_id)[0]["attempts"]

    assert attempt["status"] is None
    assert "is not at a public address" in attempt["error"]


def test_deliveries_come_in_parts_newest_first(server: Api, recorder: Recorder) -> None:
    workflow_id = server.publish(WORK)
    put(server, workflow_id, recorder.url)
    runs = [server.finished(server.start(workflow_id)["id"])["id"] for _ in range(5)]
    path, cursor, found = f"/api/v1/workflows/{workflow_id}/deliveries", "", []
    while cursor is not None:
        part = server.http.get(path, params={"per_page": 2, "cursor": cursor}).json()
        found += [each["run_id"] for each in part["items"]]
        cursor = part["next_cursor"]

    assert found == runs[::-1]


def test_a_run_that_is_taken_up_again_is_told_of_twice(server: Api, recorder: Recorder) -> None:
    workflow_id = server.publish(FAILS)
    put(server, workflow_id, recorder.url)
    run_id = server.start(workflow_id)["id"]
    server.finished(run_id)
    server.http.post(f"/api/v1/runs/{run_id}/retry")

    arrived(recorder, 2)

    assert len({each["seq"] for each in deliveries(server, workflow_id)}) == 2


def test_a_receiver_that_does_not_answer_holds_up_nobody_else(server: Api, recorder: Recorder) -> None:
    """It takes all the tries that a workflow may have at once."""
    slow, quick = server.publish(WORK), server.publish(WORK)
    other = Recorder()
    recorder.hold()
    put(server, slow, recorder.url)
    put(server, quick, other.url)
    for _ in range(30):
        server.start(slow)
    arrived(recorder, 4)
    server.start(quick)

    arrived(other, 1)

    assert len(recorder.requests) == 4
    other.close()
