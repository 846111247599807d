"""Every error is a problem document that says what to do, and none is a fault of the server."""

from collections.abc import Iterator
from typing import Any

import pytest

from factories import chain, node
from stack import Api

WORKFLOWS = "/api/v1/workflows"
JSON = {"Content-Type": "application/json"}


def _deep(levels: int) -> bytes:
    return b'{"name":"a","definition":{"nodes":[],"edges":[],"x":' + b"[" * levels + b"]" * levels + b"}}"


def _with(value: bytes) -> bytes:
    return b'{"name":"a","definition":{"nodes":[],"edges":[],"x":' + value + b"}}"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"name":"a","other":1}', 400),
        (b'{"name":""}', 400),
        (b'{"name":"' + b"x" * 201 + b'"}', 400),
        (b'{"name":"a\xff"}', 400),
        (b'{"name":"a\\ud800"}', 400),
        (_with(b"NaN"), 400),
        (_with(b"1e400"), 422),
        (_with(b"9" * 5000), 422),
        (_deep(65), 422),
        (_deep(30_000), 400),
        (_deep(60), 201),
        (_with(b"9" * 1000), 201),
        (b'{"name":"a\\u0000b"}', 422),
        (_with(b'"\\u0000"'), 422),
        (_with(b'"\\\\u0000"'), 201),
        (_with(b'"' + b"x" * (1 << 20) + b'"'), 413),
        (b'{"name":"a","definition":{"nodes":[{"id":1}]}}', 422),
        (b'{"name":"a","input_schema":{"type":"nope"}}', 422),
        (b'{"name":"a","input_schema":{"$ref":"https://example.com/schema"}}', 422),
        (b" " * (3 << 20), 413),
    ],
)
def test_a_body_is_taken_or_refused_with_its_problem(server: Api, body: bytes, status: int) -> None:
    response = server.http.post(WORKFLOWS, content=body, headers=JSON)

    assert response.status_code == status, response.text[:500]
    if status >= 400:
        check_problem(response.json(), response.headers["content-type"], status, WORKFLOWS)


def check_problem(problem: dict[str, object], content_type: str, status: int, path: str) -> None:
    assert content_type == "application/problem+json"
    assert (problem["status"], problem["instance"]) == (status, path)
    assert str(problem["type"]).startswith("/problems/")
    assert len(str(problem["detail"])) > 5
    assert problem["title"]
    for secret in ("Traceback", "SELECT", "asyncpg", "/site-packages/", ".py"):
        assert secret not in str(problem)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PATCH", WORKFLOWS, 405),
        ("GET", "/api/v1/nothing", 404),
        ("GET", f"{WORKFLOWS}/not-an-id", 404),
        ("GET", f"{WORKFLOWS}?page=0", 400),
        ("GET", f"{WORKFLOWS}?per_page=201", 400),
        ("GET", f"{WORKFLOWS}?cursor=nonsense", 400),
        ("GET", f"{WORKFLOWS}?status=nonsense", 400),
        ("GET", f"{WORKFLOWS}?name=%00", 422),
        ("GET", "/api/v1/runs?since=yesterday", 400),
        ("GET", "/api/v1/runs?status=completed&status=nonsense", 400),
        ("GET", "/api/v1/runs/00000000-0000-0000-0000-000000000000/events?limit=1001", 400),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_its_problem(
    server: Api, method: str, path: str, status: int
) -> None:
    response = server.http.request(method, path)

    assert response.status_code == status
    check_problem(response.json(), response.headers["content-type"], status, path.partition("?")[0])


def test_a_body_that_is_not_json_by_its_own_word_is_refused(server: Api) -> None:
    response = server.http.post(WORKFLOWS, content=b'{"name":"a"}', headers={"Content-Type": "text/plain"})

    check_problem(response.json(), response.headers["content-type"], 415, WORKFLOWS)


def test_a_body_without_a_length_is_limited_all_the_same(server: Api) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 50_000

    assert server.http.post(WORKFLOWS, content=endless(), headers=JSON).status_code == 413


def test_a_request_id_is_taken_over_or_made(server: Api) -> None:
    assert server.http.get("/health", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert len(server.http.get("/health", headers={"X-Request-ID": "no good"}).headers["x-request-id"]) == 32


def test_a_page_of_an_allowed_origin_may_read_the_answers(server: Api) -> None:
    allowed = server.http.get(WORKFLOWS, headers={"Origin": "http://localhost:5173"})
    foreign = server.http.get(WORKFLOWS, headers={"Origin": "https://evil.example"})
    preflight = server.http.options(
        WORKFLOWS, headers={"Origin": "http://localhost:5173", "Access-Control-Request-Method": "PUT"}
    )

    assert allowed.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "ETag" in allowed.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in foreign.headers
    assert "Origin" in foreign.headers["vary"]
    assert "PUT" in preflight.headers["access-control-allow-methods"]


@pytest.mark.parametrize("number", [b"1e400", b"9" * 5000])
def test_a_number_that_cannot_be_kept_has_one_problem_type_on_every_python(server: Api, number: bytes) -> None:
    """The standard library's phrase for 422 has changed; a problem's type must not change with it."""
    response = server.http.post(WORKFLOWS, content=_with(number), headers=JSON)

    assert response.json()["type"] == "/problems/unacceptable"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"other":1}', 400),
        (b'{"input":[]}', 400),
        (b'{"input":{"x":NaN}}', 400),
        (b'{"input":{"x":"\xff"}}', 400),
        (b'{"input":{"x":1e400}}', 422),
        (b'{"input":{"x":"\\u0000"}}', 422),
        (b'{"input":{"x":' + b"[" * 64 + b"]" * 64 + b"}}", 422),
        (b'{"input":{"x":"' + b"y" * (256 << 10) + b'"}}', 413),
    ],
)
def test_an_input_is_refused_with_its_problem(server: Api, body: bytes, status: int) -> None:
    path = f"{WORKFLOWS}/{server.publish(chain(node('a', 'core.log', {})))}/run"
    response = server.http.post(path, content=body, headers=JSON)

    assert response.status_code == status, response.text[:500]
    check_problem(response.json(), response.headers["content-type"], status, path)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": ""}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"name": None}, "/name"),
        ({"description": 5}, "/description"),
        ({"definition": []}, "/definition"),
        ({"input_schema": "x"}, "/input_schema"),
        ({"unknown": 1}, ""),
        ([], ""),
    ],
)
def test_a_create_and_an_update_are_refused_alike_and_say_where(server: Api, body: Any, path: str) -> None:
    workflow_id = server.create({"nodes": [], "edges": []})["id"]
    update = server.http.put(f"{WORKFLOWS}/{workflow_id}", json=body)
    create = server.http.post(WORKFLOWS, json={"name": "x", **body} if isinstance(body, dict) else body)

    assert (update.status_code, create.status_code) == (400, 400)
    assert update.json()["errors"] == create.json()["errors"]
    assert [issue["path"] for issue in update.json()["errors"]] == [path]
