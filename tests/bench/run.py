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
from pathlib import Path

import asyncpg
import httpx
from workloads import WORKLOADS

from stepwire.auth.tokens import mint
from stepwire.embedded.home import jwt_secret
from stepwire.embedded.postgres import EmbeddedPostgres
from stepwire.settings import EMBEDDED_OWNER

READY_SECONDS = 60


class Stack:
    """``stepwire serve`` in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | {"STEPWIRE_HOME": str(self.home), "STEPWIRE_PORT": str(self.port)}
        for name in ("DATABASE_URL", "REDIS_URL", "SUPABASE_URL", "SUPABASE_JWT_SECRET"):
            environment.pop(name, None)
        with (self.home.parent / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stepwire", "serve"], env=environment, stdout=log, stderr=log
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
        return mint(jwt_secret(self.home), EMBEDDED_OWNER, lifetime_seconds=7200, now=time.time())

    def own_pids(self) -> list[int]:
        """The supervisor, the API and the worker."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        named = [int(pid) for pid in children if b"stepwire" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
        return [self.process.pid, *named]


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


async def publish(stack: Stack, name: str) -> str:
    headers = {"Authorization": f"Bearer {stack.token}"}
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


async def sequential(stack: Stack, database: asyncpg.Connection, workflow_id: str, runs: int) -> list[float]:
    """Milliseconds from the request to the run being completed in the database, one after another, sorted."""
    caller, times = await Caller(stack.port, stack.token).open(), []
    for number in range(runs + 5):
        started = time.perf_counter()
        run_id = await caller.start_run(workflow_id)
        while await database.fetchval("SELECT status FROM run WHERE id = $1", run_id) != "completed":
            await asyncio.sleep(0.0005)
        if number >= 5:
            times.append((time.perf_counter() - started) * 1000)
    caller.close()
    return sorted(times)


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


async def measure(stack: Stack, repeats: int) -> dict[str, object]:
    url = EmbeddedPostgres(stack.home).url
    database = await asyncpg.connect(url)
    short, chain, fanout = [await publish(stack, name) for name in ("short", "chain100", "fanout100")]
    found: dict[str, list[float]] = {}

    def add(name: str, value: float) -> None:
        found.setdefault(name, []).append(round(value, 2))

    await throughput(stack, database, short, 16, 200)
    for _ in range(repeats):
        add("reference: commits/s, 1 connection", await reference(url, 1, 2))
        add("reference: commits/s, 16 connections", await reference(url, 16, 2))
        times = await sequential(stack, database, short, 200)
        for percent in (50, 95, 99):
            add(f"a. 5 pure steps, sequential, p{percent} ms", times[int(len(times) * percent / 100)])
        add("b. 5 pure steps, 32 clients, runs/s", await throughput(stack, database, short, 32, 3000))
        add("c. 100-step chain, ms a step", statistics.median(await sequential(stack, database, chain, 20)) / 100)
        add("d. 100 branches joined, ms", statistics.median(await sequential(stack, database, fanout, 20)))
        await database.close()
        stack.stop()
        add("f. start to first completed run, s", await first_answer(stack, short))
        await asyncio.sleep(5)
        add("e. idle memory of own processes, MiB (PSS)", pss_mib(stack.own_pids()))
        database = await asyncpg.connect(url)
    await database.close()
    return dict(sorted(found.items(), key=lambda item: (not item[0].startswith("reference"), item[0])))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("bench.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stepwire-bench-") as folder:
        Path(folder).chmod(0o755)
        stack = Stack(Path(folder) / "home")
        try:
            stack.start()
            await stack.ready()
            found = await measure(stack, options.repeats)
        finally:
            stack.stop()
    options.json.write_text(json.dumps({"cores": os.cpu_count(), "at": time.time(), "figures": found}, indent=2) + "\n")
    print(f"\n{'':44} {'median':>9}   lowest … highest   ({os.cpu_count()} cores)")
    for name, values in found.items():
        print(f"{name:44} {statistics.median(values):9.2f}   {min(values):.2f} … {max(values):.2f}")


if __name__ == "__main__":
    asyncio.run(main())
