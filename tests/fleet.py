"""APIs and workers on a database of their own, to be killed and replaced one by one."""

import asyncio
import random
import signal
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import asyncpg
from redis import Redis

from audit import audit, left_jobs, left_over
from load import Load, World
from stack import Api, Process, free_port, until
from stepwire.db.migrate import migrate

LEASE_SECONDS = 1.0
UNTOLD = """
SELECT run_event.run_id FROM run_event JOIN run ON run.id = run_event.run_id
JOIN hook ON hook.workflow_id = run.workflow_id AND run_event.event = ANY(hook.events)
LEFT JOIN delivery ON delivery.run_id = run_event.run_id AND delivery.seq = run_event.seq
WHERE delivery.status IS DISTINCT FROM 'delivered'
"""


class Fleet:
    """``services`` is the environment that leads to a PostgreSQL and a Valkey; ``number`` is the Valkey's database."""

    def __init__(
        self, services: dict[str, str], folder: Path, *, apis: int, workers: int, number: int,
        own: Mapping[str, dict[str, str]] | None = None,
    ) -> None:  # fmt: skip
        """``own``: what is in the environment of some processes alone, by their names."""
        self._folder = folder
        self._own = own or {}
        self._services = services
        self.url = asyncio.run(_database(services["DATABASE_URL"]))
        self._loop = asyncio.Runner()
        self._database = self._loop.run(asyncpg.connect(self.url))
        self.redis = Redis.from_url(f"{services['REDIS_URL']}?db={number}")
        self.redis.flushdb()
        self._environment = services | {
            "DATABASE_URL": self.url,
            "REDIS_URL": f"{services['REDIS_URL']}?db={number}",
            "STEPWIRE_LEASE_SECONDS": str(LEASE_SECONDS),
            "STEPWIRE_GRACE_SECONDS": "0.2",
            "STEPWIRE_HTTP_ALLOW": "127.0.0.1",
            "STEPWIRE_LOG_FORMAT": "console",
        }
        migrate(self.url)
        self._ports = {f"api-{index}": free_port() for index in range(apis)}
        self.names = [*self._ports, *(f"worker-{index}" for index in range(workers))]
        self.processes = {name: self.start(name) for name in self.names}
        self.apis = [Api(f"http://127.0.0.1:{port}", services["SUPABASE_JWT_SECRET"]) for port in self._ports.values()]
        for api in self.apis:
            until(api.is_ready, "the API being ready")

    def start(self, name: str, die_at: str = "") -> Process:
        """``die_at`` as in the setting of that name."""
        command = name.partition("-")[0]
        more = {"STEPWIRE_DIE_AT": die_at, "STEPWIRE_PORT": str(self._ports.get(name, 1)), **self._own.get(name, {})}
        return Process(command, self._environment | more, self._folder / f"{name}.log")

    def replace(self, name: str, die_at: str = "") -> None:
        """Kill it, if it has not died by itself, and start it again."""
        self.processes[name].kill()
        self.processes[name] = self.start(name, die_at)

    def has_died(self, name: str) -> bool:
        """Whether it has, by its own hand: nobody asked it to end."""
        code = self.processes[name].popen.poll()
        assert code in (None, -signal.SIGKILL), f"{name} ended with {code}: {self.log_of(name)}"
        return code is not None

    def log_of(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()[-3000:]

    def harass(self, chance: random.Random, points: dict[str, list[str]]) -> str:
        """Bring back what has died, then kill something else, or have it die at a point that chance picks. Says what."""
        for each in self.names:
            if self.has_died(each):
                self.replace(each)
        name = chance.choice(self.names)
        where = ""
        if chance.random() < 0.5:
            where = f"{chance.choice(points[name.partition('-')[0]])}:{chance.randint(1, 20)}"
        self.replace(name, where)
        return f"{name} {where}".strip()

    def settle(self, load: Load, world: World) -> None:
        """Have everything end in peace, then check what came of it."""
        for name in self.names:  # some are still to die somewhere
            self.replace(name)
        self._wait_for_the_end()
        until(lambda: not left_jobs(self.redis), f"no job being left: {left_jobs(self.redis)}")
        load.followers.end()
        ends = {str(run["id"]): run["seq"] for run in self.fetch("SELECT id, seq FROM run")}
        for run_id, seen in load.followers.seen.items():
            assert seen == list(range(1, ends[run_id] + 1)), (
                f"the follower of {run_id} was sent {seen} of {ends[run_id]}"
            )
        until(self._has_told_all, "every end being told to its hook")
        told = {f"msg_{each['id'].hex}" for each in self.fetch("SELECT id FROM delivery")}
        assert told <= world.told, "a delivery is said to be taken that nobody has seen"
        keys = [key for _, key in world.calls]
        self.found = asyncio.run(audit(self.url, load.ends, keys, load.effects))
        assert load.late_calls() == {}

    def _has_told_all(self) -> bool:
        """Those that a killed worker had in hand are tried again after a minute, which is not waited for."""
        self.execute("UPDATE delivery SET next_at = now() WHERE next_at > now() + interval '1 second'")
        return not self.fetch(UNTOLD)

    def _wait_for_the_end(self) -> None:
        try:
            until(lambda: not self._left(), "every run being over")
        except AssertionError:
            raise AssertionError(f"not over: {self._left()}") from None

    def _left(self) -> list[dict[str, object]]:
        return self._loop.run(left_over(self._database))

    def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        return self._loop.run(self._database.fetch(statement, *arguments))

    def execute(self, statement: str, *arguments: object) -> None:
        self._loop.run(self._database.execute(statement, *arguments))

    def kill(self) -> None:
        """Leave nothing behind, whatever became of the test."""
        for process in self.processes.values():
            process.kill()
        if not self._database.is_closed():
            self._loop.run(self._database.close())
            self._loop.close()

    def close(self, *, is_armed: bool = False) -> None:
        """``is_armed``: some may still die where they were told to."""
        for api in self.apis:
            api.http.close()
        self.redis.close()
        codes = [process.stop() for process in self.processes.values()]
        self.kill()
        excused = {0, -signal.SIGTERM}  # told to end before it had begun
        if is_armed:
            excused.add(-signal.SIGKILL)
        assert set(codes) <= excused, codes


async def _database(url: str) -> str:
    name = f"fleet_{uuid4().hex}"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return url.replace("/stepwire?", f"/{name}?")
