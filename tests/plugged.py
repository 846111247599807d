"""Stepwire with step plug-ins installed, on a database of its own: another one's workers would not know its steps."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import asyncpg

from stack import Api, Process, free_port, until
from stepwire.db.migrate import migrate

FAULTS = Path(__file__).parent / "plugin"
README = Path(__file__).parents[1] / "README.md"


def install(project: Path, target: Path) -> None:
    """Build and install a project, as a user would, but without the network."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert uv is not None, "`make install` brings uv"
    command = ["pip", "install", "--quiet", "--offline", "--no-cache", "--no-deps", "--python", sys.executable]
    subprocess.run([uv, *command, "--target", target, project], check=True)


def readme_project(folder: Path) -> Path:
    """The README's example, as it stands there."""
    section = README.read_text().partition("## Write a step type")[2].partition("\n## ")[0]
    for name, code in re.findall(r"`([\w./]+)`:\n\n```\w+\n(.*?)```", section, re.DOTALL):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
    return folder


class Plugged:
    """An API and workers that see the packages in ``target``."""

    def __init__(self, services: dict[str, str], folder: Path, target: Path) -> None:
        self.folder = folder
        self.target = target
        self.environment = services | {
            "DATABASE_URL": asyncio.run(_database(services["DATABASE_URL"])),
            "REDIS_URL": f"{services['REDIS_URL']}?db=1",
            "STEPWIRE_PORT": str(free_port()),
            "STEPWIRE_LEASE_SECONDS": "1",
            "STEPWIRE_STEP_TIMEOUT_SECONDS": "30",
            "STEPWIRE_HTTP_ALLOW": "127.0.0.1",
            "STEPWIRE_LOG_FORMAT": "console",
            "PYTHONPATH": str(target),
        }
        migrate(self.environment["DATABASE_URL"])
        self.workers: list[Process] = []
        self.process = Process("api", self.environment, folder / "api.log")
        self.api = Api(f"http://127.0.0.1:{self.environment['STEPWIRE_PORT']}", services["SUPABASE_JWT_SECRET"])
        until(self.api.is_ready, "the API being ready")

    def work(self, count: int = 1, **environment: str) -> Process:
        """Start workers that are ready when this returns; the last of them."""
        for _ in range(count):
            log = self.folder / f"worker-{len(self.workers)}.log"
            self.workers.append(Process("worker", self.environment | environment, log))
        for worker in self.workers[-count:]:
            until(lambda worker=worker: "is ready" in worker.log.read_text(), f"the worker of {worker.log}")
        return self.workers[-1]

    def rest(self) -> list[int]:
        """Stop the workers; the exit codes of those that had not ended."""
        running = [worker for worker in self.workers if worker.popen.poll() is None]
        return [worker.stop() for worker in running]

    def close(self) -> None:
        self.api.http.close()
        try:
            self.rest()
        finally:
            for worker in self.workers:
                worker.kill()
            code = self.process.stop()
        assert code == 0

    @property
    def logs(self) -> str:
        return "\n".join(worker.log.read_text() for worker in self.workers)


async def _database(url: str) -> str:
    name = f"plugged_{uuid4().hex}"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return url.replace("/stepwire?", f"/{name}?")
