"""The worker process: SAQ wakes it, the runner drives, the journal makes durable."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

from saq import CronJob, Worker

from stepwire.auth.encryption import load_keyring
from stepwire.db.pool import open_pool
from stepwire.errors import Misconfigured
from stepwire.runtime import jobs
from stepwire.runtime.attempt import make_task
from stepwire.runtime.children import Children
from stepwire.runtime.deliveries import Deliverer
from stepwire.runtime.executor import Executor
from stepwire.runtime.plans import Plans
from stepwire.runtime.runner import Runner
from stepwire.runtime.schedules import Scheduler
from stepwire.runtime.secrets import SecretReader
from stepwire.runtime.watchdog import Watchdog
from stepwire.settings import Settings
from stepwire.signals.connection import ANSWER_SECONDS, open_redis
from stepwire.signals.live import Announcer
from stepwire.signals.queue import WakeQueue, open_queue
from stepwire.signals.wake import Waker
from stepwire.steps.guard import guarded_client, parse_allow
from stepwire.steps.registry import load_registry

log = logging.getLogger(__name__)
EVERY_SECOND = "* * * * * *"
DEQUEUE_SECONDS = ANSWER_SECONDS / 2  # how long to wait for a job before asking again: a dead connection looks the same
LAST_SECONDS = (
    4  # after the grace; then the worker ends hard: a thread that a step has left behind would keep it for ever
)
STOP_SECONDS = (
    1  # for SAQ; it waits for its upkeep, which may sleep for half a minute before it looks whether it is to end
)
# A sweep that died with its worker keeps SAQ from starting the next one; SAQ's own sweep frees it after these.
SWEEP_JOB_SECONDS, STUCK_JOB_SECONDS = 3, 2


class QuietWorker(Worker[Any]):
    """SAQ's worker without its signal handlers: this process has one place that decides about its end."""

    SIGNALS = []  # noqa: RUF012 - SAQ's attribute


async def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then let what is in flight end and hand back the rest.

    Raises:
        Misconfigured: a setting is missing.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise Misconfigured("A worker needs DATABASE_URL and REDIS_URL; `stepwire serve` brings its own.")
    keyring = load_keyring(settings.encryption_key)
    stopped = asyncio.Event()
    asyncio.get_running_loop().set_task_factory(make_task)
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            open_pool(settings.database_url, size=8, timeout=settings.database_timeout_seconds)
        )
        redis = await stack.enter_async_context(open_redis(settings.redis_url))
        http = await stack.enter_async_context(guarded_client(parse_allow(settings.http_allow)))
        registry = load_registry()
        queue = open_queue(redis)
        waker = Waker(queue)
        executor = Executor(
            registry, http, Children(pool, waker), SecretReader(pool, keyring),
            max_output_bytes=settings.max_output_bytes, max_context_bytes=settings.max_context_bytes,
            timeout_seconds=settings.step_timeout_seconds,
        )  # fmt: skip
        runner = Runner(
            pool, redis, waker, Plans(pool, registry), executor,
            slots=settings.worker_slots, lease_seconds=settings.lease_seconds,
            longest_run_seconds=settings.max_run_seconds, max_context_bytes=settings.max_context_bytes,
        )  # fmt: skip
        watchdog = Watchdog(settings.database_url, runner.held, settings.lease_seconds)
        deliverer = Deliverer(pool, http, keyring)
        others = [watchdog.run(), deliverer.run(), Scheduler(pool, waker, Announcer(redis)).run()]
        await _work(runner, create_worker(queue, runner), others, stopped, settings.grace_seconds)


def create_worker(queue: WakeQueue, runner: Runner) -> QuietWorker:
    """SAQ's side: what wakes the runner."""
    worker = QuietWorker(
        queue,
        functions=[jobs.drive, jobs.sweep],
        concurrency=4,
        dequeue_timeout=DEQUEUE_SECONDS,
        cron_jobs=[CronJob(jobs.sweep, cron=EVERY_SECOND, timeout=SWEEP_JOB_SECONDS, ttl=-1)],
        timers={"schedule": 1, "sweep": STUCK_JOB_SECONDS, "worker_info": 30, "abort": 60},
    )
    worker.context.update({"runner": runner})
    return worker


async def _work(
    runner: Runner,
    worker: QuietWorker,
    others: Sequence[Coroutine[Any, Any, None]],
    stopped: asyncio.Event,
    grace_seconds: float,
) -> None:
    beside = [asyncio.create_task(each) for each in others]
    running = asyncio.create_task(runner.run())
    listening = asyncio.create_task(worker.start())
    ending = asyncio.create_task(stopped.wait())
    stopping: list[asyncio.Task[None]] = []
    log.info("Worker %s is ready", runner.worker)
    try:
        await asyncio.wait({running, listening, ending}, return_when=asyncio.FIRST_COMPLETED)
        _end_by(grace_seconds + LAST_SECONDS)
        stopping.append(asyncio.create_task(worker.stop()))
        await asyncio.wait(stopping, timeout=STOP_SECONDS)
        await runner.stop(grace_seconds)
    finally:
        tasks = (running, listening, ending, *stopping, *beside)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


def _end_by(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
