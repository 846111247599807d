"""Who may watch, for how long, and how a socket ends."""

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from factories import chain, definition, edge, node
from recorder import Recorder
from stack import OWNER, STRANGER, Api, Process, free_port, until
from stepwire.auth.tokens import LEEWAY_SECONDS, mint
from watching import frames, stream, watching

WAITING = chain(node("d", "core.delay", {"duration": 60}))
GRACE_SECONDS = 10  # that a server has for requests in flight
PAUSING = chain(node("d", "core.delay", {"duration": 3.5}))


def ending_in(server: Api, seconds: int, owner: UUID = OWNER) -> str:
    """A token that is taken for so long, leeway included."""
    return mint(server.secret, owner, lifetime_seconds=seconds - LEEWAY_SECONDS, now=time.time())


async def test_a_session_that_is_renewed_outlives_its_first_token(server: Api) -> None:
    run = server.start(server.publish(PAUSING))
    headers = {"Authorization": f"Bearer {ending_in(server, 3)}"}
    async with watching(server, run["id"], additional_headers=headers) as socket:
        await socket.send(json.dumps({"type": "auth", "token": server.token()}))
        found, code = await frames(socket)

    assert (found[-1]["event"], code) == ("run.completed", 1000)


async def test_a_renewed_session_ends_with_the_token_that_renewed_it(server: Api) -> None:
    run = server.start(server.publish(WAITING))
    async with watching(server, run["id"]) as socket:
        await socket.send(json.dumps({"type": "auth", "token": ending_in(server, 3)}))
        found, code = await frames(socket)

    assert (found[-1]["problem"]["type"], code) == ("/problems/unauthenticated", 4401)


@pytest.mark.parametrize(
    ("message", "code", "kind"),
    [
        ({"type": "auth", "token": "another owner's"}, 4401, "invalid-token"),
        ({"type": "auth", "token": "x.y.z"}, 4401, "invalid-token"),
        ({"type": "auth", "token": 5}, 4400, "malformed-request"),
        ({"type": "auth"}, 4400, "malformed-request"),
    ],
)
async def test_a_renewal_that_cannot_be_believed_ends_the_session(
    server: Api, message: dict[str, Any], code: int, kind: str
) -> None:
    run = server.start(server.publish(WAITING))
    if message.get("token") == "another owner's":
        message = {**message, "token": server.token(STRANGER)}
    async with watching(server, run["id"]) as socket:
        await socket.send(json.dumps(message))
        found, closed = await frames(socket)

    assert (found[-1]["type"], found[-1]["problem"]["type"], closed) == ("error", f"/problems/{kind}", code)


async def test_a_ticket_opens_a_socket_once(server: Api) -> None:
    run = server.execute(chain(node("a")))
    ticket = server.http.post(f"/api/v1/runs/{run['id']}/socket-ticket").json()["ticket"]
    answers = []
    for _ in range(2):
        async with watching(server, run["id"], f"?ticket={ticket}", additional_headers={}) as socket:
            found, code = await frames(socket)
        answers.append((found[0]["type"], code))

    assert answers == [("snapshot", 1000), ("error", 4401)]


async def test_a_ticket_lasts_as_long_as_the_token_that_it_was_asked_for_with(server: Api) -> None:
    run = server.start(server.publish(WAITING))
    headers = {"Authorization": f"Bearer {ending_in(server, 4)}"}
    ticket = server.http.post(f"/api/v1/runs/{run['id']}/socket-ticket", headers=headers).json()["ticket"]
    async with watching(server, run["id"], f"?ticket={ticket}", additional_headers={}) as socket:
        _, code = await frames(socket)

    assert code == 4401


@pytest.mark.parametrize("token", ["not base64!", base64.b64encode(b"\xff\xfe").decode(), ""])
async def test_a_sub_protocol_that_holds_no_token_is_refused(server: Api, token: str) -> None:
    run = server.execute(chain(node("a")))
    protocols = ["stepwire.v1", "bearer." + token.replace("=", "").replace(" ", "").replace("/", "_")]
    async with watching(server, run["id"], additional_headers={}, subprotocols=protocols) as socket:
        assert socket.subprotocol == "stepwire.v1"
        found, code = await frames(socket)

    assert (found[0]["type"], code) == ("error", 4401)


@pytest.mark.parametrize(
    ("query", "code"), [("?after=" + "9" * 40, 4409), ("?after=1&after=2", 4400), ("?after=", 4400)]
)
async def test_a_place_to_go_on_from_is_one_number_that_the_run_has_reached(server: Api, query: str, code: int) -> None:
    run = server.execute(chain(node("a")))
    async with watching(server, run["id"], query) as socket:
        _, closed = await frames(socket)

    assert closed == code


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Content-Length: 3\r\n", b"400"),
        ("Transfer-Encoding: chunked\r\n", b"400"),
        ("".join(f"X-{number}: 1\r\n" for number in range(200)), b"431"),
    ],
)
async def test_a_handshake_that_is_none_is_answered(server: Api, headers: str, status: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(server.url).port)
    writer.write(
        f"GET /ws/runs/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{headers}\r\n".encode()
    )
    async with asyncio.timeout(10):
        said = await reader.read()
    writer.close()

    head, _, body = said.partition(b"\r\n\r\n")
    assert head.split()[1] == status
    assert json.loads(body)["instance"] == "/ws/runs/x"


async def test_a_token_may_be_as_long_as_over_http(server: Api) -> None:
    run = server.execute(chain(node("a")))
    token = f"{server.token()}{'x' * 40_000}"
    encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    async with watching(
        server, run["id"], additional_headers={}, subprotocols=["stepwire.v1", f"bearer.{encoded}"]
    ) as socket:
        found, code = await frames(socket)

    assert (found[0]["problem"]["type"], code) == ("/problems/invalid-token", 4401)


async def test_a_binary_message_is_ignored_unless_it_is_too_large(server: Api) -> None:
    run = server.start(server.publish(WAITING))
    async with watching(server, run["id"]) as socket:
        await socket.send(b"\x00\xff")
        await socket.send('{"type":"ping"}')
        while json.loads(await socket.recv())["type"] != "pong":
            continue
        await socket.send(b"x" * 4097)
        _, code = await frames(socket)

    assert code == 1009


@pytest.mark.parametrize("origin", ["http://localhost:5173", None])
async def test_a_page_of_an_allowed_origin_may_watch(server: Api, origin: str | None) -> None:
    run = server.execute(chain(node("a")))
    async with watching(server, run["id"], origin=origin or server.url) as socket:
        _, code = await frames(socket)

    assert code == 1000


async def test_a_retried_run_is_a_new_stretch_that_goes_on_where_the_last_one_ended(
    server: Api, recorder: Recorder
) -> None:
    recorder.answers.append((500, {}, {}))
    call = node("call", "http.request", {"url": recorder.url}, retry={"max_attempts": 1})
    run = server.start(server.publish(chain(call)))
    async with watching(server, run["id"], "?after=0") as socket:
        (_, *first), ended = await frames(socket)
    recorder.hold()
    server.http.post(f"/api/v1/runs/{run['id']}/retry")
    async with watching(server, run["id"], "?after=0") as socket:
        watching_it_all = asyncio.create_task(frames(socket))
        async with watching(server, run["id"], f"?after={first[-1]['seq']}") as other:
            recorder.let_go()
            (_, *second), _ = await frames(other)
    (_, *whole), code = await watching_it_all

    assert (first[-1]["event"], ended) == ("run.failed", 1000)
    assert (second[0]["event"], second[-1]["event"], code) == ("run.retried", "run.completed", 1000)
    assert first + second == whole


async def test_what_runs_in_a_container_is_summed_up_in_the_snapshot(server: Api, recorder: Recorder) -> None:
    recorder.answers += [(200, {}, {}), (500, {}, {})]
    config = {"items": "{{ input.list }}", "concurrency": 1, "on_item_error": "collect"}
    call = {
        **node("call", "http.request", {"url": f"{recorder.url}/{{{{ item }}}}"}, retry={"max_attempts": 1}),
        "parentId": "each",
    }
    raw = definition([node("each", "core.map", config), call, node("after")], [edge("each", "after")])
    run = server.start(server.publish(raw), {"list": [1, 2, 3, 4]})
    until(lambda: len(recorder.requests) >= 2, "two calls")
    recorder.hold()
    until(lambda: len(recorder.requests) >= 3, "the third call")
    async with watching(server, run["id"]) as socket:
        snapshot = json.loads(await socket.recv())
        recorder.let_go()
        await frames(socket)

    assert snapshot["step_statuses"] == {"each": "running", "after": "pending"}
    assert set(snapshot["maps"]) == {"each"}
    each = snapshot["maps"]["each"]
    assert (each["items"], each["failed"], each["running"]) == (4, 1, 1)


async def test_an_item_that_was_cut_off_is_neither_completed_nor_failed(server: Api) -> None:
    config = {"items": [0, 0, 3600, 3600, 3600], "concurrency": 2}
    rest = {**node("rest", "core.delay", {"duration": "{{ item }}"}), "parentId": "each"}
    run_id = server.start(server.publish(definition([node("each", "core.map", config), rest, node("last")])))["id"]
    until(lambda: waiting_items(server, run_id) == ["each[2].rest", "each[3].rest"], "the long ones")
    server.http.post(f"/api/v1/runs/{run_id}/cancel")
    server.finished(run_id)

    async with watching(server, run_id) as socket:
        snapshot = json.loads(await socket.recv())

    assert snapshot["maps"] == {"each": {"items": 5, "completed": 2, "failed": 0, "running": 0}}


async def test_a_container_whose_id_begins_like_an_item_of_another_one_is_summed_up_by_its_id(server: Api) -> None:
    containers = {"each": [1], "each[2]": [1, 2]}
    nodes = [
        each
        for name, items in containers.items()
        for each in (node(name, "core.map", {"items": items}), {**node(f"in {name}"), "parentId": name})
    ]
    run_id = server.execute(definition(nodes))["id"]

    async with watching(server, run_id) as socket:
        snapshot = json.loads(await socket.recv())

    assert {name: each["items"] for name, each in snapshot["maps"].items()} == {"each": 1, "each[2]": 2}


def waiting_items(server: Api, run_id: str) -> list[str]:
    steps = server.http.get(f"/api/v1/runs/{run_id}/steps").json()["items"]
    return sorted(step["step_id"] for step in steps if step["status"] == "waiting")


async def test_a_server_that_goes_away_says_so_and_another_goes_on(
    server: Api, server_environment: dict[str, str], tmp_path: Path
) -> None:
    environment = server_environment | {"STEPWIRE_PORT": str(free_port())}
    process = Process("api", environment, tmp_path / "api.log")
    leaving = Api(f"http://127.0.0.1:{environment['STEPWIRE_PORT']}", server.secret)
    await asyncio.to_thread(until, leaving.is_ready, "the API being ready")
    run = server.start(server.publish(WAITING))
    streaming = asyncio.create_task(asyncio.to_thread(stream, leaving, run["id"]))
    async with watching(leaving, run["id"], "?after=0") as socket:
        seen = [json.loads(await socket.recv())]
        began_at = time.monotonic()
        stopping = asyncio.create_task(asyncio.to_thread(process.stop))
        rest, code = await frames(socket)
        assert await stopping == 0
        took = time.monotonic() - began_at
    seen += rest
    with pytest.raises(httpx.RemoteProtocolError):  # it broke off: that was not the end of the run
        await streaming
    leaving.http.close()
    async with watching(server, run["id"], f"?after={seen[-1]['seq'] if len(seen) > 1 else 0}") as socket:
        server.http.post(f"/api/v1/runs/{run['id']}/cancel")
        (_, *after), ended = await frames(socket)

    assert (code, ended) == (1012, 1000)
    assert took < GRACE_SECONDS, "streams hold nothing up"
    assert [event["seq"] for event in seen[1:] + after] == list(range(1, len(seen) + len(after)))
