"""Fixtures: one PostgreSQL and one Valkey for the whole session, one API and one worker on them."""

import contextlib
import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from recorder import Recorder
from served import Served
from stack import Api, Process, another_api, free_port, until
from stepwire.db.migrate import migrate
from stepwire.embedded.services import embedded_services
from stepwire.settings import Settings

hypothesis_settings.register_profile(
    "stepwire",
    deadline=None,
    max_examples=int(os.environ.get("STEPWIRE_EXAMPLES") or 60),
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("stepwire")
LAST_WORDS = 4000
MOST_WORKERS = 4
LONGEST_FIRST = ("faults", "api", "integration")
BROWSER = Path(__file__).resolve().parent / "browser"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the browser tests to those who ask for them (``make test-browser``): they need Chromium."""
    places = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    is_asked_for = any(place.resolve().is_relative_to(BROWSER) for place in places)
    return True if collection_path == BROWSER and not is_asked_for else None


def pytest_xdist_auto_num_workers() -> int:
    """One for each processor, but no more than memory is sure to hold: each has servers of its own."""
    return min(os.cpu_count() or 1, MOST_WORKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that all who share the work are done at the same time."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.parent.name, len(places)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes said last beside the failure of a test that uses them."""
    report = yield
    if report.failed:
        for log in _logs(getattr(item, "funcargs", {})):
            report.sections.append((f"the end of {log}", log.read_text(errors="replace")[-LAST_WORDS:]))
    return report


def _logs(fixtures: dict[str, Any]) -> list[Path]:
    folders = [fixtures[name] for name in ("workplace", "tmp_path") if name in fixtures]
    folders += [value.log.parent for value in fixtures.values() if isinstance(value, Served)]
    return sorted({log for folder in folders for pattern in ("*.log", "home/*.log") for log in folder.glob(pattern)})


@pytest.fixture(scope="session")
def workplace() -> Iterator[Path]:
    """A folder outside of any that only root can reach."""
    with tempfile.TemporaryDirectory(prefix="stepwire-tests-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def services(workplace: Path) -> Iterator[dict[str, str]]:
    """The environment that leads to a migrated PostgreSQL and a Valkey."""
    with embedded_services(workplace / "home", Settings(home=workplace / "home")) as environment:
        migrate(environment["DATABASE_URL"])
        yield environment


@pytest.fixture(scope="session")
def server_environment(services: dict[str, str]) -> dict[str, str]:
    return services | {
        "STEPWIRE_PORT": str(free_port()),
        "STEPWIRE_LEASE_SECONDS": "2",
        "STEPWIRE_HTTP_ALLOW": "127.0.0.1",
        "STEPWIRE_LOG_FORMAT": "console",
    }


@pytest.fixture(scope="session")
def server(server_environment: dict[str, str], workplace: Path) -> Iterator[Api]:
    """An API and a worker."""
    processes = [Process(name, server_environment, workplace / f"{name}.log") for name in ("api", "worker")]
    api = Api(f"http://127.0.0.1:{server_environment['STEPWIRE_PORT']}", server_environment["SUPABASE_JWT_SECRET"])
    try:
        until(api.is_ready, "the API being ready")
        yield api
    finally:
        api.http.close()
        codes = [process.stop() for process in processes]
    assert codes == [0, 0], "the API and the worker end cleanly"


@pytest.fixture(scope="session")
def apis(server: Api, server_environment: dict[str, str], workplace: Path) -> Iterator[list[Api]]:
    """Two API processes on one database."""
    with another_api(server_environment, workplace / "second-api.log") as second:
        yield [server, second]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """An HTTP service that remembers what it is asked."""
    with contextlib.closing(Recorder()) as service:
        yield service
