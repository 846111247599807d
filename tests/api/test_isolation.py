"""Two owners: neither can see, change or guess what the other has, on any route that there is."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from factories import chain, node
from stack import OWNER, STRANGER, Api

WORK = chain(node("wait", "core.delay", {"duration": 3600}))
Call = Callable[[httpx.Client, str], httpx.Response]
WORKFLOWS, RUNS = "/api/v1/workflows", "/api/v1/runs"

# How to ask for a resource by its id, one line or more an operation. An operation that is missing fails a test.
BY_WORKFLOW: dict[str, list[Call]] = {
    "getWorkflow": [
        lambda client, one: client.get(f"{WORKFLOWS}/{one}"),
        lambda client, one: client.get(f"{WORKFLOWS}/{one}", headers={"If-None-Match": "*"}),
        lambda client, one: client.head(f"{WORKFLOWS}/{one}"),
    ],
    "updateWorkflow": [
        lambda client, one: client.put(f"{WORKFLOWS}/{one}", json={"name": "mine now"}),
        lambda client, one: client.put(f"{WORKFLOWS}/{one}", json={}, headers={"If-Match": '"1"'}),
        lambda client, one: client.put(f"{WORKFLOWS}/{one}", json={}, headers={"If-Match": '"999"'}),
        lambda client, one: client.put(f"{WORKFLOWS}/{one}", json={"name": 5}),
        lambda client, one: client.put(f"{WORKFLOWS}/{one}", json={"name": "\x00"}),
        lambda client, one: client.put(
            f"{WORKFLOWS}/{one}", content=b"{", headers={"Content-Type": "application/json"}
        ),
    ],
    "deleteWorkflow": [
        lambda client, one: client.delete(f"{WORKFLOWS}/{one}"),
        lambda client, one: client.delete(f"{WORKFLOWS}/{one}", headers={"If-Match": '"999"'}),
    ],
    "publishWorkflow": [
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/publish"),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/publish", headers={"If-Match": '"999"'}),
    ],
    "archiveWorkflow": [lambda client, one: client.post(f"{WORKFLOWS}/{one}/archive")],
    "validateWorkflow": [
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/validate"),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/validate", json={"definition": WORK}),
    ],
    "duplicateWorkflow": [
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/duplicate"),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/duplicate", headers={"Idempotency-Key": "theirs"}),
    ],
    "startRun": [
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run"),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run", json={"input": {"no": "fit"}}),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run", json={}, headers={"Idempotency-Key": "theirs"}),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run", json={}, headers={"Prefer": "wait=1"}),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run", json={"input": []}),
    ],
    "listRuns": [
        lambda client, one: client.get(RUNS, params={"workflow_id": one}),
        lambda client, one: client.get(RUNS, params={"workflow_id": one, "cursor": "", "include": "context"}),
    ],
}
BY_RUN: dict[str, list[Call]] = {
    "getRun": [lambda client, one: client.get(f"{RUNS}/{one}")],
    "listSteps": [lambda client, one: client.get(f"{RUNS}/{one}/steps")],
    "listEvents": [lambda client, one: client.get(f"{RUNS}/{one}/events", params={"after": 1})],
    "resumeRun": [
        lambda client, one: client.post(f"{RUNS}/{one}/resume", json={"step_id": "wait"}),
        lambda client, one: client.post(f"{RUNS}/{one}/resume", json={}),
    ],
    "cancelRun": [lambda client, one: client.post(f"{RUNS}/{one}/cancel")],
    "retryRun": [lambda client, one: client.post(f"{RUNS}/{one}/retry")],
    "createSocketTicket": [lambda client, one: client.post(f"{RUNS}/{one}/socket-ticket")],
}
WITHOUT_IDS = {"listWorkflows", "createWorkflow", "listStepTypes", "getHealth", "getReadiness"}


@pytest.fixture(scope="module")
def theirs(server: Api) -> Iterator[dict[str, str]]:
    """What the stranger has: a draft, a published workflow, an archived one, and a run that goes on."""
    with server.client(STRANGER) as client:

        def made() -> str:
            body = {"name": "Secret plan", "definition": WORK, "input_schema": {"type": "object", "required": []}}
            return str(client.post(WORKFLOWS, json=body, headers={"Idempotency-Key": str(uuid4())}).json()["id"])

        draft, published, archived = made(), made(), made()
        for one in (published, archived):
            assert client.post(f"{WORKFLOWS}/{one}/publish").status_code == 200
        started = client.post(f"{WORKFLOWS}/{published}/run", headers={"Idempotency-Key": "theirs"})
        assert client.post(f"{WORKFLOWS}/{archived}/archive").status_code == 200
        run = started.json()["id"]
        yield {"draft": draft, "published": published, "archived": archived, "run": run}
        client.post(f"{RUNS}/{run}/cancel")


def told(response: httpx.Response, one: str) -> tuple[int, dict[str, str], str]:
    """All that an answer says, without the id that was asked for and what differs from request to request."""
    kept = (each for each in response.headers.items() if each[0] not in ("date", "x-request-id"))
    headers = {name: value.replace(one, "<id>") for name, value in kept}
    return response.status_code, headers, response.text.replace(one, "<id>")


def test_every_operation_is_looked_at(server: Api) -> None:
    document = server.http.get("/docs/openapi.json").json()
    operations = {operation["operationId"] for item in document["paths"].values() for operation in item.values()}

    assert operations == {*BY_WORKFLOW, *BY_RUN, *WITHOUT_IDS}


@pytest.mark.parametrize("kind", ["draft", "published", "archived"])
@pytest.mark.parametrize("operation", BY_WORKFLOW)
def test_anothers_workflow_answers_as_one_that_is_not_there(
    server: Api, theirs: dict[str, str], operation: str, kind: str
) -> None:
    for call in BY_WORKFLOW[operation]:
        missing = str(uuid4())
        assert told(call(server.http, theirs[kind]), theirs[kind]) == told(call(server.http, missing), missing)


@pytest.mark.parametrize("operation", BY_RUN)
def test_anothers_run_answers_as_one_that_is_not_there(server: Api, theirs: dict[str, str], operation: str) -> None:
    for call in BY_RUN[operation]:
        missing = str(uuid4())
        assert told(call(server.http, theirs["run"]), theirs["run"]) == told(call(server.http, missing), missing)


def test_nothing_was_changed_by_all_that(server: Api, theirs: dict[str, str]) -> None:
    with server.client(STRANGER) as client:
        found = {kind: client.get(f"{WORKFLOWS}/{theirs[kind]}").json() for kind in ("draft", "published", "archived")}
        run = client.get(f"{RUNS}/{theirs['run']}").json()

    assert {kind: (each["status"], each["name"]) for kind, each in found.items()} == {
        kind: (kind, "Secret plan") for kind in found
    }
    assert run["status"] == "running"


def test_no_list_and_no_total_shows_anothers(server: Api, theirs: dict[str, str]) -> None:
    marker = str(uuid4())
    with server.client(STRANGER) as client:
        client.post(WORKFLOWS, json={"name": marker})
        before = [client.get(path).json()["total"] for path in (WORKFLOWS, RUNS)]
        mine = server.http.get(WORKFLOWS, params={"name": marker}).json()
        server.start(server.publish(chain(node("a"))))
        after = [client.get(path).json()["total"] for path in (WORKFLOWS, RUNS)]

    assert (mine["items"], mine["total"]) == ([], 0)
    assert before == after
    for path in (WORKFLOWS, RUNS):
        ids = json.dumps(server.http.get(path, params={"per_page": 200}).json())
        assert not any(one in ids for one in theirs.values())


def test_anothers_cursor_opens_nothing_of_theirs(server: Api, theirs: dict[str, str]) -> None:
    with server.client(STRANGER) as client:
        cursor = client.get(WORKFLOWS, params={"cursor": "", "per_page": 1}).json()["next_cursor"]
        own = {each["id"] for each in client.get(WORKFLOWS, params={"per_page": 200}).json()["items"]}
    found = server.http.get(WORKFLOWS, params={"cursor": cursor, "per_page": 200})

    assert found.status_code == 200
    assert not own & {each["id"] for each in found.json()["items"]}


def test_a_key_of_one_owner_says_nothing_to_another(server: Api) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    with server.client(STRANGER) as client:
        theirs = client.post(WORKFLOWS, json={"name": "theirs"}, headers=key)
    mine = server.http.post(WORKFLOWS, json={"name": "mine"}, headers=key)

    assert (theirs.status_code, mine.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


def test_a_socket_of_anothers_run_is_one_of_no_run(server: Api, theirs: dict[str, str]) -> None:
    def refusal(run_id: str, query: str = "", owner: Any = OWNER) -> tuple[str, int]:
        headers = {"Authorization": f"Bearer {server.token(owner)}"} if owner else {}
        url = f"{server.url.replace('http', 'ws')}/ws/runs/{run_id}{query}"
        with connect(url, additional_headers=headers, proxy=None) as socket:
            text = str(socket.recv()).replace(run_id, "<id>")
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv()
        return text, closed.value.rcvd.code if closed.value.rcvd else 0

    missing = str(uuid4())
    assert refusal(theirs["run"]) == refusal(missing)
    assert refusal(missing)[1] == 4404

    own = server.start(server.publish(WORK))["id"]
    ticket = server.http.post(f"{RUNS}/{own}/socket-ticket").json()["ticket"]
    assert refusal(theirs["run"], f"?ticket={ticket}", None)[1] == 4401
    server.http.post(f"{RUNS}/{own}/cancel")
