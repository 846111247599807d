"""Whatever is sent: a problem document, no fault of the server, no memory, and nobody else has to wait."""

import json
import re
import socket
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_problems import check_problem

from factories import chain, node
from stack import Api, Process, free_port, until

WORKFLOWS, RUNS, NOBODY = "/api/v1/workflows", "/api/v1/runs", "00000000-0000-0000-0000-000000000000"
JSON = {"Content-Type": "application/json"}
CLOSE = "Connection: close"


class Answer:
    """The first answer in what a raw connection said."""

    def __init__(self, said: bytes) -> None:
        head, _, self.body = said.partition(b"\r\n\r\n")
        self.said = said
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1]) if lines[0].startswith("HTTP/1.1 ") else 0
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}

    def check(self, status: int) -> None:
        assert self.status == status, self.said[:500]
        problem = json.loads(self.body)
        check_problem(problem, self.headers["content-type"], status, problem["instance"])
        assert self.headers["x-request-id"]


def connect(server: Api) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def send(server: Api, *parts: bytes) -> Answer:
    """Send bytes as they are; what is said until the server closes."""
    with connect(server) as connection:
        for part in parts:
            connection.sendall(part)
        said = b""
        while received := connection.recv(1 << 16):
            said += received
    return Answer(said)


def request(server: Api, line: str, *headers: str, host: str | None = "Host: x", body: bytes = b"") -> bytes:
    lines = [line, *([host] if host else []), f"Authorization: Bearer {server.token()}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def memory(pid: int) -> int:
    """Resident, in MiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) >> 10


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        ("GET /health HTTP/1.1", ["X: " + "a" * 200_000], 431),
        ("GET /health HTTP/1.1", ["a" * 200_000 + ": 1"], 431),
        ("GET /health HTTP/1.1", [f"X-{number}: 1" for number in range(5000)], 431),
        ("GET /health?" + "a" * 200_000 + " HTTP/1.1", [], 414),
        ("GET /health HTTP/1.1", ["X-Request-ID: a\r\n b"], 400),
        ("GET /health HTTP/1.1", ["X: \x01"], 400),
        ("GET /health HTTP/1.1", ["Host: y"], 400),
        ("GET /health HTTP/3.7", [], 400),
        ("get /health HTTP/1.1", [], 400),
        ("NONSENSE /health HTTP/1.1", [], 400),
        ("GET health HTTP/1.1", [], 400),
        ("GET /\xff HTTP/1.1", [], 400),
        ("CONNECT x:1 HTTP/1.1", [], 400),
        ("POST /api/v1/workflows HTTP/1.1", ["Content-Length: 4", "Transfer-Encoding: chunked"], 400),
        ("POST /api/v1/workflows HTTP/1.1", ["Transfer-Encoding: chunked", "Content-Length: 4"], 400),
        ("POST /api/v1/workflows HTTP/1.1", ["Transfer-Encoding: xchunked"], 400),
        ("POST /api/v1/workflows HTTP/1.1", ["Content-Length: 4", "Content-Length: 5"], 400),
        ("POST /api/v1/workflows HTTP/1.1", ["Content-Length: -1"], 400),
        ("POST /api/v1/workflows HTTP/1.1", ["Content-Length: 99999999999999999999999"], 400),
        ("POST /api/v1/workflows HTTP/1.1", ["Content-Type: application/json", "Content-Length: 9999999"], 413),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_proper_request_is_refused_with_a_problem(
    server: Api, line: str, headers: list[str], status: int
) -> None:
    send(server, request(server, line, *headers, CLOSE)).check(status)


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500,
        bytes(range(256)),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_another_protocol_is_refused_with_a_problem(server: Api, said: bytes) -> None:
    send(server, said).check(400)


@pytest.mark.parametrize("host", [None, "Host: a:99999999", "Host: a b", "Host: a/b?c", "Host: \xff", "Host: [::1"])
def test_a_request_names_one_proper_host(server: Api, host: str | None) -> None:
    send(server, request(server, "GET /health HTTP/1.1", CLOSE, host=host)).check(400)


@pytest.mark.parametrize("host", ["Host: ", "Host: [::1]:80", "Host: example.com:65535"])
def test_any_host_will_do(server: Api, host: str) -> None:
    assert send(server, request(server, "GET /health HTTP/1.1", CLOSE, host=host)).status == 200


CHUNKED = ["Content-Type: application/json", "Transfer-Encoding: chunked", CLOSE]


@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        ([b"zz\r\n{}\r\n"], 400),
        ([b"fffffffffffffffff\r\n{}"], 400),
        ([b"2;" + b"x" * 200_000 + b"\r\n{}\r\n0\r\n\r\n"], 431),
        ([b"2\r\n{}\r\n0\r\n", *[b"X-Trailer: %d\r\n" % number for number in range(5000)], b"\r\n"], 431),
        ([b"1\r\n \r\n"] * 1000 + [b"2\r\n{}\r\n0\r\n\r\n"], 400),
    ],
    ids=["no size", "endless size", "long extension", "many trailers", "small"],
)
def test_a_body_in_chunks_is_bounded(server: Api, chunks: list[bytes], status: int) -> None:
    send(server, request(server, f"POST {WORKFLOWS} HTTP/1.1", *CHUNKED, body=b"".join(chunks))).check(status)


def test_requests_behind_one_another_are_answered_in_order_until_one_is_none(server: Api) -> None:
    good = request(server, "GET /health HTTP/1.1")

    said = send(server, good * 3 + b"nonsense\r\n\r\n").said

    assert said.count(b"HTTP/1.1 200 OK") == 3
    assert b"HTTP/1.1 400" not in said


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Type": 'application/json; charset="UTF-8"'}, 201),
        ({"Content-Type": "application/x-msgpack"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": "application/json,text/plain"}, 415),
        ({"Content-Type": ""}, 415),
        (JSON | {"Content-Encoding": "gzip"}, 415),
        (JSON | {"Content-Encoding": "identity"}, 201),
        (JSON | {"X-Idempotency-Key": "k" * 50_000}, 400),
        (JSON | {"X-Idempotency-Key": ""}, 400),
        (JSON | {"X-Idempotency-Key": "a", "Idempotency-Key": "b"}, 400),
        (JSON | {"X-Request-ID": "x" * 50_000}, 201),
    ],
    ids=str,
)
def test_a_body_is_what_its_headers_say_or_refused(server: Api, headers: dict[str, str], status: int) -> None:
    response = server.http.post(WORKFLOWS, content=b'{"name":"a"}', headers=headers)

    assert response.status_code == status, response.text
    if status >= 400:
        check_problem(response.json(), response.headers["content-type"], status, WORKFLOWS)


def cursor(*parts: Any) -> str:
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x", "cursor=%00", "cursor=%ff", "cursor=====", f"cursor={cursor()}", f"cursor={'A' * 300}",
        f"cursor={cursor('9999-12-31T23:59:59-23:59', NOBODY)}", f"cursor={cursor('0001-01-01T00:00:00+23:59', NOBODY)}",
        f"cursor={cursor('0000-01-01T00:00:00Z', NOBODY)}", f"cursor={cursor('2020-01-01T00:00:00', NOBODY)}",
        f"cursor={cursor(10**20, NOBODY)}", f"cursor={cursor(float('nan'), NOBODY)}", f"cursor={cursor('[' * 60, NOBODY)}",
        "page=0", "page=-1", f"page={2**63}", "page=", "page=%D9%A1", "page=1&page=x", "page=" + "9" * 5000,
        "per_page=0", "per_page=201", "per_page=1.5", "per_page=NaN", "include=nothing", "status=", "status=null",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [WORKFLOWS, RUNS])
def test_a_list_is_asked_for_properly_or_not_at_all(server: Api, path: str, query: str) -> None:
    response = server.http.get(f"{path}?{query}")

    check_problem(response.json(), response.headers["content-type"], 400, path)


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize(
    "value",
    [
        "", "yesterday", "2020-01-01", "2020-01-01T00:00:00", "2020-02-30T00:00:00Z", "0", "1700000000", "1e400", "NaN",
        "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "2016-12-31T23:59:60Z", "%00", "null",
    ],
)  # fmt: skip
def test_an_instant_is_one_that_can_be_stored(server: Api, name: str, value: str) -> None:
    response = server.http.get(f"{RUNS}?{name}={value}")

    check_problem(response.json(), response.headers["content-type"], 400, RUNS)


def test_extreme_instants_and_long_filters_are_taken(server: Api) -> None:
    ends = "since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59.999999Z"
    many = "&".join(["status=failed", "status=completed"] * 1500)
    response = server.http.get(f"{RUNS}?{ends}&{many}")

    assert response.status_code == 200
    assert len(response.headers["link"]) < 2000, "each filter is in the links once"
    assert "status=failed&status=completed" in response.headers["link"]


@pytest.mark.parametrize(
    "path",
    [
        f"{WORKFLOWS}/%00", f"{RUNS}/{NOBODY}%00", f"{RUNS}/{NOBODY}0", f"{WORKFLOWS}/{NOBODY.upper()}", f"{RUNS}/%ff",
        f"{WORKFLOWS}/" + "a" * 5000, f"{RUNS}/" + "1" * 5000, f"{WORKFLOWS}/%2e%2e%2f", "/docs/nothing",
        "/docs/assets/%00", "/docs/assets/" + "a" * 5000, "/docs/assets/" + "a/" * 3000, "/docs/assets/nothing.js",
        "/docs/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/docs/assets/..%2f..%2f__init__.py",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(server: Api, path: str) -> None:
    response = server.http.get(path)

    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == response.json()["status"] == 404
    assert "/site-packages" not in response.text


@pytest.mark.parametrize("method", ["TRACE", "PATCH", "QUERY", "PROPFIND", "DELETE"])
def test_another_method_is_refused_and_the_allowed_ones_are_named(server: Api, method: str) -> None:
    response = server.http.request(method, WORKFLOWS)
    options = server.http.options(WORKFLOWS)

    check_problem(response.json(), response.headers["content-type"], 405, WORKFLOWS)
    for each in (response, options):
        assert set(each.headers["allow"].split(", ")) == {"GET", "OPTIONS", "POST"}


@pytest.mark.parametrize("key", [1, "", "\xe9", "a\n", "x" * 256, [], "a b"])
def test_an_idempotency_key_in_the_body_is_checked_as_one_in_the_header(server: Api, key: Any) -> None:
    path = f"{WORKFLOWS}/{server.publish(chain(node('a')))}/run"
    response = server.http.post(path, json={"idempotency_key": key})

    check_problem(response.json(), response.headers["content-type"], 400, path)


NUMBERS = ["-0.0", "9" * 1000, "-" + "9" * 1000, "1e308", "5e-324", "1.5", "123456789012345678901234567890"]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda value: value[:20])
def test_a_number_comes_back_as_it_was_sent(server: Api, number: str) -> None:
    body = '{"name":"a","definition":{"nodes":[],"edges":[],"x":' + number + "}}"
    created = server.http.post(WORKFLOWS, content=body, headers=JSON)
    read = server.http.get(created.headers["location"])

    assert created.status_code == 201
    assert repr(read.json()["definition"]["x"]) == repr(json.loads(number))


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 5000, "9" * 100_000])
def test_a_number_that_cannot_be_kept_is_refused(server: Api, number: str) -> None:
    body = '{"name":"a","definition":{"nodes":[],"edges":[],"x":' + number + "}}"
    response = server.http.post(WORKFLOWS, content=body, headers=JSON)

    check_problem(response.json(), response.headers["content-type"], 422, WORKFLOWS)


def test_a_graph_of_ten_thousand_steps_is_kept_and_told_to_be_too_large(server: Api) -> None:
    nodes = [{"id": f"n{number}", "type": "core.log"} for number in range(10_000)]
    workflow = server.create({"nodes": nodes, "edges": []})
    issues = server.http.post(f"{WORKFLOWS}/{workflow['id']}/validate").json()["issues"]

    assert "too-many-steps" in {issue["code"] for issue in issues}


@pytest.fixture
def lone_server(services: dict[str, str], tmp_path: Path) -> Iterator[tuple[Api, int]]:
    """An API of its own, and its process."""
    environment = services | {"STEPWIRE_PORT": str(free_port()), "STEPWIRE_LOG_LEVEL": "error"}
    process = Process("api", environment, tmp_path / "api.log")
    api = Api(f"http://127.0.0.1:{environment['STEPWIRE_PORT']}", environment["SUPABASE_JWT_SECRET"])
    try:
        until(api.is_ready, "the API being ready")
        yield api, process.popen.pid
    finally:
        api.http.close()
        code = process.stop()
    assert code == 0
    assert "Traceback" not in process.log.read_text()


def bodies() -> list[bytes]:
    """Of about a megabyte each, and as many objects as that can be."""
    return [
        b"[" * 1_000_000,
        b'{"name":"a","definition":{"x":[' + b"[]," * 300_000 + b"[]]}}",
        b'{"name":"a","definition":{"x":[' + b"{}," * 300_000 + b"1]}",
        b'{"name":"a","definition":{' + b",".join(b'"%x":0' % number for number in range(100_000)) + b"}",
        b'{"name":"' + b"\\u00e9" * 160_000 + b'"}',
        b'{"name":"\xff' + b"a" * 1_000_000 + b'"}',
        b"\x00" * 1_000_000,
        b" " * 3_000_000,
    ]


def test_thousands_of_hostile_requests_leave_the_server_as_it_was(lone_server: tuple[Api, int]) -> None:
    server, pid = lone_server
    heads = [
        request(server, "GET /health HTTP/1.1", "X: " + "a" * 300_000),
        request(server, "GET /health HTTP/1.1") * 150 + b"nonsense\r\n\r\n",
        b"\x00" * 100_000,
    ]

    def attack(rounds: int) -> None:
        for _ in range(rounds):
            for body in bodies():
                assert server.http.post(WORKFLOWS, content=body, headers=JSON).status_code < 500
            for head in heads * 5:
                with connect(server) as connection:
                    connection.sendall(head)
            for number in range(200):
                assert server.http.get(f"{RUNS}?since={number}&name={'x' * 500}").status_code == 400

    attack(2)
    before = memory(pid)
    attack(5)

    assert memory(pid) < before + 64
    assert server.http.get("/health").status_code == 200


def test_clients_that_send_a_byte_at_a_time_or_nothing_do_not_keep_others_out(lone_server: tuple[Api, int]) -> None:
    server, pid = lone_server
    before = memory(pid)
    partial = request(server, f"POST {WORKFLOWS} HTTP/1.1", "Content-Type: application/json", "Content-Length: 1000")
    slow = [connect(server) for _ in range(400)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall((b"", partial[:20], partial, partial + b"{")[number % 4])
        for _ in range(20):
            assert server.http.get("/health").status_code == 200
            assert server.http.get(WORKFLOWS).status_code == 200
            for connection in slow[2::4]:
                connection.sendall(b" ")
        assert memory(pid) < before + 64
    finally:
        for connection in slow:
            connection.close()


def test_a_definition_that_is_hard_to_check_keeps_nobody_waiting(server: Api) -> None:
    """Ten thousand faults of the kind that a naive search finds in quadratic time; others are answered meanwhile."""
    nodes = [{"id": f"n{number}", "type": "core.log"} for number in range(6000)]
    groups = [{"id": f"g{number}", "type": "group", "parentId": f"g{(number + 1) % 4000}"} for number in range(4000)]
    edges = [{"id": f"e{number}", "source": f"n{number}", "target": f"n{number ^ 1}"} for number in range(6000)]
    workflow = server.create({"nodes": nodes + groups, "edges": edges})

    issues = server.http.post(f"{WORKFLOWS}/{workflow['id']}/validate").json()["issues"]

    assert sum(issue["code"] == "cycle" for issue in issues) == 3000
    assert sum(issue["code"] == "parent-cycle" for issue in issues) == 4000
