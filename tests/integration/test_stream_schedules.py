"""Whatever becomes of messages and connections, whoever watches ends with every event, once, in order."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from factories import chain, node
from stack import Api
from stepwire.db.pool import Pool
from stepwire.db.session import open_database
from stepwire.services import feeds, overview
from stepwire.services.feeds import Feeds
from stepwire.services.intake import open_intake
from stepwire.services.live import RunStream
from stepwire.services.overview import Overviews, Wanted
from stepwire.services.runs import RunService, Workflows
from stepwire.signals.connection import open_redis
from stepwire.signals.live import Announcement, Announcer, EventFrame, LiveHub, RunChange, channel, owner_channel
from stepwire.signals.queue import open_queue
from stepwire.signals.wake import Waker
from stepwire.steps.registry import load_registry

LOOK_SECONDS = 0.05
REGISTRY = load_registry()
Fate = Literal["heard", "doubled", "lost", "bare", "garbled"]
Fault = Literal["nothing", "valkey cut", "valkey flushed", "postgres cut"]


@dataclass
class Write:
    """A commit of some events, what becomes of its messages, and how many later ones overtake them."""

    events: list[str]
    fate: Fate
    delay: int
    fault: Fault


WRITES = st.lists(
    st.builds(
        Write,
        events=st.lists(st.sampled_from(["step.started", "step.completed", "run.paused", "run.resumed"]), min_size=1, max_size=4),
        fate=st.sampled_from(["heard", "heard", "heard", "doubled", "lost", "bare", "garbled"]),
        delay=st.sampled_from([0, 0, 0, 1, 2, 4]),
        fault=st.sampled_from(["nothing"] * 12 + ["valkey cut", "valkey flushed", "postgres cut"]),
    ),
    min_size=1,
    max_size=10,
)  # fmt: skip
# When a client comes (before which write), and after how many frames it leaves and comes back, each time.
CLIENTS = st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(1, 6), max_size=3)), min_size=1, max_size=4)


# What is kept of a run, read at once, and kept for a list's watcher: little enough to be short of, and as it is.
SIZES = st.fixed_dictionaries(
    {
        "stepwire.services.feeds.TAIL_BYTES": st.sampled_from([0, 300, feeds.TAIL_BYTES]),
        "stepwire.services.feeds.PAGE": st.sampled_from([1, 3, feeds.PAGE]),
        "stepwire.services.overview.QUEUED_BYTES": st.sampled_from([0, overview.QUEUED_BYTES]),
    }
)


# redis-py drops a connection that is cut while it is made without closing its stream; the next look for garbage does.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@given(writes=WRITES, clients=CLIENTS, sizes=SIZES)
@example(  # a list's watcher is behind with events that its filter has, and with one in between that it has not
    writes=[Write(["run.paused", "run.resumed", "run.resumed"], "heard", 0, "nothing")],
    clients=[(0, [])],
    sizes={"stepwire.services.overview.QUEUED_BYTES": 0},
)
@settings(max_examples=settings.default.max_examples // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whoever_watches_gets_every_event_once_and_in_order(
    workflow_id: UUID,
    services: dict[str, str],
    writes: list[Write],
    clients: list[tuple[int, list[int]]],
    sizes: dict[str, int],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, size in sizes.items():
            patch.setattr(name, size)
        asyncio.run(play(services, workflow_id, writes, clients))
    gc.collect()


@pytest.fixture(scope="module")
def workflow_id(server: Api) -> UUID:
    return UUID(server.publish(chain(node("a"))))


async def play(
    services: dict[str, str], workflow_id: UUID, writes: list[Write], clients: list[tuple[int, list[int]]]
) -> None:
    async with world(services, workflow_id) as run:
        listing = asyncio.create_task(run.list_client(Wanted()))
        filtered = asyncio.create_task(run.list_client(Wanted(statuses=frozenset({"paused", "completed"}))))
        await run.are_listed.wait()
        watching = []
        for number, write in enumerate(writes):
            watching += [asyncio.create_task(run.client(leaves)) for comes, leaves in clients if comes == number]
            await run.write(write, is_last=number == len(writes) - 1)
        watching += [asyncio.create_task(run.client(leaves)) for comes, leaves in clients if comes >= len(writes)]
        await run.deliver(all_of_them=True)
        async with asyncio.timeout(20):
            seen = await asyncio.gather(*watching)
            listed, kept = await listing, await filtered

    assert seen == [run.texts] * len(clients)
    whole = [text for text in run.texts[1:] if '"step_id":null' in text]
    assert listed == whole
    befores = [None, *whole]  # by their events: what pauses the run, what follows on that, and its end
    assert kept == [text for before, text in zip(befores, whole, strict=False) if _pauses(before) or not _resumes(text)]


def _pauses(text: str | None) -> bool:
    return text is not None and '"event":"run.paused"' in text


def _resumes(text: str) -> bool:
    return '"event":"run.resumed"' in text


class Run:
    """A run that the test drives by hand, committing to the real journal and announcing over the real Valkey."""

    def __init__(
        self, pool: Pool, redis: Redis, owner: UUID, workflow_id: UUID, stream: RunStream, overviews: Overviews
    ) -> None:
        self.id, self.owner, self.workflow_id = uuid4(), owner, workflow_id
        self.texts: list[str] = []
        self.are_listed = asyncio.Event()
        self._to_be_listed = 2
        self._pool, self._redis, self._stream, self._overviews = pool, redis, stream, overviews
        self._told = 1
        self._late: list[tuple[int, list[tuple[str, bytes]]]] = []

    async def begin(self) -> None:
        await self._pool.execute(
            "INSERT INTO run (id, owner_id, workflow_id, workflow_version, status, trigger_type, seq) "
            "VALUES ($1, $2, $3, 1, 'running', 'manual', 0)", self.id, self.owner, self.workflow_id,
        )  # fmt: skip
        await self._commit(["run.queued"])

    async def write(self, write: Write, *, is_last: bool) -> None:
        await self._break(write.fault)
        first = len(self.texts) + 1
        await self._commit([*write.events, "run.completed"] if is_last else write.events)
        self._late = [(left - 1, messages) for left, messages in self._late]
        messages = self._messages(first, is_last)
        if write.fate in ("bare", "garbled"):
            messages = [(name, self._bare(name, first) if write.fate == "bare" else b"\xff{") for name, _ in messages]
        times = {"lost": 0, "doubled": 2}.get(write.fate, 1)
        self._late += [(write.delay, messages)] * times
        await self.deliver()

    async def deliver(self, *, all_of_them: bool = False) -> None:
        due = [messages for left, messages in self._late if left <= 0 or all_of_them]
        self._late = [(left, messages) for left, messages in self._late if left > 0]
        for messages in due:
            for name, message in messages:
                with contextlib.suppress(OSError):
                    await self._redis.publish(name, message)
        await asyncio.sleep(0)

    async def client(self, leaves: Sequence[int]) -> list[str]:
        """All events that a client is sent, which comes back with the last one's number each time it has left."""
        found: list[str] = []
        for frames_until_it_leaves in [*leaves, None]:
            async with contextlib.AsyncExitStack() as stack:
                opened = await again(lambda stack=stack: self._stream.open(stack, self.owner, self.id, len(found)))
                left = frames_until_it_leaves
                async for framed in opened.frames:
                    if framed.text.startswith('{"type":"event"'):
                        found.append(framed.text)
                    left = None if left is None else left - 1
                    if left == 0:
                        break
        return found

    async def list_client(self, wanted: Wanted) -> list[str]:
        found: list[str] = []
        async with contextlib.AsyncExitStack() as stack:
            frames = await self._overviews.open(stack, self.owner, wanted)
            async for framed in frames:
                if framed.text.startswith('{"type":"snapshot"'):
                    self._to_be_listed -= 1
                    if not self._to_be_listed:
                        self.are_listed.set()
                if str(self.id) not in framed.text or not framed.text.startswith('{"type":"event"'):
                    continue
                found.append(framed.text)
                if '"run.completed"' in framed.text:
                    break
        return found

    async def _commit(self, events: list[str]) -> None:
        rows = []
        for event in events:
            seq = len(self.texts) + 1
            step_id = None if event.startswith("run.") else "a"
            data = f'{{"n":{seq}}}'
            frame = EventFrame(seq, event, self.id, step_id, msgspec.Raw(data.encode()), datetime.now(UTC))
            self.texts.append(msgspec.json.encode(frame).decode())
            rows.append((self.id, seq, event, step_id, data, frame.at))
        status = "completed" if events[-1] == "run.completed" else "running"

        async def commit() -> None:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.executemany(
                    "INSERT INTO run_event (run_id, seq, event, step_id, data, at) VALUES ($1, $2, $3, $4, $5, $6)",
                    rows,
                )
                await connection.execute(
                    "UPDATE run SET seq = $2, status = $3 WHERE id = $1", self.id, rows[-1][1], status
                )

        await again(commit)

    def _messages(self, first: int, is_final: bool) -> list[tuple[str, bytes]]:
        frames = [msgspec.Raw(text.encode()) for text in self.texts[first - 1 :]]
        last = len(self.texts)
        announced = msgspec.json.encode(Announcement(first, last, is_final, frames))
        whole = [frame for frame in frames if b'"step_id":null' in bytes(frame)]
        if not whole:
            return [(channel(self.id), announced)]
        change = msgspec.json.encode(RunChange(self.id, self.workflow_id, self._told, last, whole))
        self._told = last
        return [(channel(self.id), announced), (owner_channel(self.owner), change)]

    def _bare(self, name: str, first: int) -> bytes:
        if name == channel(self.id):
            return msgspec.json.encode(Announcement(first, len(self.texts)))
        return msgspec.json.encode(RunChange(self.id, self.workflow_id))

    async def _break(self, fault: Fault) -> None:
        if fault == "valkey flushed":
            await self._redis.flushall()
        if fault.startswith("valkey"):
            await self._redis.client_kill_filter(_type="pubsub", skipme=True)
        if fault == "postgres cut":
            await again(
                lambda: self._pool.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'stepwire' AND pid <> pg_backend_pid()"
                )
            )


async def again(attempt: Any) -> Any:
    """What a client does whose connection broke."""
    for _ in range(50):
        with contextlib.suppress(Exception):
            return await attempt()
        await asyncio.sleep(0.01)
    return await attempt()


@contextlib.asynccontextmanager
async def world(services: dict[str, str], workflow_id: UUID) -> AsyncIterator[Run]:
    """What an API process has for its streams."""
    async with (
        open_database(services["DATABASE_URL"], timeout=10) as database,
        open_redis(services["REDIS_URL"]) as redis,
    ):
        owner = await database.pool.fetchval("SELECT owner_id FROM workflow WHERE id = $1", workflow_id)
        hub = LiveHub(redis)
        watched = Feeds(database.pool, hub, LOOK_SECONDS)
        workflows = Workflows(database, REGISTRY)
        runs = RunService(
            database, workflows, open_intake(database.pool, Waker(open_queue(redis)), Announcer(redis)), 1024
        )
        overviews = Overviews(database.pool, hub, runs, LOOK_SECONDS)
        tasks = [asyncio.create_task(each) for each in (hub.listen(), watched.run(), overviews.run())]
        run = Run(database.pool, redis, owner, workflow_id, RunStream(database.pool, watched, workflows), overviews)
        await run.begin()
        try:
            yield run
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
