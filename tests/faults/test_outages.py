"""What Stepwire stands on goes away and comes back: nothing accepted is lost, and everything goes on by itself."""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from os import kill

import pytest
from redis import Redis

from recorder import Recorder
from served import Served
from stack import until
from stepwire.embedded.postgres import EmbeddedPostgres
from stepwire.embedded.valkey import EmbeddedValkey
from works import Works

SLOTS = 4


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = Served(tmp_path_factory.mktemp("outages"), STEPWIRE_WORKER_SLOTS=str(SLOTS))
    yield running
    running.api.http.close()
    assert running.process.stop() == 0


def flush(served: Served) -> None:
    with Redis.from_url(EmbeddedValkey(served.home).url) as redis:
        redis.flushall()


STRIKES: dict[str, Callable[[Served], None]] = {
    "PostgreSQL is stopped and started": lambda served: kill(served.postmaster(), signal.SIGINT),
    "PostgreSQL is stopped at once": lambda served: kill(served.postmaster(), signal.SIGQUIT),
    "PostgreSQL is killed": lambda served: kill(served.postmaster(), signal.SIGKILL),
    "Valkey is stopped and started": lambda served: kill(served.valkey(), signal.SIGTERM),
    "Valkey is killed": lambda served: kill(served.valkey(), signal.SIGKILL),
    "Valkey is flushed": flush,
}


@pytest.mark.parametrize("outage", STRIKES)
def test_runs_in_every_state_reach_their_ends_when(served: Served, recorder: Recorder, outage: str) -> None:
    database = EmbeddedPostgres(served.home).url
    with closing(Works(served.api, recorder)) as works:
        asking = [works.asking() for _ in range(3)]
        until(lambda: all(works.is_paused(run_id) for run_id in asking), "runs being paused")
        recorder.hold()
        works.parent()
        doomed = works.calling()
        works.delayed()
        works.calling()
        until(lambda: len(recorder.requests) >= SLOTS, "calls being under way")
        queued = [works.calling() for _ in range(4)]
        works.parent()
        works.resume(asking[0])
        works.ask(f"/runs/{doomed}/cancel")

        STRIKES[outage](served)

        works.resume(asking[1])
        works.cancel(doomed)
        for run_id in (queued[-1], asking[2]):
            works.ask(f"/runs/{run_id}/cancel")
        recorder.let_go()
        for run_id in (queued[-1], asking[2]):
            works.cancel(run_id)
        works.calling()
        works.check(database)
