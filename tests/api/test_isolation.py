"""Two owners: neither can see, change or guess what the other has, on any route that there is."""

import base64
import json
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from factories import chain, node
from stack import OWNER, STRANGER, Api

WORK = chain(node("wait", "core.delay", {"duration": 3600}))
DEEP: dict[str, Any] = reduce(lambda inner, _: {"in": inner}, range(70), {})
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
        lambda client, one: client.put(f"{WORKFLOWS}/{one}", content=b"{}", headers={"Content-Type": "text/plain"}),
        lambda client, one: client.put(f"{WORKFLOWS}/{one}", json={"definition": DEEP}),
        lambda client, one: client.put(f"{WORKFLOWS}/{one}", json={"input_schema": {"type": "no such"}}),
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
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/validate", json={"definition": DEEP}),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/validate", json={"definition": 1}),
    ],
    "duplicateWorkflow": [
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/duplicate"),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/duplicate", headers={"Idempotency-Key": "theirs"}),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/duplicate", headers={"Idempotency-Key": "mine"}),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/duplicate", headers={"Idempotency-Key": "no key"}),
    ],
    "startRun": [
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run"),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run", json={"input": {"no": "fit"}}),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run", json={}, headers={"Idempotency-Key": "theirs"}),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run", json={}, headers={"Prefer": "wait=1"}),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run", json={"input": []}),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run", json={"input": {"deep": DEEP}}),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run", json={"input": {"nul": "\x00"}}),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run", json={"input": {"large": "x" * 2_000_000}}),
        lambda client, one: client.post(f"{WORKFLOWS}/{one}/run", json={"idempotency_key": "no key"}),
        lambda client, one: client.post(
            f"{WORKFLOWS}/{one}/run", json={"idempotency_key": "theirs"}, headers={"Idempotency-Key": "other"}
        ),
    ],
    "renewWebhookSecret": [
        lambda client, one: client.post(f"/api/v1/triggers/webhook/{one}/secret"),
        lambda client, one: client.post(f"/api/v1/triggers/webhook/{one}/secret", json={"secret": "chosen-by-hand"}),
        lambda client, one: client.post(
            f"/api/v1/triggers/webhook/{one}/secret", headers={"Idempotency-Key": "theirs"}
        ),
    ],
    "receiveWebhook": [
        lambda client, one: client.post(f"/api/v1/triggers/webhook/{one}", json={"no": "fit"}),
        lambda client, one: client.post(f"/api/v1/triggers/webhook/{one}", headers={"Prefer": "wait=1"}),
    ],
    "shakeHands": [
        lambda client, one: client.get(f"/api/v1/triggers/webhook/{one}"),
        lambda client, one: client.get(f"/api/v1/triggers/webhook/{one}", params={"hub.challenge": "1"}),
    ],
    "putHook": [
        lambda client, one: client.put(f"{WORKFLOWS}/{one}/hook", json={"url": "https://example.com"}),
        lambda client, one: client.put(f"{WORKFLOWS}/{one}/hook", json={"url": "no"}),
    ],
    "getHook": [lambda client, one: client.get(f"{WORKFLOWS}/{one}/hook")],
    "deleteHook": [lambda client, one: client.delete(f"{WORKFLOWS}/{one}/hook")],
    "renewHookSecret": [lambda client, one: client.post(f"{WORKFLOWS}/{one}/hook/secret")],
    "listDeliveries": [lambda client, one: client.get(f"{WORKFLOWS}/{one}/deliveries")],
    "replayDelivery": [lambda client, one: client.post(f"{WORKFLOWS}/{one}/deliveries/{one}/replay")],
    "getQueue": [lambda client, one: client.get("/api/v1/queue", params={"workflow_id": one})],
    "listRuns": [
        lambda client, one: client.get(RUNS, params={"workflow_id": one}),
        lambda client, one: client.get(RUNS, params={"workflow_id": one, "cursor": "", "include": "context"}),
    ],
}
BY_RUN: dict[str, list[Call]] = {
    "getRun": [lambda client, one: client.get(f"{RUNS}/{one}"), lambda client, one: client.head(f"{RUNS}/{one}")],
    "listSteps": [
        lambda client, one: client.get(f"{RUNS}/{one}/steps"),
        lambda client, one: client.get(f"{RUNS}/{one}/steps", params={"limit": 0}),
    ],
    "listEvents": [
        lambda client, one: client.get(f"{RUNS}/{one}/events", params={"after": 1}),
        lambda client, one: client.get(f"{RUNS}/{one}/events", params={"after": 2**31 - 1, "limit": 1}),
        lambda client, one: client.get(f"{RUNS}/{one}/events", params={"after": -1}),
    ],
    "resumeRun": [
        lambda client, one: client.post(f"{RUNS}/{one}/resume", json={"step_id": "wait"}),
        lambda client, one: client.post(f"{RUNS}/{one}/resume", json={"step_id": "wait"}, headers={"Prefer": "wait=1"}),
        lambda client, one: client.post(f"{RUNS}/{one}/resume", json={}),
    ],
    "cancelRun": [lambda client, one: client.post(f"{RUNS}/{one}/cancel")],
    "retryRun": [
        lambda client, one: client.post(f"{RUNS}/{one}/retry"),
        lambda client, one: client.post(f"{RUNS}/{one}/retry", headers={"Prefer": "wait=1"}),
    ],
    "createSocketTicket": [lambda client, one: client.post(f"{RUNS}/{one}/socket-ticket")],
}
WITHOUT_IDS = {"listWorkflows", "createWorkflow", "listStepTypes", "getHealth", "getReadiness"}
SCHEDULES = {  # test_schedules.py
    "putSchedule", "listSchedules", "getSchedule", "deleteSchedule", "previewSchedule", "pauseSchedule", "resumeSchedule",
    "previewCron",  # asks for nothing of anybody's
}  # fmt: skip
BY_NAME = {"listSecrets", "getSecret", "putSecret", "deleteSecret"}  # test_secret_routes.py

# Every query parameter of every list, with what might lead to something of the stranger's (`theirs` by kind).
FILTERS: dict[str, tuple[str, dict[str, list[str]]]] = {
    "listWorkflows": (
        WORKFLOWS,
        {
            "status": ["draft", "published", "archived"],
            "name": ["Secret", "", "%", "_", "e"],
            "include": ["definition"],
            "cursor": ["", "{workflow_cursor}", "{run_cursor}"],
            "page": ["1", "2", "1000000"],
            "per_page": ["1", "200"],
        },
    ),
    "listRuns": (
        RUNS,
        {
            "workflow_id": ["{published}", "{archived}", "{draft}", "{run}"],
            "status": ["running", "queued", "completed", "failed", "cancelled", "paused"],
            "trigger_type": ["manual", "webhook", "schedule", "workflow"],
            "since": ["1970-01-01T00:00:00Z"],
            "until": ["9999-01-01T00:00:00Z"],
            "include": ["context"],
            "cursor": ["", "{workflow_cursor}", "{run_cursor}"],
            "page": ["1", "2", "1000000"],
            "per_page": ["1", "200"],
        },
    ),
    "listSchedules": (
        "/api/v1/triggers/schedules",
        {
            "workflow_id": ["{published}", "{archived}", "{draft}", "{run}"],
            "cursor": ["", "{workflow_cursor}", "{run_cursor}"],
            "page": ["1", "2", "1000000"],
            "per_page": ["1", "200"],
        },
    ),
}


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
        client.post("/api/v1/triggers/schedule", json={"workflow_id": published, "cron": "0 0 1 1 *"})
        started = client.post(f"{WORKFLOWS}/{published}/run", headers={"Idempotency-Key": "theirs"})
        assert client.post(f"{WORKFLOWS}/{archived}/archive").status_code == 200
        run = started.json()["id"]
        second = client.post(f"{WORKFLOWS}/{published}/run").json()["id"]  # so that there is a cursor between two
        own = server.create(WORK)["id"]
        server.http.post(f"{WORKFLOWS}/{own}/duplicate", headers={"Idempotency-Key": "mine"})
        cursors = {
            name: client.get(path, params={"cursor": "", "per_page": 1}).json()["next_cursor"]
            for name, path in (("workflow_cursor", WORKFLOWS), ("run_cursor", RUNS))
        }
        yield {"draft": draft, "published": published, "archived": archived, "run": run, **cursors}
        for one in (run, second):
            client.post(f"{RUNS}/{one}/cancel")


def told(response: httpx.Response, one: str) -> tuple[int, dict[str, str], str]:
    """All that an answer says, without the id that was asked for and what differs from request to request."""
    kept = (each for each in response.headers.items() if each[0] not in ("date", "x-request-id"))
    headers = {name: value.replace(one, "<id>") for name, value in kept}
    return response.status_code, headers, response.text.replace(one, "<id>")


def test_every_operation_is_looked_at(server: Api) -> None:
    document = server.http.get("/docs/openapi.json").json()
    operations = {operation["operationId"] for item in document["paths"].values() for operation in item.values()}

    assert operations == {*BY_WORKFLOW, *BY_RUN, *WITHOUT_IDS, *BY_NAME, *SCHEDULES}


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


def test_every_filter_is_looked_at(server: Api) -> None:
    document = server.http.get("/docs/openapi.json").json()
    queried = {
        operation["operationId"]: {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        for item in document["paths"].values()
        for operation in item.values()
    }

    by_id = {*BY_WORKFLOW, *BY_RUN, *SCHEDULES} - {"listRuns", "listSchedules"}
    assert {name: set(filters) for name, (_, filters) in FILTERS.items()} == {
        name: parameters for name, parameters in queried.items() if parameters and name not in by_id
    }


@pytest.mark.parametrize("operation", FILTERS)
def test_who_has_nothing_finds_nothing_by_any_filter(server: Api, theirs: dict[str, str], operation: str) -> None:
    path, filters = FILTERS[operation]
    assert None not in theirs.values()
    with server.client(uuid4()) as client:
        for name, values in filters.items():
            for value in (each.format(**theirs) for each in values):
                for paging in ({}, {"cursor": ""}):
                    found = client.get(path, params={**paging, name: value})
                    end = {"next_cursor": None} if "cursor" in {**paging, name: value} else {"total": 0}
                    assert found.status_code == 200, found.text
                    assert found.json()["items"] == []
                    assert end.items() <= found.json().items()
                    assert 'rel="next"' not in found.headers.get("link", "")


def test_anothers_cursor_opens_nothing_of_theirs(server: Api, theirs: dict[str, str]) -> None:
    for path, cursor in ((WORKFLOWS, theirs["workflow_cursor"]), (RUNS, theirs["run_cursor"])):
        with server.client(STRANGER) as client:
            own = {each["id"] for each in client.get(path, params={"per_page": 200}).json()["items"]}
            rest = client.get(path, params={"cursor": cursor, "per_page": 200}).json()["items"]
        found = server.http.get(path, params={"cursor": cursor, "per_page": 200})

        assert found.status_code == 200
        assert rest, "their cursor leads somewhere, for them"
        assert not own & {each["id"] for each in found.json()["items"]}


def test_what_a_client_says_is_its_own_does_not_become_so(server: Api, theirs: dict[str, str]) -> None:
    """Read-only fields are ignored, whoever has what they name."""
    with server.client(STRANGER) as client:
        before = client.get(f"{WORKFLOWS}/{theirs['draft']}").json()
        forged = {"id": theirs["draft"], "source_id": theirs["published"], "version": 9, "name": "Forged"}
        made = server.http.post(WORKFLOWS, json=forged)
        server.http.put(made.headers["location"], json=forged)
        after = client.get(f"{WORKFLOWS}/{theirs['draft']}").json()
        copy = client.post(f"{WORKFLOWS}/{theirs['draft']}/duplicate").json()

    assert (made.status_code, made.json()["source_id"], made.json()["version"]) == (201, None, 1)
    assert made.json()["id"] != theirs["draft"]
    assert before == after
    assert copy["version"] == 2, "versions are counted in a line of theirs alone"


def test_a_key_of_one_owner_says_nothing_to_another(server: Api) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    with server.client(STRANGER) as client:
        theirs = client.post(WORKFLOWS, json={"name": "theirs"}, headers=key)
    mine = server.http.post(WORKFLOWS, json={"name": "mine"}, headers=key)

    assert (theirs.status_code, mine.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


def refusal(server: Api, run_id: str, query: str = "", **options: Any) -> tuple[str, int]:
    """What a socket that is refused is told, without the id, and the code that it is closed with."""
    url = f"{server.url.replace('http', 'ws')}/ws/runs/{run_id}{query}"
    with connect(url, proxy=None, **options) as socket:
        text = str(socket.recv(10)).replace(run_id, "<id>")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(10)
    return text, closed.value.rcvd.code if closed.value.rcvd else 0


@pytest.mark.parametrize(
    ("query", "code"), [("", 4404), ("?after=0", 4404), ("?after=99999", 4404), ("?after=x", 4400)]
)
@pytest.mark.parametrize("by", ["header", "sub-protocol"])
def test_a_socket_of_anothers_run_is_one_of_no_run(
    server: Api, theirs: dict[str, str], query: str, code: int, by: str
) -> None:
    token = server.token(OWNER)
    encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    options: dict[str, Any] = {
        "header": {"additional_headers": {"Authorization": f"Bearer {token}"}},
        "sub-protocol": {"subprotocols": ["stepwire.v1", f"bearer.{encoded}"]},
    }[by]
    missing = str(uuid4())

    told_of_missing = refusal(server, missing, query, **options)

    assert refusal(server, theirs["run"], query, **options) == told_of_missing
    assert told_of_missing[1] == code


def test_a_ticket_opens_the_run_that_it_was_given_out_for_and_no_other(server: Api, theirs: dict[str, str]) -> None:
    own = server.start(server.publish(WORK))["id"]

    def ticket() -> str:
        return "?ticket=" + str(server.http.post(f"{RUNS}/{own}/socket-ticket").json()["ticket"])

    missing, used = str(uuid4()), ticket()
    told_of_missing = refusal(server, missing, used)
    assert refusal(server, theirs["run"], ticket()) == told_of_missing
    assert told_of_missing[1] == 4401
    assert refusal(server, own, used)[1] == 4401, "it is used up all the same"
    with connect(f"{server.url.replace('http', 'ws')}/ws/runs/{own}{ticket()}", proxy=None) as socket:
        assert '"type":"snapshot"' in str(socket.recv(10))
    server.http.post(f"{RUNS}/{own}/cancel")
