"""What each process loads: it pays for that with memory as long as it lives, and with time whenever it starts."""

import subprocess
import sys

import pytest

CLIENT = {"rich", "pygments", "stepwire.client.run"}
DATABASES = {f"sqlalchemy.dialects.{name}" for name in ("mssql", "mysql", "oracle", "sqlite")}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("stepwire.embedded.supervisor", {"asyncio", "asyncpg", "cryptography", "httpx._api", "redis", "ssl"}),
        ("stepwire.worker", {"alembic", "cryptography.x509", "litestar", "sqlalchemy", "uvicorn"} | CLIENT),
        ("stepwire.server", {"alembic", "faker", "jinja2", "pydantic"} | CLIENT | DATABASES),
    ],
)
def test_a_process_loads_nothing_that_it_does_not_use(module: str, unwanted: set[str]) -> None:
    program = f"import sys, stepwire.cli, {module}; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert unwanted.intersection(ended.stdout.split()) == set()
