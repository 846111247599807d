"""The disk runs full under PostgreSQL, and under its log of what it commits; then there is room again."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from threading import Event

import httpx
import pytest

from factories import chain, node
from recorder import Recorder
from served import Served
from small_disk import Ballast, with_small_disk
from stack import Process, until
from stepwire.embedded.postgres import EmbeddedPostgres
from works import Works

DISK_MEGABYTES = 192
LARGE = "x" * 200_000


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """``stepwire serve`` whose data is on a small disk."""
    home = tmp_path / "home"
    (home / "postgres").mkdir(parents=True)
    running = Served(tmp_path, prefix=with_small_disk(home, DISK_MEGABYTES))
    yield running
    running.api.http.close()
    assert running.process.stop() == 0


def test_a_full_disk_is_said_and_nothing_accepted_is_lost(served: Served, recorder: Recorder) -> None:
    ballast = Ballast(served.process.popen.pid, served.home)
    with closing(Works(served.api, recorder)) as works:
        pass
