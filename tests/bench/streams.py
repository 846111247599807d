"""``make bench-streams``: what watching runs costs on this machine, beside what the machine can do, in one run.

The watchers are a process of their own, but on the same cores. An event's age is the time from its commit to its frame
being read by the client. It counts from when the commit came back to the worker, before which nobody may be told; and
beside that from when PostgreSQL began to write it to the disk.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from run import Figures, Stack, percentile, pss_mib, reference, serving
from watchers import FIRST
from workloads import chain_of

from stepwire.embedded.postgres import EmbeddedPostgres

WATCHERS = Path(__file__).with_name("watchers.py")
BEFORE_IT_BEGINS, CONNECTED = 3.0, 200  # seconds that a run waits for its watchers, and one more for as many of them
DELIVERIES = 300_000  # of one measurement, about
_BEGUN = "SELECT seq, pg_xact_commit_timestamp(xmin) AS at FROM run_event WHERE run_id = $1"
HALF_PACE = 12_500  # deliveries a second that are aimed at where their age is measured


class Runs:
    """Runs to watch."""

    def __init__(self, stack: Stack) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{stack.port}/api/v1",
            headers={"Authorization": f"Bearer {stack.token}"},
            timeout=30,
        )

    async def start(self, definition: dict[str, Any], count: int = 1) -> list[str]:
        made = (await self._client.post("/workflows", json={"name": "Watched", "definition": definition})).json()
        (await self._client.post(f"/workflows/{made['id']}/publish")).raise_for_status()
        started = [await self._client.post(f"/workflows/{made['id']}/run", json={}) for _ in range(count)]
        return [str(answer.raise_for_status().json()["id"]) for answer in started]


def _watch(stack: Stack, runs: list[str], sockets: int, *, is_idle: bool = False) -> "subprocess.Popen[str]":
    told = {"port": stack.port, "token": stack.token, "runs": runs, "sockets": sockets, "is_idle": is_idle}
    return subprocess.Popen(
        [sys.executable, str(WATCHERS), json.dumps(told)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


async def _said(watching: "subprocess.Popen[str]") -> str:
    assert watching.stdout is not None
    line = await asyncio.to_thread(watching.stdout.readline)
    if not line:
        raise SystemExit("The watchers have failed.")
    return line


async def idle(stack: Stack, runs: Runs, sockets: int) -> dict[str, float]:
    """What a socket that hears nothing costs: ten on each run."""
    waiting = await runs.start(chain_of("core.delay", 1, duration=3600), count=max(sockets // 10, 1))
    before = pss_mib(stack.own_pids())
    watching = _watch(stack, waiting, sockets, is_idle=True)
    await _said(watching)
    await asyncio.sleep(3)
    after = pss_mib(stack.own_pids())
    found = json.loads(watching.communicate("\n")[0])
    if found["open"] != sockets:
        raise SystemExit(f"Of {sockets} sockets, {found['open']} stayed open.")
    return {f"{sockets:,} idle sockets, KiB each": (after - before) * 1024 / sockets}


async def noting_commits(stack: Stack) -> None:
    """Have PostgreSQL keep the instants at which commits begin, and the worker those at which they come back."""
    database = await asyncpg.connect(EmbeddedPostgres(stack.home).url)
    await database.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    await database.close()
    stack.environment["BENCH_COMMITS"] = str(_notes(stack))
    stack.stop()
    stack.start()
    await stack.ready()


async def ages(stack: Stack, run: str, came: list[tuple[int, float]]) -> dict[str, list[float]]:
    """Milliseconds from the commit of each event to its coming, sorted: from its end, and from its beginning."""
    database = await asyncpg.connect(EmbeddedPostgres(stack.home).url)
    begun = {each["seq"]: each["at"].timestamp() for each in await database.fetch(_BEGUN, run)}
    await database.close()
    noted = [line.split() for line in _notes(stack).read_text().splitlines()]
    ended = {int(seq): float(at) for run_id, seq, at in noted if run_id == run}
    return {
        "ages": sorted((at - ended[seq]) * 1000 for seq, at in came),
        "ages with the disk": sorted((at - begun[seq]) * 1000 for seq, at in came),
    }


def _notes(stack: Stack) -> Path:
    return stack.home.parent / "commits"


async def busy(stack: Stack, runs: Runs, sockets: int, steps: int, pause: float | None) -> dict[str, Any]:
    """All sockets on one run: of inline steps at once, or one after another with a pause."""
    first = {
        "id": "wait",
        "type": "core.delay",
        "data": {"config": {"duration": BEFORE_IT_BEGINS + sockets / CONNECTED}},
    }
    kind, config = ("core.transform", {"values": {"n": 1}}) if pause is None else ("core.delay", {"duration": pause})
    [run] = await runs.start(chain_of(kind, steps, first=first, **config))
    watching = _watch(stack, [run], sockets)
    await _said(watching)
    found: dict[str, Any] = json.loads(await _said(watching))
    watching.wait(30)
    if found["holes"] or len(found["lasts"]) != 1:
        raise SystemExit(f"Events were lost: {found['holes']} holes, {found['lasts']} were the last.")
    if found["deliveries"] != sockets * (found["lasts"][0] - FIRST + 1):
        raise SystemExit("Some watchers came when the run had begun.")
    return found | await ages(stack, run, found["came"])


async def measure(stack: Stack, figures: Figures, repeats: int, idle_sockets: int) -> None:
    await noting_commits(stack)
    url, runs, add = EmbeddedPostgres(stack.home).url, Runs(stack), figures.add
    for _ in range(repeats):
        add("reference: commits/s, 1 connection", await reference(url, 1, 2))
        add("reference: commits/s, 16 connections", await reference(url, 16, 2))
        for name, value in (await idle(stack, runs, idle_sockets)).items():
            add(f"a. {name}", value)
        for sockets in (100, 1000):
            found = await busy(stack, runs, sockets, DELIVERIES // 3 // sockets, None)
            add(f"b. deliveries/s to {sockets:,} sockets of one run", found["deliveries"] / found["seconds"])
        for sockets in (100, 1000):
            found = await busy(stack, runs, sockets, 50, 4 * sockets / HALF_PACE)
            add(f"c. half pace to {sockets:,} sockets, deliveries/s", found["deliveries"] / found["seconds"])
            for percent in (50, 99):
                add(f"c. half pace to {sockets:,} sockets, p{percent} ms", percentile(found["ages"], percent))
        alone = await busy(stack, runs, 1, 50, 0.1)
        for percent in (50, 99):
            add(f"d. one socket, p{percent} ms", percentile(alone["ages"], percent))
            add(f"   and with the commit's disk, p{percent} ms", percentile(alone["ages with the disk"], percent))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sockets", type=int, default=5000, help="idle ones")
    options = parser.parse_args()
    figures = Figures()
    async with serving() as stack:
        await measure(stack, figures, options.repeats, options.sockets)
    figures.show()


if __name__ == "__main__":
    asyncio.run(main())
