"""``make bench``: what Stepwire does on this machine, beside what the machine can do, in one run.

Everything (load generator, API, worker, PostgreSQL with fsync, Valkey) shares the machine's cores. Figures from
different machines or times do not compare; ratios to the reference of the same run do.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import durable_step
import httpx
from cancels import cancels
from workloads import WORKLOADS

from stepwire.auth.tokens import mint
from stepwire.embedded.home import jwt_secret
from stepwire.embedded.postgres import EmbeddedPostgres
from stepwire.embedded.services import EmbeddedServices
from stepwire.settings import EMBEDDED_OWNER, Settings

READY_SECONDS = 60
_OTHERS = ("DATABASE_URL", "REDIS_URL", "SUPABASE_URL", "SUPABASE_JWT_SECRET", "STEPWIRE_ENCRYPTION_KEY")
OTHER_OWNER = UUID(int=2)
FLOOD = 100_000
_FLOOD = """
WITH new AS (
    INSERT INTO run (id, owner_id, workflow_id, workflow_version, status, trigger_type, input, seq, wake_at)
    SELECT uuidv7(), $1, $2, 1, 'queued', 'manual', '{"n":7}', 1, now() FROM generate_series(1, $3)
    RETURNING id
)
INSERT INTO run_event (run_id, seq, event, data, at) SELECT id, 1, 'run.queued', '{}', now() FROM new
"""


class Stack:
    """``stepwire serve`` in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        packages = home.parent / "packages"
        packages.mkdir()
        durable_step.install(packages)
        self.environment = {name: value for name, value in os.environ.items() if name not in _OTHERS} | {
            "STEPWIRE_HOME": str(home),
            "STEPWIRE_PORT": str(self.port),
            "STEPWIRE_HTTP_ALLOW": "127.0.0.1",
            "PYTHONPATH": str(packages),
        }

    def start(self) -> None:
        self.process = self._run("serve", {})

    def second_worker(self) -> "subprocess.Popen[bytes]":
        """One more worker, on the same servers."""
        return self._run("worker", EmbeddedServices(self.home, Settings(home=self.home)).environment())

    def _run(self, command: str, told: dict[str, str]) -> "subprocess.Popen[bytes]":
        with (self.home.parent / f"{command}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "stepwire", command], env=self.environment | told, stdout=log, stderr=log
            )

    async def ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        async with httpx.AsyncClient() as client:
            while time.monotonic() < deadline:
                try:
                    if (await client.get(f"http://127.0.0.1:{self.port}/health/ready")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.01)
        raise SystemExit((self.home.parent / "serve.log").read_text()[-4000:])

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None

    @property
    def token(self) -> str:
        return self.token_of(EMBEDDED_OWNER)

    def token_of(self, owner: UUID) -> str:
        return mint(jwt_secret(self.home), owner, lifetime_seconds=7200, now=time.time())

    def own_pids(self) -> list[int]:
        """The supervisor, the API and the worker."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        named = [int(pid) for pid in children if b"stepwire" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
        return [self.process.pid, *named]


@asynccontextmanager
async def serving() -> AsyncIterator[Stack]:
    """A stack in a new folder."""
    with tempfile.TemporaryDirectory(prefix="stepwire-bench-") as folder:
        Path(folder).chmod(0o755)
        stack = Stack(Path(folder) / "home")
        try:
            stack.start()
            await stack.ready()
            yield stack
        finally:
            stack.stop()


class Caller:
    """One keep-alive connection; as little of the machine as a client can take."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token

    async def open(self) -> "Caller":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def start_run(self, workflow_id: str, value: str = '{"input":{"n":7}}') -> str:
        head = (
            f"POST /api/v1/workflows/{workflow_id}/run HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(value)}\r\n\r\n"
        )
        self._writer.write((head + value).encode())
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        if b" 201 " not in answer[:20]:
            raise SystemExit(f"{answer!r} {body!r}")
        return str(json.loads(body)["id"])

    def close(self) -> None:
        self._writer.close()


async def publish(stack: Stack, name: str, owner: UUID = EMBEDDED_OWNER) -> str:
    headers = {"Authorization": f"Bearer {stack.token_of(owner)}"}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{stack.port}/api/v1", headers=headers, timeout=30
    ) as client:
        made = await client.post("/workflows", json={"name": name, "definition": WORKLOADS[name]()})
        made.raise_for_status()
        published = await client.post(f"/workflows/{made.json()['id']}/publish")
        if published.status_code != 200:
            raise SystemExit(published.text)
        return str(made.json()["id"])


async def reference(url: str, connections: int, seconds: float) -> float:
    """INSERT and COMMIT of one small row, commits a second."""
    pool = [await asyncpg.connect(url) for _ in range(connections)]
    await pool[0].execute("CREATE TABLE IF NOT EXISTS bench_reference (id bigserial PRIMARY KEY, value text)")
    done, end = 0, time.perf_counter() + seconds

    async def commit(connection: asyncpg.Connection) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await connection.execute("INSERT INTO bench_reference (value) VALUES ($1)", "x" * 50)
            done += 1

    started = time.perf_counter()
    await asyncio.gather(*map(commit, pool))
    elapsed = time.perf_counter() - started
    for connection in pool:
        await connection.close()
    return done / elapsed


async def sequential(
    stack: Stack, database: asyncpg.Connection, workflow_id: str, runs: int, owner: UUID = EMBEDDED_OWNER
) -> list[float]:
    """Milliseconds from the request to the run being completed in the database, one after another, sorted."""
    caller, times = await Caller(stack.port, stack.token_of(owner)).open(), []
    for number in range(runs + 5):
        started = time.perf_counter()
        run_id = await caller.start_run(workflow_id)
        while await database.fetchval("SELECT status FROM run WHERE id = $1", run_id) != "completed":
            await asyncio.sleep(0.0005)
        if number >= 5:
            times.append((time.perf_counter() - started) * 1000)
    caller.close()
    return sorted(times)


async def fairness(stack: Stack, database: asyncpg.Connection, flooding: str) -> dict[str, float]:
    """What a single run of one owner takes, alone and beside ``FLOOD`` queued runs of another; ms, and the flood's runs
    a second meanwhile.
    """
    single = await publish(stack, "short", OTHER_OWNER)
    idle = await sequential(stack, database, single, 200, OTHER_OWNER)
    await database.execute(_FLOOD, EMBEDDED_OWNER, flooding, FLOOD)
    finished = "SELECT count(*) FROM run WHERE workflow_id = $1 AND completed_at >= $2"
    since, started = await database.fetchval("SELECT now()"), time.perf_counter()
    beside = await sequential(stack, database, single, 200, OTHER_OWNER)
    done, elapsed = await database.fetchval(finished, flooding, since), time.perf_counter() - started
    left = await database.fetchval("SELECT count(*) FROM run WHERE workflow_id = $1 AND status = 'queued'", flooding)
    if left == 0:
        raise SystemExit("The flood was over before the other owner's runs were.")
    await database.execute("TRUNCATE run, run_event, step_run, run_tally, run_tally_change")  # the rest of the flood
    return {
        "single run alone, p50 ms": idle[100], "single run alone, p95 ms": idle[190],
        "single run beside 100,000, p50 ms": beside[100], "single run beside 100,000, p95 ms": beside[190],
        "p95 beside / alone (10 at most)": beside[190] / idle[190], "runs/s of the flood meanwhile": done / elapsed,
    }  # fmt: skip


async def throughput(stack: Stack, database: asyncpg.Connection, workflow_id: str, clients: int, runs: int) -> float:
    """Runs a second until all are completed in the database."""
    callers = [await Caller(stack.port, stack.token).open() for _ in range(clients)]
    finished = "SELECT count(*) FROM run WHERE workflow_id = $1 AND status = 'completed'"
    before, left = await database.fetchval(finished, workflow_id), iter(range(runs))

    async def call(caller: Caller) -> None:
        for _ in left:
            await caller.start_run(workflow_id)

    started = time.perf_counter()
    await asyncio.gather(*map(call, callers))
    while await database.fetchval(finished, workflow_id) - before < runs:
        await asyncio.sleep(0.01)
    elapsed = time.perf_counter() - started
    for caller in callers:
        caller.close()
    return runs / elapsed


def cpu_seconds(stack: Stack) -> dict[str, float]:
    """Processor time that each part has used up to now."""
    used = dict.fromkeys(("postgres", "valkey", "worker", "api"), 0.0)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if not _is_below(int(folder.name), stack.own_pids()[0]):
                continue
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().replace(str(stack.home), "")
            numbers = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        part = next((name for name in used if name in command), None)
        if part is not None:
            used[part] += (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")
    return used


def _is_below(pid: int, root: int) -> bool:
    while pid > 1 and pid != root:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid > 1


def pss_mib(pids: list[int]) -> float:
    """Proportional set size: shared pages are counted once."""
    lines = "".join(Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids).splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


async def first_answer(stack: Stack, workflow_id: str) -> float:
    """Seconds from starting everything to a run that is completed; the data folder is there."""
    started = time.perf_counter()
    stack.start()
    await stack.ready()
    database = await asyncpg.connect(EmbeddedPostgres(stack.home).url)
    await sequential(stack, database, workflow_id, -4)
    await database.close()
    return time.perf_counter() - started


def percentile(values: list[float], percent: float) -> float:
    """Of sorted values."""
    return values[min(int(len(values) * percent / 100), len(values) - 1)]


class Figures:
    """What was measured, by name, in the order in which it was first measured; medians are what counts."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {}

    def add(self, name: str, value: float) -> None:
        self.found.setdefault(name, []).append(round(value, 2))

    def show(self) -> None:
        print(f"\n{'':52} {'median':>9}   lowest … highest   ({os.cpu_count()} cores)")
        for name, values in self.found.items():
            print(f"{name:52} {statistics.median(values):9.2f}   {min(values):.2f} … {max(values):.2f}")


async def measure(stack: Stack, figures: Figures, repeats: int) -> None:
    url, add = EmbeddedPostgres(stack.home).url, figures.add
    database = await asyncpg.connect(url)
    workflows = {name: await publish(stack, name) for name in WORKLOADS}

    async def load(label: str, name: str, runs: int) -> None:
        before = cpu_seconds(stack)
        add(f"{label}, runs/s", await throughput(stack, database, workflows[name], 32, runs))
        for part, seconds in cpu_seconds(stack).items():
            add(f"   {label[:2]} ms of {part}'s processor time a run", (seconds - before[part]) / runs * 1000)

    await throughput(stack, database, workflows["short"], 16, 200)
    for _ in range(repeats):
        add("reference: commits/s, 1 connection", await reference(url, 1, 2))
        add("reference: commits/s, 16 connections", await reference(url, 16, 2))
        times = await sequential(stack, database, workflows["short"], 200)
        for percent in (50, 95, 99):
            add(f"a. 5 pure steps, sequential, p{percent} ms", percentile(times, percent))
        await load("b. 5 pure steps, 32 clients", "short", 3000)
        await load("c. 5 durable steps, 32 clients", "durable", 1000)
        times = await sequential(stack, database, workflows["chain100"], 20)
        add("d. 100-step chain, ms a step", statistics.median(times) / 100)
        add(
            "e. 100 branches joined, ms",
            statistics.median(await sequential(stack, database, workflows["fanout100"], 20)),
        )
        times = await cancels(f"http://127.0.0.1:{stack.port}", stack.token, 100)
        for percent in (50, 99):
            add(f"j. cancel, from the request to the call being cut, p{percent} ms", percentile(times, percent))
        other = stack.second_worker()
        await asyncio.sleep(2)
        add("f. as b, with two workers, runs/s", await throughput(stack, database, workflows["short"], 32, 3000))
        other.send_signal(signal.SIGTERM)
        other.wait(60)
        for name, value in (await fairness(stack, database, workflows["short"])).items():
            add(f"i. {name}", value)
        await database.close()
        stack.stop()
        add("g. start to first completed run, s", await first_answer(stack, workflows["short"]))
        await asyncio.sleep(5)
        add("h. idle memory of own processes, MiB (PSS)", pss_mib(stack.own_pids()))
        database = await asyncpg.connect(url)
    await database.close()


async def soak(stack: Stack, figures: Figures, runs: int) -> None:
    """Memory of the API and the worker while ``runs`` runs go through them, in tenths."""
    database = await asyncpg.connect(EmbeddedPostgres(stack.home).url)
    workflow_id = await publish(stack, "short")
    for tenth in range(11):
        figures.add(f"memory of own processes after {runs * tenth // 10:,} runs, MiB (PSS)", pss_mib(stack.own_pids()))
        if tenth < 10:
            figures.add("runs/s", await throughput(stack, database, workflow_id, 32, runs // 10))
    await database.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--soak", type=int, default=0, metavar="RUNS", help="measure memory over so many runs instead")
    parser.add_argument("--json", type=Path, default=Path("bench.json"))
    options = parser.parse_args()
    figures = Figures()
    async with serving() as stack:
        if options.soak:
            await soak(stack, figures, options.soak)
        else:
            await measure(stack, figures, options.repeats)
    facts = {"cores": os.cpu_count(), "at": time.time(), "figures": figures.found}
    options.json.write_text(json.dumps(facts, indent=2) + "\n")
    figures.show()


if __name__ == "__main__":
    asyncio.run(main())
