"""`stepwire run`: what it reads, how it ends, what it shows; and the examples, through a live server."""

import asyncio
import io
import itertools
import json
import os
import select
import socket
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stack import Api
from stepwire.cli import main
from stepwire.client.display import LineDisplay
from stepwire.client.errors import CouldNotStart
from stepwire.client.progress import duration
from stepwire.client.reading import read_job
from stepwire.client.stream import Disconnected, Event, Frame, Quiet, Snapshot
from stepwire.definition.validate import check
from stepwire.examples.demo import EXAMPLES, HERE
from stepwire.examples.service import running_service
from stepwire.steps.registry import load_registry

GRAPH: dict[str, Any] = {
    "nodes": [{"id": "hello", "type": "core.log", "data": {"config": {"message": "hi"}}}],
    "edges": [],
}
FAILING: dict[str, Any] = {
    "nodes": [{"id": "check stock", "type": "core.fail", "data": {"config": {"message": "nothing left"}}}],
    "edges": [],
}
INVALID: dict[str, Any] = {
    "nodes": [
        {"id": "one", "type": "core.nonsense", "data": {}},
        {"id": "two", "type": "core.log", "data": {"config": {"message": "{{ 1 + }}"}}},
    ],
    "edges": [{"id": "loose", "source": "one", "target": "nowhere"}],
}
AT = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def graph_file(tmp_path: Path) -> Path:
    return write(tmp_path, "hello.json", GRAPH)


def write(folder: Path, name: str, value: Any) -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def options(file: Any, given: str | None = None, name: str | None = None) -> Namespace:
    return Namespace(file=Path(file), input=given, name=name)


# What it reads


def test_a_bare_definition_is_named_after_its_file(graph_file: Path) -> None:
    job = read_job(options(graph_file))

    assert job.workflow == {"name": "hello", "definition": GRAPH}
    assert job.input == {}


def test_a_workflow_is_sent_as_it_is_unless_it_is_renamed(tmp_path: Path) -> None:
    workflow = {"name": "Greeting", "definition": GRAPH, "input_schema": {"type": "object"}, "version": 3}
    file = write(tmp_path, "w.json", workflow)

    assert read_job(options(file)).workflow == workflow
    assert read_job(options(file, name="Other")).workflow == {**workflow, "name": "Other"}


def test_input_comes_from_the_command_line_a_file_or_standard_input(graph_file: Path, tmp_path: Path) -> None:
    file = write(tmp_path, "input.json", "\ufeff" + '{"n": 2}')

    assert read_job(options(graph_file, '{"n": 1}')).input == {"n": 1}
    assert read_job(options(graph_file, f"@{file}")).input == {"n": 2}
    assert read_job(options(graph_file, "-"), lambda: '{"n": 3}').input == {"n": 3}
    assert read_job(options("-", '{"n": 4}'), lambda: json.dumps(GRAPH)).workflow["definition"] == GRAPH


def test_numbers_are_read_as_they_are_written(graph_file: Path) -> None:
    assert read_job(options(graph_file, '{"big": 123456789012345678901234567890, "one": 1.0}')).input == {
        "big": 123456789012345678901234567890,
        "one": 1.0,
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("[1]", "JSON object"),
        ("{x", "line 1, column 2"),
        ("NaN", "not JSON"),
        ('{"n": 1e999}', "not JSON"),
        ("@/nowhere/at/all", "No such file"),
        ("[" * 100_000, "is n"),
    ],
)
def test_an_input_that_is_none_is_explained(graph_file: Path, given: str, said: str) -> None:
    with pytest.raises(CouldNotStart, match=said):
        read_job(options(graph_file, given))


def test_standard_input_is_not_read_twice() -> None:
    with pytest.raises(CouldNotStart, match="both"):
        read_job(options("-", "-"), lambda: "{}")


# How it ends when nothing could be started


def run_here(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["run", *arguments])
    return int(ended.value.code or 0)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_no_connection_is_exit_code_2(graph_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run_here(str(graph_file), "--url", f"http://127.0.0.1:{closed_port()}", "--token", "t")

    captured = capsys.readouterr()
    assert code == 2
    assert "cannot be reached: Connection refused." in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [('{"nodes": [1,}', "is not JSON: "), ("[1]", "is neither a definition"), ('"text"', "is neither a definition")],
)
def test_a_file_of_another_kind_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    assert run_here(str(write(tmp_path, "f.json", content)), "--url", "http://127.0.0.1:1") == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "http://host:port"])
def test_what_is_no_url_is_exit_code_2(graph_file: Path, capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert run_here(str(graph_file), "--url", url, "--token", "t") == 2
    assert "is not the URL of a server" in capsys.readouterr().err


def test_no_file_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(str(tmp_path / "gone.json")) == 2
    assert "gone.json cannot be read: No such file or directory." in capsys.readouterr().err


def test_a_secret_of_this_machine_signs_nothing_for_another(
    graph_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("STEPWIRE_TOKEN", "SUPABASE_JWT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STEPWIRE_HOME", str(tmp_path))
    write(tmp_path, "jwt.secret", "s" * 40)

    assert run_here(str(graph_file), "--url", "http://stepwire.example.com") == 2
    assert "A token is needed" in capsys.readouterr().err


# What it shows


def event(number: int, name: str, step_id: str | None = None, after: float = 0.0, **data: Any) -> Event:
    return Event(seq=number, event=name, at=AT + timedelta(seconds=after), step_id=step_id, data=data)


def lines(*frames: Frame) -> list[str]:
    out = io.StringIO()
    with LineDisplay(out, UTC) as display:
        for frame in frames:
            display.show(frame)
    return out.getvalue().splitlines()


def test_every_event_that_matters_is_one_line() -> None:
    shown = lines(
        Snapshot(run_status="queued", seq=1, step_statuses={"fetch": "pending", "big?": "pending", "note": "pending"}),
        event(1, "run.queued"),
        event(2, "run.started"),
        event(3, "step.scheduled", "fetch", step_type="http.request", attempt=1),
        event(4, "step.started", "fetch", attempt=1),
        event(
            5, "step.retrying", "fetch", 0.5,
            attempt=1, error={"code": "http-status", "message": "answered 503"}, next_attempt_at="2026-03-02T12:00:01Z",
        ),
        event(6, "step.started", "fetch", 1, attempt=2),
        event(7, "step.completed", "fetch", 1.3, attempt=2, output={}, handles=["default"]),
        event(8, "step.completed", "big?", 1.3, attempt=1, output={"result": False}, handles=["false"]),
        event(9, "step.skipped", "note", 1.3),
        event(10, "run.completed", None, 61, output={}),
    )  # fmt: skip

    assert shown == [
        "12:00:00 run started, 3 steps",
        "12:00:00 fetch failed at attempt 1: answered 503; again in 0.5 s",
        "12:00:01 fetch completed in 1.3 s, attempt 2",
        "12:00:01 big? completed → false",
        "12:00:01 note skipped",
        "12:01:01 run completed",
    ]


def test_a_failure_says_whether_the_run_goes_on() -> None:
    error = {"code": "http-status", "message": "answered 404"}

    assert lines(event(1, "step.failed", "a", attempt=1, error=error, handles=["error"])) == [
        "12:00:00 a failed: answered 404; the run goes on"
    ]
    assert lines(event(1, "step.failed", "a", attempt=3, error=error, handles=[])) == [
        "12:00:00 a failed, attempt 3: answered 404"
    ]


def test_what_a_service_answers_cannot_write_on_the_terminal() -> None:
    (line,) = lines(
        event(1, "step.failed", "a", attempt=1, error={"code": "x", "message": "\x1b[2J\nroot#" + "x" * 9999})
    )

    assert line.isprintable()
    assert len(line) < 600


def test_a_lost_connection_is_said_once() -> None:
    again = Snapshot(run_status="running", seq=1, step_statuses={})
    shown = lines(Disconnected(reason="broken"), Disconnected(reason="not to be had"), again)

    assert [line[9:] for line in shown] == ["the connection is broken; connecting again", "connected again"]


def test_a_long_silence_is_explained() -> None:
    queued = lines(Quiet())
    running = lines(event(1, "run.started"), event(2, "step.started", "slow", attempt=1), Quiet())

    assert queued[0].endswith("run queued; no worker has taken it up yet")
    assert running[-1].endswith("still running: slow")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "1 ms"), (0.0304, "30 ms"), (0.31, "0.3 s"), (125, "2 min 5 s"), (7260, "2 h 1 min")]
)
def test_times_read_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


# Against a live server


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str


async def run_there(server: Api, *arguments: str, url: str | None = None, stdin: str = "", token: str = "") -> Ended:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stepwire", "run", *arguments, "--url", url or server.url,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "STEPWIRE_TOKEN": token or server.token()},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_valid_as_it_is(example: Any) -> None:
    read = json.loads((HERE / f"{example.name}.json").read_text())

    assert check(read.get("definition", read), load_registry()).issues == ()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
async def test_an_example_completes_and_makes_its_calls(server: Api, example: Any) -> None:
    given = json.loads((HERE / "inputs" / f"{example.input}.json").read_text())

    with running_service() as service:
        value = json.dumps({**given, "service_url": service.url})
        ended = await run_there(server, str(HERE / f"{example.name}.json"), "--input", "-", stdin=value)

    assert ended.code == 0, ended.err
    assert tuple(service.calls) == example.calls
    assert len(ended.out.splitlines()) == 1
    assert isinstance(json.loads(ended.out), dict)


async def test_a_failed_run_is_exit_code_1_and_names_the_step(server: Api, tmp_path: Path) -> None:
    ended = await run_there(server, str(write(tmp_path, "f.json", FAILING)))

    assert ended.code == 1
    assert "failed at step 'check stock': nothing left (failed-on-purpose)" in ended.err.splitlines()[-1]
    assert ended.out == ""


async def test_an_invalid_definition_is_exit_code_2_with_every_issue_at_its_place(server: Api, tmp_path: Path) -> None:
    ended = await run_there(server, str(write(tmp_path, "i.json", INVALID)))

    assert ended.code == 2
    for place in ("edge loose: ", "node one, /data/step_type: ", "node two, /data/config/message, column "):
        assert f"\n  {place}" in ended.err


async def test_an_input_that_does_not_fit_is_exit_code_2(server: Api, tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["n"]}
    file = write(tmp_path, "w.json", {"name": "w", "definition": GRAPH, "input_schema": schema})

    ended = await run_there(server, str(file), "--input", "{}")

    assert ended.code == 2
    assert 'The property "n" is required' in ended.err


async def test_a_refused_token_is_exit_code_2(server: Api, graph_file: Path) -> None:
    ended = await run_there(server, str(graph_file), token="not.a.token")

    assert ended.code == 2
    assert "refuses the token" in ended.err


async def test_the_same_idempotency_key_shows_the_first_run_again(server: Api, graph_file: Path) -> None:
    key = ("--idempotency-key", f"run-client-{os.urandom(8).hex()}")

    first = await run_there(server, str(graph_file), *key)
    again = await run_there(server, str(graph_file), *key)

    assert (first.code, again.code) == (0, 0)
    assert first.out == again.out
    assert "started before" in again.err
    assert first.err.split()[1] == again.err.split()[1]


async def test_a_connection_that_breaks_loses_and_doubles_nothing(server: Api, tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(30)]
    nodes = [{"id": name, "type": "core.delay", "data": {"config": {"duration": 0.05}}} for name in names]
    edges = [{"id": a + b, "source": a, "target": b} for a, b in itertools.pairwise(names)]
    file = write(tmp_path, "chain.json", {"nodes": nodes, "edges": edges})

    with cutting_proxy(server.url, after_bytes=800, cuts=3) as url:
        ended = await run_there(server, str(file), url=url)

    assert ended.code == 0, ended.err
    assert ended.err.count("connected again") == 3
    assert [line.split()[1] for line in ended.err.splitlines() if " completed in " in line] == names


@contextmanager
def cutting_proxy(url: str, *, after_bytes: int, cuts: int) -> Iterator[str]:
    """The server behind a network that resets its first WebSockets in the middle of a frame."""
    host, _, port = url.removeprefix("http://").partition(":")
    left = [cuts]
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=pass_on, args=(client,), daemon=True).start()

        def pass_on(client: socket.socket) -> None:
            with closing(client), closing(socket.create_connection((host, int(port)))) as upstream, suppress(OSError):
                request = client.recv(65536)
                upstream.sendall(request)
                is_doomed = request.startswith(b"GET /ws/") and left[0] > 0
                left[0] -= is_doomed
                room = after_bytes
                while True:
                    ready, _, _ = select.select([client, upstream], [], [])
                    for source in ready:
                        data = source.recv(room if is_doomed and source is upstream else 65536)
                        if not data:
                            return
                        (upstream if source is client else client).sendall(data)
                        room -= len(data) if source is upstream else 0
                        if is_doomed and room <= 0:
                            return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_frames_are_read_as_the_server_writes_them() -> None:
    text = b'{"type":"event","seq":2,"event":"run.started","run_id":"x","step_id":null,"data":{},"at":"2026-03-02T12:00:00Z"}'

    assert msgspec.json.decode(text, type=Event) == event(2, "run.started")
