"""Idempotency keys: where they are said, what they belong to, and which requests are the same."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from factories import chain, node
from stack import STRANGER, Api

ONE = chain(node("a", "core.log", {"message": "a"}))
ORDERS = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}
WORKFLOWS = "/api/v1/workflows"
Headers = list[tuple[str, str]]


def new_key() -> str:
    return str(uuid4())


def run_path(server: Api, **values: Any) -> str:
    return f"{WORKFLOWS}/{server.publish(ONE, **values)}/run"


def post(server: Api, path: str, body: str, key: str) -> httpx.Response:
    """Send JSON text as it is."""
    return server.http.post(path, content=body, headers={"Content-Type": "application/json", "Idempotency-Key": key})


# Where a key is said


@pytest.mark.parametrize(
    ("headers", "in_body"),
    [
        ([("X-Idempotency-Key", "same")], "same"),
        ([("X-Idempotency-Key", "same"), ("Idempotency-Key", '"same"')], None),
        ([("Idempotency-Key", "same")], '"same"'),
        ([("Idempotency-Key", "same"), ("Idempotency-Key", "same")], None),
        ([("X-Idempotency-Key", '"same"'), ("X-Idempotency-Key", "same")], "same"),
        ([("X-Idempotency-Key", "!" + "x" * 253 + "~")], None),
        ([("Idempotency-Key", '"' + "x" * 255 + '"')], "x" * 255),
        ([("Idempotency-Key", r'"a\"b\\c"')], r'a"b\c'),
        ([("X-Idempotency-Key", "null")], None),
        ([("X-Idempotency-Key", '"')], None),
        ([], "only-in-the-body"),
    ],
)
def test_a_key_counts_wherever_it_is_said(server: Api, headers: Headers, in_body: str | None) -> None:
    path, body = run_path(server), {"input": {"name": "A"}, "idempotency_key": in_body}
    first, second = (server.http.post(path, json=body, headers=headers) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["id"] == first.json()["id"]
    assert (first.headers.get("idempotency-replayed"), second.headers["idempotency-replayed"]) == (None, "true")


@pytest.mark.parametrize("operation", ["create", "duplicate", "run"])
@pytest.mark.parametrize(
    "headers",
    [
        [("X-Idempotency-Key", "a"), ("Idempotency-Key", "b")],
        [("X-Idempotency-Key", "a"), ("X-Idempotency-Key", "b")],
        [("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
        [("Idempotency-Key", "a"), ("Idempotency-Key", "")],
        [("Idempotency-Key", "a, b")],
        [("Idempotency-Key", "")],
        [("Idempotency-Key", '""')],
        [("Idempotency-Key", "x" * 256)],
        [("Idempotency-Key", '"' + "x" * 256 + '"')],
    ],
)
def test_headers_that_name_no_key_or_several_are_refused(server: Api, operation: str, headers: Headers) -> None:
    name = new_key()
    workflow_id = server.publish(ONE, name=name)
    path = {"create": WORKFLOWS, "duplicate": f"{WORKFLOWS}/{workflow_id}/duplicate"}.get(
        operation, f"{WORKFLOWS}/{workflow_id}/run"
    )
    refused = server.http.post(path, json={"name": name} if operation == "create" else {}, headers=headers)

    assert (refused.status_code, refused.json()["type"]) == (400, "/problems/malformed-request")
    assert server.http.get(WORKFLOWS, params={"name": name}).json()["total"] == 1
    assert server.http.get("/api/v1/runs", params={"workflow_id": workflow_id}).json()["total"] == 0


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "a b", "\u00e9", "a\tb", "a\x7f"])
def test_a_key_that_is_none_is_refused(server: Api, key: str) -> None:
    path = run_path(server)
    in_header = server.http.post(path, json={}, headers={"X-Idempotency-Key": key.encode()})
    in_body = server.http.post(path, json={"idempotency_key": key})

    assert (in_header.status_code, in_body.status_code) == (400, 400)


def test_a_header_and_a_body_that_differ_are_refused(server: Api) -> None:
    refused = server.http.post(run_path(server), json={"idempotency_key": "a"}, headers={"X-Idempotency-Key": "b"})

    assert refused.status_code == 400


# What a key belongs to


def test_the_keys_of_two_workflows_two_operations_and_two_owners_are_strangers(server: Api) -> None:
    key = {"X-Idempotency-Key": new_key()}
    made = server.http.post(WORKFLOWS, json={"name": "x", "definition": ONE}, headers=key)
    path = f"{WORKFLOWS}/{made.json()['id']}"
    copied = server.http.post(f"{path}/duplicate", headers=key)
    server.http.post(f"{path}/publish")
    server.http.post(f"{WORKFLOWS}/{copied.json()['id']}/publish")
    run = server.http.post(f"{path}/run", headers=key)
    other = server.http.post(f"{WORKFLOWS}/{copied.json()['id']}/run", headers=key)
    with server.client(STRANGER) as client:
        theirs = client.post(WORKFLOWS, json={"name": "another"}, headers=key)
        copied_theirs = client.post(f"{WORKFLOWS}/{theirs.json()['id']}/duplicate", headers=key)

    answers = [made, copied, run, other, theirs, copied_theirs]
    assert [answer.status_code for answer in answers] == [201] * 6
    assert len({answer.json()["id"] for answer in answers}) == 6


def test_a_refused_request_uses_up_no_key(server: Api) -> None:
    key = new_key()
    draft = server.create(ONE, input_schema=ORDERS)["id"]
    path = f"{WORKFLOWS}/{draft}/run"
    not_published = post(server, path, '{"input": {"n": 1}}', key)
    server.http.post(f"{WORKFLOWS}/{draft}/publish")
    unfit, started = post(server, path, '{"input": {}}', key), post(server, path, '{"input": {"n": 1}}', key)

    assert [each.status_code for each in (not_published, unfit, started)] == [409, 422, 201]


def test_a_replay_is_the_run_as_it_is_and_an_archived_workflow_takes_no_new_key(server: Api) -> None:
    key = new_key()
    workflow_id = server.publish(chain(node("wait", "core.delay", {"duration": 3600})))
    path = f"{WORKFLOWS}/{workflow_id}/run"
    started = post(server, path, "{}", key)
    server.http.post(f"/api/v1/runs/{started.json()['id']}/cancel")
    cancelled = server.finished(started.json()["id"])
    server.http.post(f"{WORKFLOWS}/{workflow_id}/archive")
    replayed, other, new = post(server, path, "{}", key), post(server, path, '{"input": {"n": 1}}', key), post(
        server, path, "{}", new_key()
    )  # fmt: skip

    assert (replayed.status_code, replayed.json(), replayed.json()["status"]) == (200, cancelled, "cancelled")
    assert replayed.headers["location"] == started.headers["location"]
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert (new.status_code, new.json()["type"]) == (409, "/problems/workflow-not-published")


def test_a_replay_is_answered_with_the_entity_tag_of_now(server: Api) -> None:
    key = {"Idempotency-Key": new_key()}
    made = server.http.post(WORKFLOWS, json={"name": "x"}, headers=key)
    changed = server.http.put(made.headers["location"], json={"name": "y"}, headers={"If-Match": made.headers["etag"]})
    replayed = server.http.post(WORKFLOWS, json={"name": "x"}, headers=key)

    assert replayed.headers["etag"] == changed.headers["etag"] != made.headers["etag"]
    assert replayed.json() == changed.json()


# Which requests are the same

SAME_INPUTS = [
    ("", "{}"),
    ("", '{"input": {}, "idempotency_key": null}'),
    ('{"input": {"a": 1, "b": [{"c": 2, "d": 3}]}}', '{ "input" : {"b":[{"d":3,"c":2}],"a":1} }'),
    ('{"input": {"n": 1}}', '{"input": {"n": 1.0}}'),
    ('{"input": {"n": [1e2]}}', '{"input": {"n": [100]}}'),
    ('{"input": {"n": -0.0}}', '{"input": {"n": 0}}'),
    ('{"input": {"n": 0.10}}', '{"input": {"n": 1e-1}}'),
    ('{"input": {"s": "\u00e4\U0001f600/"}}', '{"input": {"s": "\\u00e4\\ud83d\\ude00\\/"}}'),
    ('{"input": {"\u00e4": 1}}', '{"input": {"\\u00e4": 1}}'),
]
OTHER_INPUTS = [
    ("{}", '{"input": {"a": null}}'),
    ('{"input": {"n": 1}}', '{"input": {"n": true}}'),
    ('{"input": {"n": 0}}', '{"input": {"n": false}}'),
    ('{"input": {"n": 1}}', '{"input": {"n": "1"}}'),
    ('{"input": {"n": 1}}', '{"input": {"n": 1.0000000000000002}}'),
    (f'{{"input": {{"n": 1{"0" * 30}}}}}', f'{{"input": {{"n": 1{"0" * 29}1}}}}'),
    ('{"input": {"l": [1, 2]}}', '{"input": {"l": [2, 1]}}'),
    ('{"input": {"s": "\u00e4"}}', '{"input": {"s": "a\u0308"}}'),
    ('{"input": {"a": {}}}', '{"input": {"a": []}}'),
]


@pytest.mark.parametrize(("one", "other"), SAME_INPUTS)
def test_a_start_is_the_same_when_it_means_the_same(server: Api, one: str, other: str) -> None:
    path, key = run_path(server), new_key()
    first, second = post(server, path, one, key), post(server, path, other, key)

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["id"] == first.json()["id"]


@pytest.mark.parametrize(("one", "other"), OTHER_INPUTS)
def test_a_start_is_another_when_it_means_something_else(server: Api, one: str, other: str) -> None:
    path, key = run_path(server), new_key()
    first, second = post(server, path, one, key), post(server, path, other, key)

    assert (first.status_code, second.status_code) == (201, 422)
    assert second.json()["type"] == "/problems/idempotency-key-reused"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"name": "x", "definition": {"nodes": [], "edges": [], "zoom": 1.0}}',
         '{"definition": {"zoom": 1, "edges": [], "nodes": []}, "name": "x"}'),
        ('{"name": "x", "input_schema": {"minProperties": 1.0}}', '{"name": "x", "input_schema": {"minProperties": 1}}'),
    ],
)  # fmt: skip
def test_a_workflow_is_the_same_when_its_numbers_are(server: Api, one: str, other: str) -> None:
    key = new_key()

    assert [post(server, WORKFLOWS, body, key).status_code for body in (one, other)] == [201, 200]


@pytest.mark.parametrize(
    "change", [{"name": "y"}, {"description": " "}, {"input_schema": {}}, {"definition": {"nodes": []}}]
)
def test_a_workflow_is_another_when_any_field_differs(server: Api, change: dict[str, Any]) -> None:
    key = {"Idempotency-Key": new_key()}
    first = server.http.post(WORKFLOWS, json={"name": "x"}, headers=key)
    other = server.http.post(WORKFLOWS, json={"name": "x"} | change, headers=key)

    assert (first.status_code, other.status_code) == (201, 422)
    assert other.json()["type"] == "/problems/idempotency-key-reused"
