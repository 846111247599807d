"""``http.request`` against real servers on the loopback interface, opened by name where a test needs them."""

import asyncio
import base64
import gzip
import logging
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stepwire import __version__
from stepwire.steps.base import EffectContext, EffectStep, StepFailed
from stepwire.steps.guard import guarded_client
from stepwire.steps.http import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, HttpRequest, HttpRequestConfig


@dataclass
class Received:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader


Answer = Callable[[Received], bytes | Awaitable[bytes]]


@dataclass
class Server:
    """Answers every request with what ``answer`` returns, bytes as they go on the wire."""

    port: int = 0
    answer: Answer = lambda request: reply()
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    open: dict[asyncio.StreamWriter, asyncio.Task[Any] | None] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open[writer] = asyncio.current_task()
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                first, *lines = head.strip().split("\r\n")
                method, target, _ = first.split(" ")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                request = Received(method, target, headers, body, writer, reader)
                self.received.append(request)
                answer = self.answer(request)
                writer.write(answer if isinstance(answer, bytes) else await answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            del self.open[writer]

    async def hang_up(self) -> None:
        handlers = [task for task in self.open.values() if task]
        for writer in self.open:
            writer.close()
        await asyncio.gather(*handlers, return_exceptions=True)


def reply(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *lines, "", ""]).encode() + body


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(answer=answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server
        await server.hang_up()  # else the listener waits for the clients, from Python 3.12 on


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(lambda request: reply()) as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    # Without the usual CA bundle, which takes longer to load than most of these tests take.
    async with guarded_client(["127.0.0.1"], verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as client:
        yield client


async def run(client: httpx.AsyncClient, key: str = "the-key", **config: Any) -> dict[str, Any]:
    context = EffectContext(UUID(int=1), "call", 1, key, client, logging.getLogger("test"), start_no_run)
    outcome = await HttpRequest().execute(msgspec.convert(config, HttpRequestConfig), context)
    output: dict[str, Any] = outcome.output
    return output


async def start_no_run(*_: object) -> UUID:
    raise AssertionError("a call starts no run")


async def failure(client: httpx.AsyncClient, **config: Any) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        await run(client, **config)
    return caught.value


# What is sent


async def test_the_step_type_is_an_effect_whose_examples_are_valid() -> None:
    assert isinstance(HttpRequest(), EffectStep)
    for example in HttpRequest.examples:
        msgspec.convert(example, HttpRequestConfig)
        assert HttpRequest().check(example) is None
    assert msgspec.json.schema(HttpRequestConfig)["$defs"]["HttpRequestConfig"]["required"] == ["url"]


async def test_a_get_carries_the_key_our_name_and_the_query(client: httpx.AsyncClient, server: Server) -> None:
    query = {"a b": "c&d", "n": 1.5, "yes": True, "many": ["x", 2], "none": None}

    output = await run(client, url=f"{server.url}/path?own=1#part", query=query)

    (request,) = server.received
    assert output == {"status": 200, "headers": {"content-length": "0"}, "body": ""}
    assert (request.method, request.target) == ("GET", "/path?own=1&a+b=c%26d&n=1.5&yes=true&many=x&many=2")
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert request.headers["idempotency-key"] == "the-key"
    assert request.headers["user-agent"] == f"stepwire/{__version__}"


async def test_the_key_of_a_step_whose_id_is_any_text_is_visible_ascii(
    client: httpx.AsyncClient, server: Server
) -> None:
    await run(client, key="run:a\nb é%[0].c-d", url=server.url)

    assert server.received[0].headers["idempotency-key"] == "run:a%0Ab%20%C3%A9%25[0].c-d"


async def test_given_headers_win(client: httpx.AsyncClient, server: Server) -> None:
    headers = {"idempotency-KEY": "mine", "user-agent": "me", "X-N": 7, "X-B": False, "X-U": "é"}

    await run(client, url=server.url, headers=headers)

    sent = server.received[0].headers
    assert (sent["idempotency-key"], sent["user-agent"], sent["x-n"], sent["x-b"]) == ("mine", "me", "7", "false")
    assert sent["x-u"].encode("latin-1").decode() == "é"


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        ({"json": {"a": [1, None]}}, b'{"a":[1,null]}', "application/json"),
        ({"json": None}, b"null", "application/json"),
        ({"form": {"a": "é", "b": [1, True]}}, b"a=%C3%A9&b=1&b=true", "application/x-www-form-urlencoded"),
        ({"text": "grüß"}, "grüß".encode(), "text/plain; charset=utf-8"),
        ({"text": "<a/>", "headers": {"content-type": "text/xml"}}, b"<a/>", "text/xml"),
        ({}, b"", None),
    ],
)
async def test_a_body_is_sent_as_its_kind(
    client: httpx.AsyncClient, server: Server, body: dict[str, Any], sent: bytes, content_type: str | None
) -> None:
    await run(client, url=server.url, method="POST", **body)

    assert server.received[0].body == sent
    assert server.received[0].headers.get("content-type") == content_type


async def test_a_body_of_more_than_a_mebibyte_is_not_sent(client: httpx.AsyncClient, server: Server) -> None:
    error = await failure(client, url=server.url, method="POST", text="x" * (MAX_REQUEST_BYTES + 1))

    assert (error.code, error.is_retryable, server.received) == ("request-too-large", False, [])


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"json": None, "text": "x"}, "one body"),
        ({"json": 1, "form": {}, "text": ""}, "one body"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "PT6M"}, "timeout"),
        ({"timeout": "P1M"}, "timeout"),
    ],
)
async def test_what_the_schema_cannot_say_is_checked(config: dict[str, Any], sentence: str) -> None:
    assert sentence in (HttpRequest().check({"url": "http://x", **config}) or "")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"url": "http://x", **config}, HttpRequestConfig)


async def test_a_timeout_that_is_an_expression_is_not_checked_yet() -> None:
    assert HttpRequest().check({"url": "{{ input.url }}", "timeout": "{{ input.timeout }}", "json": None}) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"a b": 1},
        {"": 1},
        {"x": "a\r\ny: b"},
        {"x": "a\0"},
        {"Host": "x"},
        {"content-length": 5},
        {"Transfer-Encoding": "x"},
    ],
)
async def test_headers_that_would_break_the_message_are_refused(
    client: httpx.AsyncClient, server: Server, headers: dict[str, Any]
) -> None:
    error = await failure(client, url=server.url, headers=headers)

    assert (error.code, error.is_retryable, server.received) == ("bad-header", False, [])


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://example.com/",
            "file:///etc/passwd",
            "example.com/path",
            "http://",
            "http:///path",
            "//example.com",
            " ",
        ),
        *("http://a\nb/", "http://[::1/", "http://x:99999/", "http://x:0/", "http://0177.0.0.1/", "http://ex ample:x/"),
        *(f"http://x/{'a' * 8192}", "http://x/" + "a" * 70_000, "javascript:alert(1)", "unix:///var/run/docker.sock"),
        *("http://xn--/", "http://xn--zzzzzzzzzzz/", "http://xn--ls8h/"),
    ],
)
async def test_a_url_that_is_none_of_http_is_refused(client: httpx.AsyncClient, url: str) -> None:
    error = await failure(client, url=url)

    assert (error.code, error.is_retryable) == ("bad-url", False)


# What comes back


@pytest.mark.parametrize(
    ("content_type", "wire", "body"),
    [
        ("application/json", b'{"a": [1, 2.5, "\\u0000"]}', {"a": [1, 2.5, "\0"]}),
        ("application/problem+json; charset=utf-8", b'{"a": null}', {"a": None}),
        ("Application/JSON", b"\xef\xbb\xbf[]", []),
        ("application/json", b'{"a": 1, "a": 2}', {"a": 2}),
        ("application/json", b"123456789012345678901234567890", 123456789012345678901234567890),
        ("application/json", b"{oops", "{oops"),
        ("application/json", b"[NaN]", "[NaN]"),
        ("application/json", b"1e999", "1e999"),
        ("application/json", b'"\\ud800"', '"\\ud800"'),
        ("application/json", b"", ""),
        ("application/json", b"[" * 60 + b"]" * 60, msgspec.json.decode("[" * 60 + "]" * 60)),
        ("application/json", b"[" * 65 + b"]" * 65, "[" * 65 + "]" * 65),
        ("application/json", b"[" * 9000 + b"]" * 9000, "[" * 9000 + "]" * 9000),
        ("text/plain; charset=iso-8859-1", b"\xe9", "é"),
        ('text/html; Charset="windows-1252"', b"\x80", "€"),
        ("text/plain", b"\xff\0", "\ufffd\0"),
        ("text/plain; charset=punycode", "ü".encode(), "ü"),
        ("text/plain; charset=unicode_escape", b"\\ud800", "\\ud800"),
        ("application/unknown", "ü".encode(), "ü"),
    ],
)
async def test_a_body_is_decoded_as_far_as_it_can_be(
    client: httpx.AsyncClient, server: Server, content_type: str, wire: bytes, body: Any
) -> None:
    server.answer = lambda request: reply(200, wire, content_type=content_type)

    output = await run(client, url=server.url)

    assert output["body"] == body
    assert "encoding" not in output
    msgspec.json.encode(output)


async def test_a_body_that_is_not_text_is_base64(client: httpx.AsyncClient, server: Server) -> None:
    server.answer = lambda request: reply(200, b"\x89PNG\xff", content_type="image/png")

    output = await run(client, url=server.url)

    assert (base64.b64decode(output["body"]), output["encoding"]) == (b"\x89PNG\xff", "base64")


async def test_repeated_headers_are_joined_and_lower_case(client: httpx.AsyncClient, server: Server) -> None:
    server.answer = lambda request: b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n"

    assert (await run(client, url=server.url))["headers"] == {"x-a": "1, 2", "content-length": "0"}


@pytest.mark.parametrize(
    ("coding", "wire"),
    [
        ("gzip", gzip.compress(b"plain", mtime=0)),
        ("X-Gzip", gzip.compress(b"plain", mtime=0)),
        ("deflate", zlib.compress(b"plain")),
        ("deflate", zlib.compress(b"plain", wbits=-15)),
        ("gzip, identity, deflate", zlib.compress(gzip.compress(b"plain", mtime=0))),
        ("identity", b"plain"),
        ("br", b"plain"),  # not asked for, and so not decoded
    ],
)
async def test_compressed_bodies_are_decompressed(
    client: httpx.AsyncClient, server: Server, coding: str, wire: bytes
) -> None:
    server.answer = lambda request: reply(200, wire, content_encoding=coding, content_type="text/plain")

    assert (await run(client, url=server.url))["body"] == "plain"


@pytest.mark.parametrize("wire", [b"not gzip", gzip.compress(b"plain" * 100, mtime=0)[:-9]])
async def test_broken_compression_is_a_connection_failure(
    client: httpx.AsyncClient, server: Server, wire: bytes
) -> None:
    server.answer = lambda request: reply(200, wire, content_encoding="gzip")

    error = await failure(client, url=server.url)

    assert (error.code, error.is_retryable) == ("http-connection", True)


async def test_a_head_has_no_body_whatever_its_headers_promise(client: httpx.AsyncClient, server: Server) -> None:
    server.answer = lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\nContent-Encoding: gzip\r\n\r\n"

    assert (await run(client, url=server.url, method="HEAD"))["body"] == ""


# Limits


async def test_the_largest_body_comes_through(client: httpx.AsyncClient, server: Server) -> None:
    server.answer = lambda request: reply(200, b"x" * MAX_RESPONSE_BYTES)

    assert len((await run(client, url=server.url))["body"]) == MAX_RESPONSE_BYTES


async def test_a_byte_more_is_too_large_and_an_endless_body_is_cut_off(
    client: httpx.AsyncClient, server: Server
) -> None:
    ended = asyncio.Event()

    async def endless(request: Received) -> bytes:
        try:
            request.writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                request.writer.write(b"x" * 65536)
                await request.writer.drain()
        finally:
            ended.set()

    server.answer = lambda request: reply(200, b"x" * (MAX_RESPONSE_BYTES + 1))
    one_more = await failure(client, url=server.url)
    server.answer = endless
    no_end = await failure(client, url=server.url)

    assert (one_more.code, one_more.is_retryable, no_end.code) == ("response-too-large", False, "response-too-large")
    await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, gzip"])
async def test_a_compression_bomb_goes_off_in_a_small_room(
    client: httpx.AsyncClient, server: Server, coding: str
) -> None:
    plain = b"\0" * (64 << 20)
    wire = zlib.compress(plain) if coding == "deflate" else gzip.compress(plain, 1, mtime=0)
    wire = gzip.compress(wire, mtime=0) if coding == "gzip, gzip" else wire
    del plain
    server.answer = lambda request: reply(200, wire, content_encoding=coding)
    await failure(client, url=server.url)

    tracemalloc.start()
    error = await failure(client, url=server.url)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert error.code == "response-too-large"
    assert peak < 8 << 20


async def test_a_body_that_trickles_ends_with_the_timeout(client: httpx.AsyncClient, server: Server) -> None:
    closed = asyncio.Event()

    async def trickle(request: Received) -> bytes:
        request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx")
        await request.reader.read()  # until the client hangs up
        closed.set()
        return b""

    server.answer = trickle
    error = await failure(client, url=f"{server.url}/slow?key=1", timeout="PT0.2S")

    assert (error.code, error.is_retryable) == ("http-timeout", True)
    assert str(error) == f"GET {server.url}/slow did not answer in time (0.2 s)."
    await asyncio.wait_for(closed.wait(), 5)


async def test_cancelling_closes_the_connection_at_once_and_frees_its_place(server: Server) -> None:
    arrived, closed = asyncio.Event(), asyncio.Event()

    async def silent(request: Received) -> bytes:
        arrived.set()
        await request.reader.read()
        closed.set()
        return b""

    async with guarded_client(["127.0.0.1"], max_connections=1) as client:
        for answer in (silent, silent):
            server.answer = answer
            task = asyncio.create_task(run(client, url=server.url))
            await asyncio.wait_for(arrived.wait(), 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(closed.wait(), 5)
            arrived.clear()
            closed.clear()

        server.answer = lambda request: reply(200, b"still there")
        assert (await run(client, url=server.url))["body"] == "still there"


# Failures


async def test_an_unexpected_status_fails_with_what_was_answered(client: httpx.AsyncClient, server: Server) -> None:
    server.answer = lambda request: reply(422, b'{"why": "no"}', content_type="application/json")
    url = f"http://ada:hunter2@127.0.0.1:{server.port}/orders?token=s3cret#x"

    error = await failure(client, url=url, method="POST")

    assert (error.code, error.is_retryable, error.retry_after) == ("http-status", False, None)
    assert str(error) == f"POST {server.url}/orders answered 422 Unprocessable Entity"
    assert (error.details["status"], error.details["body"]) == (422, {"why": "no"})
    assert server.received[0].headers["authorization"] == "Basic " + base64.b64encode(b"ada:hunter2").decode()


@pytest.mark.parametrize(
    ("status", "is_retryable"), [(400, False), (404, False), (408, True), (429, True), (503, True)]
)
async def test_some_statuses_are_worth_another_try(
    client: httpx.AsyncClient, server: Server, status: int, is_retryable: bool
) -> None:
    server.answer = lambda request: reply(status, b"x" * 100_000, content_type="text/plain")

    error = await failure(client, url=server.url)

    assert (error.code, error.is_retryable, error.details["body"]) == ("http-status", is_retryable, "x" * 4096)


async def test_expected_statuses_replace_the_default(client: httpx.AsyncClient, server: Server) -> None:
    server.answer = lambda request: reply(404)

    assert (await run(client, url=server.url, expect=[200, 404]))["status"] == 404
    server.answer = lambda request: reply(201)
    assert (await failure(client, url=server.url, expect=[200])).details["status"] == 201


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *(
            ("7", 7),
            (" 120 ", 120),
            ("0", 0),
            ("9" * 5000, 86400),
            ("-1", None),
            ("soon", None),
            ("1.5", None),
            ("", None),
        ),
        (timedelta(hours=1), 3600),
        (timedelta(hours=-1), 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86400),
    ],
)
async def test_retry_after_is_taken_in_both_forms(
    client: httpx.AsyncClient, server: Server, header: str | timedelta, seconds: float | None
) -> None:
    said = header if isinstance(header, str) else format_datetime(datetime.now(UTC) + header, usegmt=True)
    server.answer = lambda request: reply(429, retry_after=said)

    error = await failure(client, url=server.url)

    assert error.retry_after == (None if seconds is None else pytest.approx(seconds, abs=30))


@pytest.mark.parametrize("wire", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"])
async def test_a_server_that_breaks_off_is_a_connection_failure(
    client: httpx.AsyncClient, server: Server, wire: bytes
) -> None:
    def break_off(request: Received) -> bytes:
        request.writer.write(wire)
        request.writer.close()
        return b""

    server.answer = break_off
    error = await failure(client, url=server.url)

    assert (error.code, error.is_retryable) == ("http-connection", True)


async def test_nobody_there_and_no_such_name_are_connection_failures(unused_tcp_port: int) -> None:
    async def no_such_name(host: str, port: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    async with guarded_client(["127.0.0.1"], resolver=no_such_name) as client:
        nobody = await failure(client, url=f"http://127.0.0.1:{unused_tcp_port}")
        nameless = await failure(client, url="http://nowhere.example/?token=s3cret")

    assert (nobody.code, nobody.is_retryable, nameless.code) == ("http-connection", True, "http-connection")
    assert "s3cret" not in str(nameless)


async def test_a_name_that_takes_for_ever_to_resolve_is_a_timeout() -> None:
    async def hangs(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with guarded_client(resolver=hangs) as client:
        error = await failure(client, url="http://slow.example/", timeout=0.1)

    assert (error.code, error.is_retryable) == ("http-timeout", True)


async def test_a_private_address_is_refused_for_good(server: Server) -> None:
    async with guarded_client() as client:
        error = await failure(client, url=f"{server.url}/?token=s3cret")

    assert (error.code, error.is_retryable, server.connections) == ("address-refused", False, 0)
    assert "s3cret" not in str(error)


async def test_nothing_is_logged_that_could_hold_a_secret(
    client: httpx.AsyncClient, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    await run(client, url=f"{server.url}/?token=s3cret", headers={"Authorization": "Bearer s3cret"})

    assert "s3cret" not in caplog.text


# Redirects


def redirect(location: str, status: int = 302, **headers: str) -> bytes:
    return reply(status, b"moved", location=location, **headers)


SECRETS = {
    "Authorization": "Bearer s3cret",
    "Cookie": "a=b",
    "Proxy-Authorization": "c",
    "X-Api-Key": "d",
    "Accept": "e/f",
}


async def test_a_redirect_within_the_origin_keeps_what_was_sent(client: httpx.AsyncClient, server: Server) -> None:
    server.answer = lambda request: redirect("/new", 307) if request.target == "/old" else reply(200, b"here")

    output = await run(client, url=f"{server.url}/old", method="POST", json=[1], headers=SECRETS)

    sent = server.received[1]
    assert (output["body"], sent.method, sent.target, sent.body) == ("here", "POST", "/new", b"[1]")
    assert {name: sent.headers[name.lower()] for name in SECRETS} == SECRETS


async def test_a_redirect_to_another_origin_loses_the_secrets(client: httpx.AsyncClient, server: Server) -> None:
    async with serving(lambda request: reply(200, b"there")) as other:
        server.answer = lambda request: redirect(f"{other.url}/new", 303)
        output = await run(client, url=server.url, method="POST", json=[1], headers=SECRETS)

    (sent,) = other.received
    assert (output["body"], sent.method, sent.body) == ("there", "GET", b"")
    assert sent.headers["host"] == f"127.0.0.1:{other.port}"
    assert sent.headers["accept"] == "e/f"
    assert sent.headers["idempotency-key"] == "the-key"
    assert not {"authorization", "cookie", "proxy-authorization", "x-api-key"} & set(sent.headers)


@pytest.mark.parametrize(
    "location",
    [
        "http://localhost:1/",
        "http://169.254.169.254/latest/meta-data/",
        "//[::1]:1/",
        "http://2130706433:1/",
        "http://127.2:1/",
    ],
)
async def test_a_redirect_to_a_private_address_is_refused(
    client: httpx.AsyncClient, server: Server, location: str
) -> None:
    server.answer = lambda request: redirect(location)

    async with guarded_client([f"127.0.0.1:{server.port}"]) as client:
        error = await failure(client, url=server.url)

    assert (error.code, error.is_retryable) == ("address-refused", False)


@pytest.mark.parametrize(
    "location", ["ftp://example.com/", "file:///etc/passwd", "http://x:99999/", "http://xn--/", f"/{'a' * 9000}"]
)
async def test_a_redirect_to_what_is_not_http_is_refused(
    client: httpx.AsyncClient, server: Server, location: str
) -> None:
    server.answer = lambda request: redirect(location)

    error = await failure(client, url=server.url)

    assert (error.code, error.is_retryable) == ("bad-url", False)


async def test_the_eleventh_redirect_is_one_too_many(client: httpx.AsyncClient, server: Server) -> None:
    def count_down(request: Received) -> bytes:
        left = int(request.target[1:])
        return redirect(f"/{left - 1}") if left else reply(200, b"end")

    server.answer = count_down

    assert (await run(client, url=f"{server.url}/10"))["body"] == "end"
    assert (await failure(client, url=f"{server.url}/11")).code == "too-many-redirects"


async def test_a_redirect_is_an_answer_where_it_is_asked_for(client: httpx.AsyncClient, server: Server) -> None:
    server.answer = lambda request: redirect("/elsewhere")

    expected = await run(client, url=server.url, expect=[302])
    unfollowed = await failure(client, url=server.url, follow_redirects=False)

    assert (expected["status"], expected["headers"]["location"]) == (302, "/elsewhere")
    assert (unfollowed.code, unfollowed.details["status"]) == ("http-status", 302)


# One client for everybody


async def test_cookies_are_not_kept_and_connections_are(client: httpx.AsyncClient, server: Server) -> None:
    server.answer = lambda request: reply(200, b"", set_cookie="session=1; Path=/")

    for _ in range(3):
        await run(client, url=server.url)

    assert server.connections == 1
    assert all("cookie" not in request.headers for request in server.received)
    assert not client.cookies.jar


async def test_no_more_connections_are_open_than_allowed_and_every_request_gets_its_turn(server: Server) -> None:
    open_at_once: set[asyncio.StreamWriter] = set()

    async def answer(request: Received) -> bytes:
        open_at_once.add(request.writer)
        return reply(200, b"turn")

    server.answer = answer
    async with guarded_client(["127.0.0.1"], max_connections=3) as client:
        outputs = await asyncio.gather(*(run(client, url=server.url) for _ in range(30)))

    assert [output["body"] for output in outputs] == ["turn"] * 30
    assert (server.connections, len(open_at_once)) == (3, 3)


async def test_an_idle_connection_makes_room_for_one_to_another_origin(server: Server) -> None:
    async with (
        serving(lambda request: reply(200, b"other")) as other,
        guarded_client(["127.0.0.1"], max_connections=1) as client,
    ):
        for _ in range(3):
            await run(client, url=server.url)
            assert (await run(client, url=other.url))["body"] == "other"

    assert (server.connections, other.connections) == (3, 3)


async def test_a_connection_that_the_server_has_closed_is_not_used_again(
    client: httpx.AsyncClient, server: Server
) -> None:
    for _ in range(3):
        await run(client, url=server.url)
        await server.hang_up()

    assert server.connections == 3


async def test_a_hundred_at_a_time_do_not_get_in_each_others_way(client: httpx.AsyncClient, server: Server) -> None:
    """httpcore's own pool needs half a minute for this."""
    async with asyncio.timeout(8):
        for _ in range(5):
            await asyncio.gather(*(run(client, url=server.url) for _ in range(100)))

    assert server.connections <= 100


async def test_cancelling_in_a_tls_handshake_closes_the_connection(client: httpx.AsyncClient) -> None:
    greeted, closed = asyncio.Event(), asyncio.Event()

    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        greeted.set()
        await reader.read()
        closed.set()
        writer.close()

    async with await asyncio.start_server(says_nothing, "127.0.0.1", 0) as listener:
        url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
        task = asyncio.create_task(run(client, url=url))
        await asyncio.wait_for(greeted.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(closed.wait(), 5)


async def test_credentials_of_netrc_are_not_sent(
    client: httpx.AsyncClient, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    await run(client, url=server.url)

    assert "authorization" not in server.received[0].headers


async def test_tls_is_checked_against_the_name_though_the_address_is_dialled(tmp_path: Path) -> None:
    names: list[str] = []
    ours, theirs = certificate_for("shop.example", tmp_path)
    theirs.sni_callback = lambda sock, name, context: names.append(name)

    async def loopback(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with (
        serving(lambda request: reply(200, request.headers["host"].encode()), tls=theirs) as server,
        guarded_client(["127.0.0.1"], resolver=loopback, verify=ours) as client,
    ):
        output = await run(client, url=f"https://shop.example:{server.port}/")
        error = await failure(client, url=f"https://other.example:{server.port}/")

    assert output["body"] == f"shop.example:{server.port}"
    assert names == ["shop.example", "other.example"]
    assert (error.code, "certificate" in str(error)) == ("http-connection", True)


def certificate_for(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's context that trusts a new self-signed certificate, and the server's that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder(
        subject, subject, key.public_key(), x509.random_serial_number(), now, now + timedelta(1)
    )
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    pem = built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(pem + private)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(folder / "both.pem")
    return ssl.create_default_context(cadata=pem.decode()), theirs
