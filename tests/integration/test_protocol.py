"""A client gets so much time and so much room, and no more; over real sockets, with the limits set low."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from stack import free_port
from stepwire import protocol
from stepwire.protocol import BoundedProtocol, Crowd

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER = b"x" * (32 << 20)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body and answers with much for ``/much``, else with little."""
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        pass
    body = ANSWER if scope["path"] == "/much" else b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def crowd() -> Crowd:
    return Crowd(max_connections=8)


@pytest.fixture
async def connect(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    """Connect to a server whose patience is half a second."""
    for limit in ("HEAD_SECONDS", "BODY_SECONDS", "STALL_SECONDS", "IDLE_SECONDS"):
        monkeypatch.setattr(protocol, limit, 0.5)
    monkeypatch.setattr(protocol, "MAX_HELD_BYTES", 100_000)
    kind = type("Protocol", (BoundedProtocol,), {"crowd": crowd})
    config = uvicorn.Config(application, http=kind, ws="none", lifespan="off", log_config=None, port=free_port())
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    writers: list[asyncio.StreamWriter] = []
    while not server.started:
        await asyncio.sleep(0.01)

    async def open_one() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", config.port, limit=1 << 16)
        writers.append(writer)
        return reader, writer

    yield open_one
    for writer in writers:
        writer.close()
    server.should_exit = True
    await serving
    assert crowd.held_bytes == 0
    assert not crowd._open
    assert not crowd._waiting


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """What is said until the end; a reset is one too."""
    said = b""
    try:
        async with asyncio.timeout(20):
            while received := await reader.read(1 << 20):
                said += received
    except ConnectionResetError:
        pass
    return said


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
async def test_a_client_that_asks_for_nothing_is_let_go(connect: Connect, sent: bytes) -> None:
    reader, writer = await connect()
    writer.write(sent)

    assert await all_of(reader) == b""


@pytest.mark.parametrize("sent", [GET[:10], HEAD[:-2], HEAD, HEAD + b"x"])
async def test_a_request_that_does_not_end_is_told_so(connect: Connect, sent: bytes) -> None:
    reader, writer = await connect()
    writer.write(sent)
    said = await all_of(reader)

    assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["type"] == "/problems/request-timeout"


async def test_a_byte_now_and_then_buys_no_time(connect: Connect) -> None:
    reader, writer = await connect()
    ended = asyncio.create_task(all_of(reader))
    for byte in HEAD * 100:
        writer.write(bytes([byte]))
        if (await asyncio.wait([ended], timeout=0.1))[0]:
            break

    assert (await ended).startswith(b"HTTP/1.1 408")


async def test_a_connection_may_be_used_again_for_a_while(connect: Connect) -> None:
    reader, writer = await connect()
    for _ in range(3):
        writer.write(GET)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")

    assert await all_of(reader) == b""


async def test_an_answer_that_is_not_taken_is_not_kept(connect: Connect, crowd: Crowd) -> None:
    reader, writer = await connect()
    writer.write(GET.replace(b"/", b"/much", 1))
    await reader.read(1)
    async with asyncio.timeout(20):
        while crowd._open:
            await asyncio.sleep(0.02)

    assert len(await all_of(reader)) < len(ANSWER)


async def test_the_one_that_waited_longest_makes_room_for_a_new_one(connect: Connect) -> None:
    slow = [await connect() for _ in range(8)]
    for _, writer in slow:
        writer.write(HEAD)
    reader, writer = await connect()
    writer.write(GET)

    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    assert await all_of(slow[0][0]) == b""


async def test_bodies_that_are_still_arriving_share_a_limit(connect: Connect, crowd: Crowd) -> None:
    endless = HEAD.replace(b"1000", b"50000")
    slow = [await connect() for _ in range(4)]
    for _, writer in slow:
        writer.write(endless + b"x" * 40_000)
    ends = [await all_of(reader) for reader, _ in slow]

    assert [said.startswith(b"HTTP/1.1 408") for said in ends].count(False) == 2, "two were dropped at once"


async def test_requests_behind_one_another_have_an_end(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(GET * 5000)
    said = await all_of(reader)

    assert 0 < said.count(b"HTTP/1.1 200") <= protocol.MAX_PIPELINED + 1
