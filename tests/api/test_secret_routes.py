"""Secrets over HTTP: set, used by steps, listed by name; no answer, event, list or error ever holds a value."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from factories import chain, node
from recorder import Recorder
from stack import Api

SECRETS = "/api/v1/secrets"
VALUE = "the-planted-value-4711"


@pytest.fixture
def own(server: Api) -> Iterator[httpx.Client]:
    """A client of an owner of the test's own."""
    with server.client(uuid4()) as client:
        yield client


def put(client: httpx.Client, name: str = "api_token", value: Any = VALUE) -> httpx.Response:
    return client.put(f"{SECRETS}/{name}", json={"value": value})


def test_a_secret_is_set_then_changed_listed_and_deleted(own: httpx.Client) -> None:
    made, changed = put(own), put(own, value="another value")
    put(own, "aaa")

    assert (made.status_code, changed.status_code) == (201, 200)
    assert made.headers["location"] == f"{SECRETS}/api_token"
    assert "location" not in changed.headers
    assert set(made.json()) == {"name", "created_at", "updated_at"}
    assert changed.json()["created_at"] == made.json()["created_at"] < changed.json()["updated_at"]
    assert own.get(made.headers["location"]).json() == changed.json()
    assert [each["name"] for each in own.get(SECRETS).json()["items"]] == ["aaa", "api_token"]
    assert own.delete(f"{SECRETS}/api_token").status_code == 204
    assert [own.get(f"{SECRETS}/api_token").status_code, own.delete(f"{SECRETS}/api_token").status_code] == [404, 404]


def test_a_step_reads_what_was_set_and_nothing_that_can_be_asked_for_holds_it(server: Api, recorder: Recorder) -> None:
    put(server.http, "shop", VALUE)
    config = {"url": f"{recorder.url}/", "headers": {"authorization": "Bearer {{ secrets.shop }}"}}

    run = server.execute(chain(node("call", "http.request", config)))

    assert recorder.requests[0].headers["authorization"] == f"Bearer {VALUE}"
    paths = [SECRETS, f"{SECRETS}/shop", *(f"/api/v1/runs/{run['id']}{part}" for part in ("", "/steps", "/events"))]
    assert [path for path in paths if VALUE in server.http.get(path).text] == []


def test_anothers_secret_answers_as_one_that_is_not_there(server: Api, own: httpx.Client) -> None:
    put(own)
    with server.client(uuid4()) as stranger:
        for call in (stranger.get, stranger.delete):
            theirs, missing = call(f"{SECRETS}/api_token"), call(f"{SECRETS}/api_tokex")
            assert theirs.status_code == 404
            assert (
                theirs.text.replace("api_token", "api_tokex").replace(theirs.headers["x-request-id"], "")
                == missing.text
            )
        assert stranger.get(SECRETS).json() == {"items": []}
        put(stranger, value="theirs now")

    assert own.get(f"{SECRETS}/api_token").status_code == 200


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("1st", VALUE, 422), ("with-dash", VALUE, 422), ("x" * 65, VALUE, 422), ("ä", VALUE, 422),
        ("token", "abc", 422), ("token", "x" * (48 << 10) + "y", 422), ("token", "\ud800abcd", 400),
        ("token", 12345, 400), ("token", None, 400),
    ],
)  # fmt: skip
def test_what_cannot_be_a_secret_is_refused_without_saying_it(
    own: httpx.Client, name: str, value: Any, status: int
) -> None:
    content = '{"value": "\\ud800abcd"}' if value == "\ud800abcd" else None
    headers = {"Content-Type": "application/json"}
    answer = own.put(f"{SECRETS}/{name}", content=content, headers=headers) if content else put(own, name, value)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert VALUE not in answer.text
    assert own.get(SECRETS).json() == {"items": []}


@pytest.mark.parametrize("name", ["with-dash", "a b", "%00", "x" * 500])
def test_a_name_that_no_secret_can_have_is_not_found(own: httpx.Client, name: str) -> None:
    assert {own.get(f"{SECRETS}/{name}").status_code, own.delete(f"{SECRETS}/{name}").status_code} == {404}
