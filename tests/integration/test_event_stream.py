"""Server-sent events: the run's stream over plain HTTP."""

import asyncio
import json
import time
from uuid import uuid4

import httpx
import pytest
from jsonschema_rs import Draft202012Validator

from factories import chain, definition, edge, node
from recorder import Recorder
from stack import OWNER, STRANGER, Api, until
from stepwire.auth.tokens import LEEWAY_SECONDS, mint
from stepwire.engine.events import EVENT_TYPES
from watching import frames, stream, streaming, watching

WAITING = chain(node("d", "core.delay", {"duration": 60}))


async def test_the_journal_is_the_same_by_rest_by_socket_and_by_server_sent_events(
    server: Api, recorder: Recorder
) -> None:
    run_ids = [every_kind_of_end(server, recorder), cancelled(server)]

    components = server.http.get("/docs/asyncapi.json").json()["components"]
    names = set()
    for run_id in run_ids:
        stored = server.events(run_id)
        async with watching(server, run_id, "?after=0") as socket:
            (snapshot, *events), _ = await frames(socket)
        told, *items = await asyncio.to_thread(stream, server, run_id, "?after=0")
        for frame in events:
            schema = {"$ref": f"#/components/schemas/{frame['event']}", "components": components}
            Draft202012Validator(schema).validate(frame)
        assert [event.pop("type") for event in events] == ["event"] * len(stored)
        assert events == stored
        assert [{"id": each["seq"], "type": "event", **each} for each in stored] == items
        assert told == {"id": 0, **snapshot}
        names |= {event["event"] for event in stored}
    assert names == set(EVENT_TYPES)


def every_kind_of_end(server: Api, recorder: Recorder) -> str:
    """A run that fails, is retried, waits, is resumed and completes, with a skipped step and two attempts of one."""
    recorder.answers += [(500, {}, {}), (500, {}, {})]
    raw = definition(
        [
            node("ask", "core.approval", {"message": "?"}),
            node("call", "http.request", {"url": recorder.url}, retry={"max_attempts": 2, "initial_interval": 0}),
            node("if", "core.condition", {"expression": "true"}),
            node("never"),
        ],
        [edge("ask", "call"), edge("call", "if"), edge("if", "never", "false")],
    )
    run_id = str(server.start(server.publish(raw))["id"])
    until(lambda: server.run(run_id)["status"] == "paused", "the question")
    server.http.post(f"/api/v1/runs/{run_id}/resume", json={"step_id": "ask"})
    assert server.finished(run_id)["status"] == "failed"
    assert server.http.post(f"/api/v1/runs/{run_id}/retry").status_code == 202
    assert server.finished(run_id)["status"] == "completed"
    return run_id


def cancelled(server: Api) -> str:
    run_id = str(server.start(server.publish(WAITING))["id"])
    until(lambda: len(server.events(run_id)) > 3, "the delay")
    server.http.post(f"/api/v1/runs/{run_id}/cancel")
    assert server.finished(run_id)["status"] == "cancelled"
    return run_id


def test_who_comes_back_is_given_what_follows_on_the_last_event_it_has(server: Api) -> None:
    run = server.execute(chain(node("a"), node("b")))
    stored = server.events(run["id"])

    snapshot, *events = stream(server, run["id"], "?after=0", **{"Last-Event-ID": "3"})

    assert (snapshot["id"], snapshot["type"], snapshot["seq"]) == (3, "snapshot", len(stored))
    assert [event["id"] for event in events] == list(range(4, len(stored) + 1))


def test_events_come_as_they_happen_and_the_stream_ends_with_the_run(server: Api) -> None:
    run = server.start(server.publish(WAITING))
    until(lambda: len(server.events(run["id"])) > 3, "the delay")
    with streaming(server, run["id"]) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = response.iter_lines()
        first = next(line for line in lines if line.startswith("data: "))
        server.http.post(f"/api/v1/runs/{run['id']}/cancel")
        rest = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]

    snapshot = json.loads(first.removeprefix("data: "))
    assert [event["seq"] for event in rest] == list(range(snapshot["seq"] + 1, snapshot["seq"] + 1 + len(rest)))
    assert rest[-1]["event"] == "run.cancelled"


def test_a_browser_that_has_it_all_is_told_not_to_come_back(server: Api) -> None:
    run = server.execute(chain(node("a")))
    last = str(len(server.events(run["id"])))
    with streaming(server, run["id"], **{"Last-Event-ID": last}) as response:
        assert (response.status_code, response.read()) == (204, b"")


@pytest.mark.parametrize(
    ("query", "headers", "status", "kind"),
    [
        ("", {"Last-Event-ID": "nine"}, 400, "malformed-request"),
        ("?after=-1", {}, 400, "malformed-request"),
        ("", {"Last-Event-ID": "9" * 30}, 409, "after-beyond-end"),
        ("?after=10000", {}, 409, "after-beyond-end"),
        ("", {"Authorization": "Bearer x.y.z"}, 401, "invalid-token"),
    ],
)
def test_what_cannot_be_streamed_is_a_problem(
    server: Api, query: str, headers: dict[str, str], status: int, kind: str
) -> None:
    run = server.execute(chain(node("a")))
    with streaming(server, run["id"], query, **headers) as response:
        problem = json.loads(response.read())

    assert (response.status_code, problem["type"]) == (status, f"/problems/{kind}")


def test_another_owners_run_and_a_missing_one_look_alike(server: Api) -> None:
    run = server.execute(chain(node("a")))
    for run_id in (run["id"], str(uuid4())):
        with streaming(server, run_id, Authorization=f"Bearer {server.token(STRANGER)}") as response:
            assert (response.status_code, json.loads(response.read())["type"]) == (404, "/problems/run-not-found")


def test_a_stream_ends_with_the_token_that_it_was_asked_for_with(server: Api) -> None:
    run = server.start(server.publish(WAITING))
    token = mint(server.secret, OWNER, lifetime_seconds=4 - LEEWAY_SECONDS, now=time.time())
    [snapshot, *_] = stream(server, run["id"], Authorization=f"Bearer {token}")

    assert snapshot["run_status"] in ("queued", "running")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream;q=0.5, application/json", "application/json"),
        ("application/json;q=0.5, text/event-stream", "text/event-stream"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
    ],
)
def test_the_client_says_whether_it_wants_a_page_or_a_stream(server: Api, accept: str, kind: str) -> None:
    run = server.execute(chain(node("a")))
    response = server.http.get(f"/api/v1/runs/{run['id']}/events", headers={"Accept": accept})

    assert response.headers["content-type"].partition(";")[0] == kind
    assert "Accept" in response.headers["vary"]


def test_a_ticket_opens_one_stream_of_its_run_and_nothing_else(server: Api) -> None:
    """A browser's `EventSource` cannot send a token."""
    run_id, other = server.execute(chain(node("a")))["id"], server.execute(chain(node("a")))["id"]

    def ask(run: str, ticket: str, accept: str = "text/event-stream", **headers: str) -> httpx.Response:
        with httpx.Client(base_url=server.url, trust_env=False) as browser:
            query = {"after": 1, "ticket": ticket}
            return browser.get(f"/api/v1/runs/{run}/events", params=query, headers={"accept": accept, **headers})

    def new() -> str:
        return str(server.http.post(f"/api/v1/runs/{run_id}/socket-ticket").json()["ticket"])

    ticket = new()
    first, again = ask(run_id, ticket), ask(run_id, ticket)
    elsewhere, page, beside = ask(other, new()), ask(run_id, new(), "application/json"), new()
    wrong_token = ask(run_id, beside, authorization="Bearer wrong")

    assert (first.status_code, first.text.count("\nid: ")) == (200, len(server.events(run_id)))
    assert [each.status_code for each in (again, elsewhere, page, wrong_token)] == [401] * 4
    assert ask(run_id, beside).status_code == 200, "where a token is sent, the ticket is not looked at"


def test_a_head_of_a_stream_lets_its_connection_go(server: Api) -> None:
    run_id = server.start(server.publish(WAITING))["id"]
    limits = httpx.Limits(max_connections=1)

    with httpx.Client(base_url=server.url, headers=server.http.headers, limits=limits, timeout=10) as client:
        head = client.head(f"/api/v1/runs/{run_id}/events", headers={"Accept": "text/event-stream"})
        after = client.get("/health")

    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert after.status_code == 200
