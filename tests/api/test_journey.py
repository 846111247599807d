"""The journey over real HTTP: draw, change, validate, publish, run, look."""

import json
from importlib.resources import files

import pytest

from factories import chain, definition, edge, node
from recorder import Recorder
from stack import STRANGER, Api

GREETING = chain(
    node("start", "trigger.manual", {}), node("greet", "core.transform", {"values": {"text": "Hello {{ input.name }}"}})
)
DRAWN = {
    "nodes": [
        {
            "id": "b", "type": "custom", "position": {"x": 0.1, "y": -0.0}, "measured": {"width": 150, "height": 40.5},
            "selected": None, "data": {"label": "Ünïcode ✓ \U0001f600", "anything": [1, 1.0, 1e22, None, {"z": 1, "a": 2}]},
        },
        {"id": "a", "position": {"x": 1, "y": 2}, "data": {"huge": 123456789012345678901234567890}, "dragging": False},
    ],
    "edges": [{"id": "xy-edge__b-a", "source": "b", "target": "a", "animated": True, "markerEnd": {"type": "arrow"}}],
    "viewport": {"x": 1.5, "y": 2, "zoom": 0.75},
    "unknown": {"kept": True},
}  # fmt: skip


def test_a_definition_is_run_and_its_output_is_what_it_says(server: Api) -> None:
    run = server.execute(GREETING, {"name": "Ada"})

    assert (run["status"], run["output"]) == ("completed", {"greet": {"text": "Hello Ada"}})
    assert run["context"]["steps"]["start"] == {"status": "completed", "output": {"name": "Ada"}, "error": None}


def test_what_a_client_saved_it_gets_back_equal(server: Api) -> None:
    made = server.create(DRAWN)
    got = server.http.get(f"/api/v1/workflows/{made['id']}").json()

    assert made["definition"] == got["definition"] == DRAWN
    assert [each["id"] for each in got["definition"]["nodes"]] == ["b", "a"]


def test_what_get_answers_can_be_put_back(server: Api) -> None:
    made = server.create(DRAWN)
    again = server.http.put(f"/api/v1/workflows/{made['id']}", json=made)

    assert again.status_code == 200
    assert {**again.json(), "updated_at": None} == {**made, "updated_at": None}


def test_absent_fields_stay_as_they_are_and_null_clears_the_input_schema(server: Api) -> None:
    made = server.create(GREETING, input_schema={"type": "object"}, description="about")
    changed = server.http.put(f"/api/v1/workflows/{made['id']}", json={"input_schema": None}).json()

    assert (changed["input_schema"], changed["description"], changed["definition"]) == (None, "about", GREETING)


def test_a_stale_change_is_refused(server: Api) -> None:
    response = server.http.post("/api/v1/workflows", json={"name": "x"})
    path, seen = f"/api/v1/workflows/{response.json()['id']}", response.headers["etag"]
    first = server.http.put(path, json={"name": "y"}, headers={"If-Match": seen})
    second = server.http.put(path, json={"name": "z"}, headers={"If-Match": seen})

    assert (first.status_code, second.status_code) == (200, 412)
    assert server.http.get(path).json()["name"] == "y"


def test_a_draft_in_disrepair_is_saved_and_every_error_is_said_at_its_node(server: Api) -> None:
    broken = definition(
        [node("a", "core.condition", {"expression": "{{ input. }}"}), node("b", "no.such.step", {})],
        [edge("a", "gone")],
    )
    made = server.create(broken)
    validated = server.http.post(f"/api/v1/workflows/{made['id']}/validate").json()
    published = server.http.post(f"/api/v1/workflows/{made['id']}/publish")

    assert validated["valid"] is False
    places = {(issue["code"], issue["node_id"], issue["edge_id"] is not None) for issue in validated["issues"]}
    assert places == {
        ("expression-syntax", "a", False), ("unknown-step-type", "b", False), ("dangling-edge", None, True),
    }  # fmt: skip
    assert published.status_code == 422
    assert len(published.json()["errors"]) == 3


def test_a_sent_definition_is_validated_in_place_of_the_stored_one(server: Api) -> None:
    path = f"/api/v1/workflows/{server.create(GREETING)['id']}/validate"

    assert server.http.post(path, json={"definition": GREETING}).json()["valid"] is True
    assert server.http.post(path, json={"definition": {}}).json()["issues"][0]["code"] == "empty"


def test_what_is_published_is_frozen_and_publishing_again_changes_nothing(server: Api) -> None:
    workflow_id = server.publish(GREETING)
    again = server.http.post(f"/api/v1/workflows/{workflow_id}/publish")
    change = server.http.put(f"/api/v1/workflows/{workflow_id}", json={"name": "other"})

    assert (again.status_code, again.json()["status"]) == (200, "published")
    assert (change.status_code, change.json()["type"]) == (409, "/problems/workflow-not-draft")


def test_a_draft_cannot_be_run(server: Api) -> None:
    response = server.http.post(f"/api/v1/workflows/{server.create(GREETING)['id']}/run", json={})

    assert (response.status_code, response.json()["type"]) == (409, "/problems/workflow-not-published")


def test_an_input_that_does_not_fit_is_refused_with_each_place(server: Api) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "m": {"minimum": 1}}, "required": ["x"]}
    workflow_id = server.publish(GREETING, input_schema=schema)
    response = server.http.post(f"/api/v1/workflows/{workflow_id}/run", json={"input": {"n": "one", "m": 0}})

    assert response.status_code == 422
    assert {error["path"] for error in response.json()["errors"]} == {"/input/n", "/input/m", "/input"}


def test_what_goes_into_a_run_comes_back_as_it_was(server: Api) -> None:
    value = {
        "big": 123456789012345678901234567890,
        "whole": 3.0,
        "tiny": 5e-324,
        "none": None,
        "text": "\U0001f600\u2028",
    }
    same = node("same", "core.transform", {"values": {"text": "{{ input.text }}", "none": "{{ input.none }}"}})
    run = server.execute(chain(node("start", "trigger.manual", {}), same), value)
    queued = server.events(run["id"])[0]

    assert run["input"] == run["context"]["input"] == queued["data"]["input"] == value
    assert run["context"]["steps"]["start"]["output"] == value
    assert run["output"] == {"same": {"text": value["text"], "none": None}}
    for text in (
        server.http.get(f"/api/v1/runs/{run['id']}").text,
        server.http.get(f"/api/v1/runs/{run['id']}/events").text,
    ):
        assert '"big":123456789012345678901234567890' in text


def test_what_was_made_says_where_it_is(server: Api) -> None:
    made = server.http.post("/api/v1/workflows", json={"name": "Where", "definition": GREETING})
    server.http.post(f"{made.headers['location']}/publish")
    started = server.http.post(f"{made.headers['location']}/run", json={"input": {"name": "A"}})

    assert server.http.get(made.headers["location"]).json()["id"] == made.json()["id"]
    assert server.http.get(started.headers["location"]).json()["id"] == started.json()["id"]


def test_runs_come_in_pages_and_by_cursor_along_their_links(server: Api) -> None:
    workflow_id = server.publish(GREETING)
    newest_first = [server.start(workflow_id)["id"] for _ in range(5)][::-1]

    def walk(url: str) -> list[list[str]]:
        parts = []
        while url:
            response = server.http.get(url)
            parts.append([item["id"] for item in response.json()["items"]])
            found = [part for part in response.headers.get("link", "").split(", <") if 'rel="next"' in part]
            url = found[0].partition(">")[0].lstrip("<") if found else ""
        return parts

    expected = [newest_first[:2], newest_first[2:4], newest_first[4:]]
    assert walk(f"/api/v1/runs?workflow_id={workflow_id}&per_page=2&page=1") == expected
    assert walk(f"/api/v1/runs?workflow_id={workflow_id}&per_page=2&cursor=") == expected


def test_lists_come_in_pages_and_by_cursor_newest_first(server: Api) -> None:
    with server.client(STRANGER) as client:
        made = [client.post("/api/v1/workflows", json={"name": f"List {n}"}).json()["id"] for n in range(5)]
        path = "/api/v1/workflows?name=list&per_page=2"
        pages = [client.get(f"{path}&page={page}").json() for page in (1, 2, 3)]
        walked, cursor = [], ""
        while cursor is not None:
            part = client.get(f"{path}&cursor={cursor}").json()
            walked, cursor = walked + part["items"], part["next_cursor"]
        links = client.get(f"{path}&page=2").headers["link"]

    newest_first = made[::-1]
    assert [item["id"] for page in pages for item in page["items"]] == newest_first
    assert {page["total"] for page in pages} == {5}
    assert [item["id"] for item in walked] == newest_first
    assert all(f'rel="{relation}"' in links for relation in ("first", "prev", "next", "last"))
    assert "definition" not in pages[0]["items"][0]


def test_runs_are_listed_by_workflow_and_status(server: Api) -> None:
    good, bad = server.publish(GREETING), server.publish(chain(node("f", "core.fail", {"message": "no"})))
    runs = [server.finished(server.start(good, {"name": "A"})["id"]), server.finished(server.start(bad)["id"])]

    def ids(query: str) -> list[str]:
        return [item["id"] for item in server.http.get(f"/api/v1/runs?{query}").json()["items"]]

    assert ids(f"workflow_id={good}") == [runs[0]["id"]]
    assert ids(f"workflow_id={bad}&status=completed") == []
    assert ids(f"workflow_id={bad}&status=completed&status=failed") == [runs[1]["id"]]


def test_steps_are_listed_in_the_order_they_started_then_those_not_reached(server: Api) -> None:
    drawn = definition(
        [node("late", "core.log", {}), node("no", "core.log", {}), node("if", "core.condition", {"expression": True})],
        [edge("if", "late", "true"), edge("if", "no", "false")],
    )
    run = server.execute(drawn)
    steps = server.http.get(f"/api/v1/runs/{run['id']}/steps").json()["items"]

    assert [(step["step_id"], step["status"]) for step in steps] == [
        ("if", "completed"), ("late", "completed"), ("no", "skipped"),
    ]  # fmt: skip


def test_events_are_numbered_without_a_gap_in_parts_of_any_size(server: Api) -> None:
    run = server.execute(GREETING, {"name": "A"})
    whole = server.events(run["id"])
    parts = [
        server.http.get(f"/api/v1/runs/{run['id']}/events?after={after}&limit=2").json()
        for after in range(0, len(whole), 2)
    ]

    assert [event["seq"] for event in whole] == list(range(1, len(whole) + 1))
    assert [event for part in parts for event in part["items"]] == whole
    assert (whole[0]["event"], whole[-1]["event"]) == ("run.queued", "run.completed")


def test_a_failed_call_is_tried_again_as_its_policy_says_with_the_same_key(server: Api, recorder: Recorder) -> None:
    recorder.answers = [(503, {}, {}), (429, {"Retry-After": "0"}, {}), (200, {}, {"ok": True})]
    retry = {"max_attempts": 3, "initial_interval": 0.01}
    run = server.execute(
        chain(node("call", "http.request", {"url": f"{recorder.url}/x", "method": "POST"}, retry=retry))
    )

    assert run["output"]["call"]["body"] == {"ok": True}
    assert {request.headers["idempotency-key"] for request in recorder.requests} == {f"{run['id']}:call"}
    names = [event["event"] for event in server.events(run["id"])]
    assert names.count("step.retrying") == 2


def test_an_error_edge_takes_over_and_sees_why(server: Api, recorder: Recorder) -> None:
    recorder.answers = [(500, {}, {})]
    drawn = definition(
        [
            node("call", "http.request", {"url": recorder.url}),
            node("ok", "core.log", {}),
            node("sorry", "core.transform", {"values": {"why": "{{ steps.call.error.code }}"}}),
        ],
        [edge("call", "ok"), edge("call", "sorry", "error")],
    )
    run = server.execute(drawn)

    assert (run["status"], run["output"]) == ("completed", {"sorry": {"why": "http-status"}})


@pytest.mark.parametrize(
    "url", ["http://127.0.0.2:1/", "http://[::1]:1/", "http://169.254.169.254/", "file:///etc/passwd"]
)
def test_private_addresses_are_refused(server: Api, url: str) -> None:
    run = server.execute(chain(node("call", "http.request", {"url": url})))

    assert run["status"] == "failed"
    assert run["error"]["code"] in {"address-refused", "bad-url"}


@pytest.mark.parametrize("name", ["data-pull", "github-push-triage", "order-flow"])
def test_what_get_answers_of_an_example_can_be_put_back(server: Api, name: str) -> None:
    drawn = json.loads((files("stepwire.examples") / f"{name}.json").read_text())
    made = server.create(drawn.get("definition", drawn))
    answered = server.http.get(f"/api/v1/workflows/{made['id']}").json()
    again = server.http.put(f"/api/v1/workflows/{made['id']}", json=answered)

    assert again.status_code == 200, again.text
    assert {key: value for key, value in again.json().items() if key != "updated_at"} == {
        key: value for key, value in answered.items() if key != "updated_at"
    }
    assert server.http.post(f"/api/v1/workflows/{made['id']}/validate").json()["valid"]
