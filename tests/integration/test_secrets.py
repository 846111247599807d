"""Secrets through the real API and worker: they reach the service that they are for, and nothing else."""

import asyncio
import base64
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote, quote_plus, unquote
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from websockets.sync.client import connect

from factories import NOW, chain, definition, edge, node
from recorder import Recorder
from served import Served, kill
from stack import OWNER, STRANGER, Api, Process, free_port, until
from stepwire.auth.encryption import Keyring, Unreadable, load_keyring
from stepwire.db.claims import ClaimedRun
from stepwire.db.pool import Pool, open_pool
from stepwire.db.webhooks import held_secret, target
from stepwire.definition.secrets import hook_place, webhook_place
from stepwire.definition.validate import check
from stepwire.embedded.home import encryption_key
from stepwire.embedded.postgres import EmbeddedPostgres
from stepwire.engine.facts import AttemptCompleted, AttemptFailed
from stepwire.engine.model import RunState
from stepwire.errors import EncryptionKeyMissing, InvalidSecret, SecretNotFound
from stepwire.log import configure_logging
from stepwire.runtime.children import Children
from stepwire.runtime.executor import Executor, Prepared
from stepwire.runtime.secrets import SecretReader
from stepwire.services.hooks import HookService
from stepwire.services.secrets import SecretService
from stepwire.settings import Settings
from stepwire.steps.base import BuiltIn, EffectContext, Outcome, StepFailed
from stepwire.steps.registry import StepRegistry

TOKEN = "tok_5f9d0c7e3b1a4882"
PASSWORD = 'p/ä s"w&rd\\%+9f2c'
OLD, NEW = bytes(range(32)), bytes(range(1, 33))


@pytest.fixture
async def pool(services: dict[str, str]) -> AsyncIterator[Pool]:
    async with open_pool(services["DATABASE_URL"], size=4) as pool:
        yield pool


@pytest.fixture
def secrets(pool: Pool, services: dict[str, str]) -> SecretService:
    return SecretService(pool, load_keyring(services["STEPWIRE_ENCRYPTION_KEY"]))


def asking(recorder: Recorder, path: str = "/") -> dict[str, Any]:
    return node("ask", "http.request", {"url": recorder.url + path, "headers": {"X-Key": "{{ secrets.key }}"}})


def failed_step(server: Api, run: dict[str, Any], step_id: str) -> dict[str, Any]:
    steps = server.http.get(f"/api/v1/runs/{run['id']}/steps").json()["items"]
    return dict(next(step["error"] for step in steps if step["step_id"] == step_id))


def leaks(text: str) -> list[str]:
    """What is in a text that must not be, in any of its usual spellings."""
    spellings = [
        TOKEN, base64.b64encode(TOKEN.encode()).decode(), base64.b64encode(f"me:{TOKEN}".encode()).decode()[6:24],
        PASSWORD, json.dumps(PASSWORD)[1:-1], json.dumps(PASSWORD, ensure_ascii=False)[1:-1], quote(PASSWORD),
        quote_plus(PASSWORD), repr(PASSWORD)[1:-1], base64.b64encode(PASSWORD.encode()).decode()[:20],
    ]  # fmt: skip
    return [spelling for spelling in spellings if spelling in text]


async def everything_stored(pool: Pool) -> str:
    """Every column of every row of every table, as text; bytes as they are, besides."""
    tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [row for table in tables for row in await pool.fetch(f'SELECT t::text, t.* FROM "{table[0]}" AS t')]
    octets = [value.decode("latin-1") for row in rows for value in row.values() if isinstance(value, bytes)]
    return "\n".join([*(row[0] for row in rows), *octets])


async def test_secrets_reach_the_service_and_nothing_else(
    server: Api, recorder: Recorder, secrets: SecretService, pool: Pool, workplace: Path
) -> None:
    await secrets.set(OWNER, "token", TOKEN)
    await secrets.set(OWNER, "password", PASSWORD)
    echo = {
        "token": TOKEN, PASSWORD: [f"Bearer {TOKEN}", {"deep": PASSWORD}], "sent": json.dumps({"p": PASSWORD}),
        "basic": base64.b64encode(f"me:{TOKEN}".encode()).decode(), "url": f"/x?p={quote_plus(PASSWORD)}", "ok": 1,
    }  # fmt: skip
    recorder.answers = [(503, {"x-echo": TOKEN}, echo), (200, {"x-echo": TOKEN}, echo), (400, {}, echo)]
    credentials = "{{ base64.encode(bytes('me:' + secrets.token)) }}"
    request = {
        "url": recorder.url + "/{{ secrets.token }}",
        "method": "POST",
        "query": {"p": "{{ secrets.password }}"},
        "headers": {"Authorization": "Bearer {{ secrets.token }}", "X-Basic": f"Basic {credentials}"},
        "json": {"password": "{{ secrets.password }}", "order": "{{ input.order }}"},
    }
    drawn = definition(
        [
            node("shape", "core.transform", {"values": {"a": "-{{ secrets.token }}-", "b": "{{ [secrets.password] }}"}}),
            node("is", "core.condition", {"expression": f"{{{{ secrets.token == '{TOKEN[:4]}' + '{TOKEN[4:]}' }}}}"}),
            node("call", "http.request", request, retry={"max_attempts": 2, "initial_interval": 0.01}),
            node("again", "http.request", request),
            node("note", "core.log", {"message": "{{ steps.shape.output }} {{ steps.call }} {{ steps.again.error }}"}),
            node("bad", "core.transform", {"values": {"a": "{{ int(secrets.token) }}"}}, on_error="continue"),
            node("stop", "core.fail", {"message": "{{ secrets.password }} is wrong"}),
        ],
        [
            edge("shape", "is"), edge("is", "call", "true"), edge("call", "again"), edge("again", "note", "error"),
            edge("note", "bad"), edge("bad", "stop"),
        ],
    )  # fmt: skip

    run = server.start(server.publish(drawn), {"order": 7})
    url, authorization = f"{server.url.replace('http', 'ws')}/ws/runs/{run['id']}", f"Bearer {server.token()}"
    with connect(f"{url}?after=0", proxy=None, additional_headers={"Authorization": authorization}) as socket:
        frames = [str(frame) for frame in socket]
    run = server.finished(run["id"])

    assert (run["status"], run["error"]["code"], run["error"]["message"]) == (
        "failed",
        "failed-on-purpose",
        "*** is wrong",
    )
    assert [sent.headers["authorization"] for sent in recorder.requests] == [f"Bearer {TOKEN}"] * 3
    assert json.loads(recorder.requests[0].body) == {"password": PASSWORD, "order": 7}
    assert recorder.requests[0].path == f"/{TOKEN}?p={quote_plus(PASSWORD)}"

    steps = run["context"]["steps"]
    assert steps["shape"]["output"] == {"a": "-***-", "b": ["***"]}
    assert steps["is"]["output"] == {"result": True}
    assert steps["call"]["output"]["headers"]["x-echo"] == "***"
    assert steps["call"]["output"]["body"]["***"] == ["Bearer ***", {"deep": "***"}]
    assert steps["call"]["output"]["body"]["ok"] == 1
    assert steps["again"]["error"]["code"] == "http-status"
    listed = server.http.get(f"/api/v1/runs/{run['id']}/steps").json()["items"]
    shown = next(step["input"] for step in listed if step["step_id"] == "call")
    assert shown["headers"] == {"Authorization": "Bearer ***", "X-Basic": "Basic ***"}
    assert shown["json"] == {"password": "***", "order": 7}

    answers = [server.http.get(f"/api/v1/runs/{run['id']}{path}").text for path in ("", "/steps", "/events")]
    logs = [log.read_text() for log in workplace.glob("**/*.log")]
    assert len(frames) == 1 + len(server.events(run["id"]))
    assert "step.retrying" in "".join(frames)
    assert leaks("\n".join([await everything_stored(pool), *frames, *answers, *logs])) == []


async def test_each_owner_has_secrets_of_their_own(server: Api, recorder: Recorder, secrets: SecretService) -> None:
    await secrets.set(OWNER, "key", "the owner's")
    await secrets.set(STRANGER, "key", "the stranger's")
    server.execute(chain(asking(recorder)))

    assert [sent.headers["x-key"] for sent in recorder.requests] == ["the owner's"]
    assert [secret.name for secret in await secrets.all(STRANGER)] == ["key"]
    await secrets.delete(STRANGER, "key")
    assert "key" in [secret.name for secret in await secrets.all(OWNER)]


async def test_a_missing_secret_fails_the_step_by_name_and_a_retry_finds_it(
    server: Api, recorder: Recorder, secrets: SecretService
) -> None:
    name = f"late_{uuid4().hex}"
    step = node("ask", "http.request", {"url": recorder.url, "headers": {"X-Key": f"{{{{ secrets.{name} }}}}"}})
    run = server.execute(chain(step))
    error = failed_step(server, run, "ask")
    await secrets.set(OWNER, name, "here now")
    assert server.http.post(f"/api/v1/runs/{run['id']}/retry").status_code == 202
    again = server.finished(run["id"])

    assert (run["status"], error["code"]) == ("failed", "secret-missing")
    assert repr(name) in error["message"]
    assert (again["status"], [sent.headers["x-key"] for sent in recorder.requests]) == ("completed", ["here now"])


async def test_a_changed_secret_is_seen_by_the_next_attempt(
    server: Api, recorder: Recorder, secrets: SecretService
) -> None:
    workflow = server.publish(chain(asking(recorder)))
    for value in ("first value", "second value"):
        await secrets.set(OWNER, "key", value)
        server.finished(server.start(workflow)["id"])

    assert [sent.headers["x-key"] for sent in recorder.requests] == ["first value", "second value"]


async def test_a_row_that_was_moved_is_not_read(
    server: Api, recorder: Recorder, secrets: SecretService, pool: Pool
) -> None:
    await secrets.set(STRANGER, "key", "the stranger's")
    await secrets.set(OWNER, "key", "the owner's")
    moved = (
        "UPDATE secret SET value = other.value FROM secret AS other WHERE secret.owner_id = $1 AND secret.name = 'key'"
    )
    await pool.execute(f"{moved} AND other.owner_id = $2 AND other.name = 'key'", OWNER, STRANGER)
    run = server.execute(chain(asking(recorder)))

    error = failed_step(server, run, "ask")
    assert (run["status"], error["code"], recorder.requests) == ("failed", "secret-unreadable", [])
    assert "'key'" in error["message"]


async def forget_all(pool: Pool) -> None:
    """What other tests made is under a key of its own."""
    await pool.execute("DELETE FROM secret")
    await pool.execute("DELETE FROM hook")
    await pool.execute("UPDATE workflow SET webhook_secret = NULL, previous_webhook_secret = NULL")


async def test_signing_secrets_go_with_the_key(pool: Pool, server: Api) -> None:
    await forget_all(pool)
    old, new = Keyring([OLD]), Keyring([NEW])
    workflow_id = UUID(server.create(chain(node("a")))["id"])
    place = webhook_place(workflow_id)
    for secret in (b"the first one", b"the second one"):
        async with held_secret(pool, OWNER, workflow_id) as held:
            assert held is not None
            await held.replace(old.seal(secret, place), None)
    _, signing = await HookService(pool, old).put(OWNER, workflow_id, "https://example.com", ["run.failed"])

    counts = [await SecretService(pool, Keyring([NEW, OLD])).rotate() for _ in range(2)]

    found = await target(pool, workflow_id)
    hook = await pool.fetchval("SELECT secret FROM hook WHERE workflow_id = $1", workflow_id)
    assert counts == [2, 0]
    assert found is not None
    assert [new.open(each or b"", place) for each in (found.secret, found.previous)] == [
        b"the second one",
        b"the first one",
    ]
    assert new.open(hook, hook_place(workflow_id)).decode() == signing


async def test_the_key_can_be_changed_without_losing_a_secret(pool: Pool) -> None:
    owner = uuid4()
    await forget_all(pool)
    await SecretService(pool, Keyring([OLD])).set(owner, "key", "the value")
    with pytest.raises(StepFailed, match="'key' cannot be read"):
        await SecretReader(pool, Keyring([NEW])).read(owner, {"key"})
    with pytest.raises(Unreadable, match="'key'"):
        await SecretService(pool, Keyring([NEW])).rotate()

    both = Keyring([NEW, OLD])
    assert await SecretReader(pool, both).read(owner, {"key"}) == {"key": "the value"}
    assert [await SecretService(pool, both).rotate() for _ in range(2)] == [1, 0]
    assert await SecretReader(pool, Keyring([NEW])).read(owner, {"key"}) == {"key": "the value"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("1st", "long enough"),
        ("my-key", "long enough"),
        ("", "long enough"),
        ("key", "abc"),
        ("key", "x" * 50_000),
        ("key", "\ud800abcd"),
    ],
)
async def test_what_cannot_be_a_secret_is_refused(secrets: SecretService, name: str, value: str) -> None:
    with pytest.raises(InvalidSecret):
        await secrets.set(OWNER, name, value)


async def test_an_attempt_waits_for_its_secrets_while_the_database_is_away(
    secrets: SecretService, services: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    owner, key = uuid4(), load_keyring(services["STEPWIRE_ENCRYPTION_KEY"])
    await secrets.set(owner, "key", "the value")
    server, _, sockets = services["DATABASE_URL"].partition("?host=")
    road = tmp_path / "road"
    async with open_pool(f"{server}?host={quote(str(road), safe='')}", size=1) as pool:
        reading = asyncio.create_task(SecretReader(pool, key).read(owner, {"key"}))
        while "The database is away" not in caplog.text:
            await asyncio.sleep(0)
        road.symlink_to(unquote(sockets))

        assert await reading == {"key": "the value"}


@asynccontextmanager
async def unreadable(pool: Pool) -> AsyncIterator[None]:
    """Whoever reads a secret meanwhile waits."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE secret IN ACCESS EXCLUSIVE MODE")
        yield


async def test_waiting_for_secrets_counts_towards_the_steps_timeout(
    server: Api, secrets: SecretService, pool: Pool
) -> None:
    await secrets.set(OWNER, "key", "the value")
    async with unreadable(pool):
        drawn = chain(node("shape", "core.transform", {"values": {"a": "{{ secrets.key }}"}}, timeout=0.2))
        run = await asyncio.to_thread(server.execute, drawn)

    assert failed_step(server, run, "shape")["code"] == "timeout"


async def test_a_run_is_cancelled_while_its_step_waits_for_secrets(
    server: Api, secrets: SecretService, pool: Pool
) -> None:
    await secrets.set(OWNER, "key", "the value")
    async with unreadable(pool):
        run = server.start(server.publish(chain(node("note", "core.log", {"message": "{{ secrets.key }}"}))))
        until(lambda: "step.started" in [event["event"] for event in server.events(run["id"])], "the step's start")
        assert server.http.post(f"/api/v1/runs/{run['id']}/cancel").status_code == 202
        ended = server.finished(run["id"])

    assert ended["status"] == "cancelled"


async def test_a_worker_that_dies_while_it_reads_secrets_leaves_the_next_attempt_to_another(tmp_path: Path) -> None:
    served = Served(tmp_path)
    assert served.api is not None
    async with open_pool(EmbeddedPostgres(served.home).url, size=2) as pool:
        await SecretService(pool, load_keyring(encryption_key(served.home))).set(OWNER, "key", "the value")
        async with unreadable(pool):
            drawn = chain(node("shape", "core.transform", {"values": {"a": "<{{ secrets.key }}>"}}))
            run = served.api.start(served.api.publish(drawn))
            events = partial(served.api.events, run["id"])
            until(lambda: "step.started" in [event["event"] for event in events()], "the step's start")
            kill(served.child("worker"))
        ended = served.api.finished(run["id"])
    (step,) = served.api.http.get(f"/api/v1/runs/{run['id']}/steps").json()["items"]
    served.api.http.close()

    assert (ended["status"], ended["output"]) == ("completed", {"shape": {"a": "<***>"}})
    assert step["attempt"] == 2
    assert served.process.stop() == 0


async def test_there_is_nothing_to_delete_twice(secrets: SecretService) -> None:
    await secrets.set(OWNER, "passing", "the value")
    await secrets.delete(OWNER, "passing")

    with pytest.raises(SecretNotFound):
        await secrets.delete(OWNER, "passing")


# What the steps of others do with secrets


class Config(msgspec.Struct):
    key: str
    does: Literal["raise", "fail", "log", "answer"]


class Careless(BuiltIn):
    """Leaves its secret wherever it can."""

    type: ClassVar[str] = "test.careless"
    kind: ClassVar[Literal["effect"]] = "effect"
    title = description = ""
    config = Config

    async def execute(self, config: Config, context: EffectContext) -> Outcome:
        match config.does:
            case "raise":
                raise ValueError(f"{config!r} is wrong", {"key": config.key})
            case "fail":
                raise StepFailed(config.key, f"No {config.key}", details={config.key: [config.key]})
            case "log":
                context.log.error("The key is %s", config.key)
                logging.getLogger("somebody.else").error("%r", {"key": config.key})
                return Outcome()
            case _:
                return Outcome(output={"bytes": config.key.encode(), config.key: (config.key,)}, handles=(config.key,))


@pytest.fixture(params=["json", "console"])
def log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Where this process logs to, as a worker does."""
    path, root = tmp_path / "worker.txt", logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers = []
    with path.open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        configure_logging(Settings(log_format=request.param))
        yield path
    root.handlers[:], root.level = before


async def attempt(pool: Pool, keyring: Keyring | None, owner: UUID, does: str) -> Any:
    registry = StepRegistry([Careless()])
    plan = check(chain(node("a", "test.careless", {"key": "{{ secrets.password }}", "does": does})), registry).plan
    assert plan is not None
    run = ClaimedRun(
        id=uuid4(), owner_id=owner, workflow_id=uuid4(), workflow_version=1, status="running", trigger_type="manual",
        trigger=None, input={}, seq=1, fence=1, created_at=NOW, started_at=NOW,
    )  # fmt: skip
    async with httpx.AsyncClient() as http:
        executor = Executor(
            registry,
            http,
            Children(pool, None),
            SecretReader(pool, keyring),
            max_output_bytes=1 << 20,
            max_context_bytes=16 << 20,
            timeout_seconds=60,
        )
        prepared = executor.begin(run, plan, RunState(), "a", 1)
        assert isinstance(prepared, Prepared)
        assert prepared.started.input == {"key": "***", "does": does}
        return await executor.execute(run, prepared)


@pytest.mark.parametrize("does", ["raise", "fail", "log", "answer"])
async def test_a_careless_step_leaves_its_secret_nowhere(pool: Pool, log_file: Path, does: str) -> None:
    owner = uuid4()
    await SecretService(pool, Keyring([OLD])).set(owner, "password", PASSWORD)
    fact = await attempt(pool, Keyring([OLD]), owner, does)
    logging.getLogger().error("It is over: %s", TOKEN)

    assert isinstance(fact, AttemptFailed if does in ("raise", "fail") else AttemptCompleted)
    logged = log_file.read_text()
    assert leaks(logged) == [TOKEN], "what is logged outside of the attempt stays as it is"
    assert ("***" in logged) == (does in ("raise", "log"))
    assert leaks(msgspec.json.encode(fact).decode()) == []
    assert "***" in msgspec.json.encode(fact).decode() or does == "log"


async def test_a_worker_without_a_key_fails_the_step_and_says_why(pool: Pool) -> None:
    fact = await attempt(pool, None, OWNER, "answer")

    assert (type(fact), fact.code) == (AttemptFailed, "encryption-key-missing")
    assert "password" in fact.message
    with pytest.raises(EncryptionKeyMissing):
        await SecretService(pool, None).set(OWNER, "key", "long enough")


# The command


def stepwire(environment: dict[str, str], *arguments: str, value: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stepwire", *arguments], env={**os.environ, **environment}, input=value,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_worker_does_not_start_with_a_key_that_is_none(services: dict[str, str], tmp_path: Path) -> None:
    environment = {**services, "STEPWIRE_ENCRYPTION_KEY": "changeme", "STEPWIRE_PORT": str(free_port())}
    process = Process("worker", environment, tmp_path / "worker.log")

    assert process.popen.wait(60) == 78
    assert "STEPWIRE_ENCRYPTION_KEY is 32 random bytes" in process.log.read_text()
    assert "changeme" not in process.log.read_text()


def test_secrets_are_kept_by_hand_too(services: dict[str, str]) -> None:
    owner = ("--owner", str(uuid4()))
    made = [stepwire(services, "secret", "set", name, *owner, value="the value\n") for name in ("b", "a")]
    deleted = stepwire(services, "secret", "delete", "b", *owner)
    listed = stepwire(services, "secret", "list", *owner)
    again = stepwire(services, "secret", "delete", "b", *owner)

    assert [done.returncode for done in (*made, deleted, listed)] == [0] * 4, made
    assert listed.stdout == "a\n"
    assert (again.returncode, again.stderr) == (2, "stepwire: There is no secret 'b'.\n")


def test_the_embedded_owner_sets_a_secret_before_and_while_it_serves(tmp_path: Path, recorder: Recorder) -> None:
    home = {"STEPWIRE_HOME": str(tmp_path / "home"), "DATABASE_URL": "", "REDIS_URL": "", "STEPWIRE_ENCRYPTION_KEY": ""}
    owner = ("--owner", str(OWNER))
    before = stepwire(home, "secret", "set", "key", *owner, value="set before")
    served = Served(tmp_path)
    assert served.api is not None
    workflow = served.api.publish(chain(asking(recorder)))
    served.api.finished(served.api.start(workflow)["id"])
    during = stepwire(home, "secret", "set", "key", *owner, value="set meanwhile")
    served.api.finished(served.api.start(workflow)["id"])
    keys = f"{NEW.hex()},{(tmp_path / 'home' / 'encryption.key').read_text()}"
    rotated = stepwire({**home, "STEPWIRE_ENCRYPTION_KEY": keys}, "secret", "rotate")
    served.api.http.close()

    assert (rotated.returncode, rotated.stderr) == (0, "Encrypted anew: 1\n")
    assert (before.returncode, during.returncode) == (0, 0), (before.stderr, during.stderr)
    assert [sent.headers["x-key"] for sent in recorder.requests] == ["set before", "set meanwhile"]
    assert (tmp_path / "home" / "encryption.key").stat().st_mode & 0o777 == 0o600
    assert served.process.stop() == 0
