"""Claims due runs and drives them side by side, up to the worker's slots."""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from redis.asyncio import Redis

from stepwire.db import journal
from stepwire.db.group_commit import GroupCommit
from stepwire.db.journal import ClaimedRun, Entry
from stepwire.db.pool import Pool
from stepwire.definition.plan import Plan
from stepwire.engine.facts import Abandoned, CancelRequested
from stepwire.engine.model import RunState
from stepwire.errors import LeaseLost
from stepwire.runtime.alarm import Alarm
from stepwire.runtime.clock import now
from stepwire.runtime.driver import Driver
from stepwire.runtime.executor import Executor
from stepwire.runtime.plans import Plans, PlanUnavailable
from stepwire.runtime.tallies import keep_tallies
from stepwire.signals.cancel import hear_cancels
from stepwire.signals.live import Announcement, announce

log = logging.getLogger(__name__)
CLAIM_BATCH = 64


class Runner:
    """The runs in this worker's hands."""

    def __init__(
        self, pool: Pool, redis: Redis, plans: Plans, executor: Executor, *, slots: int, lease_seconds: float
    ) -> None:
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._pool = pool
        self._redis = redis
        self._plans = plans
        self._executor = executor
        self._slots = slots
        self._lease = timedelta(seconds=lease_seconds)
        self._driven: dict[UUID, tuple[int, asyncio.Task[None]]] = {}
        self._drivers: dict[UUID, Driver] = {}
        self._entries = GroupCommit(self._write, weigh=_weight)
        self._announcements: list[tuple[UUID, Announcement]] = []
        self._telling: asyncio.Task[None] | None = None
        self._claiming = asyncio.Lock()
        self._is_hungry = False
        self._is_stopping = False
        self._alarm = Alarm(self._claim_soon)

    async def run(self) -> None:
        """Keep the journal and the leases going until cancelled; an end of either is the end of the worker."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._entries.run())
            group.create_task(self._keep_leases())
            group.create_task(keep_tallies(self._pool))
            group.create_task(hear_cancels(self._redis, self.cancel))

    async def drive_due(self) -> None:
        """Claim what is due and drive it, until nothing is due or no slot is free."""
        async with self._claiming:
            while not self._is_stopping:
                limit = min(CLAIM_BATCH, self._slots - len(self._driven))
                if limit <= 0:
                    self._is_hungry = True
                    return
                claimed = await journal.claim(self._pool, worker=self.worker, limit=limit, lease=self._lease)
                for run in claimed:
                    self._start(run)
                if len(claimed) < limit:
                    return

    def cancel(self, run_id: UUID) -> None:
        """Stop what a run has in flight, if it is in this worker's hands; its cancellation is stored already."""
        if (driver := self._drivers.get(run_id)) is not None:
            driver.tell(CancelRequested(at=now()))

    async def stop(self, grace_seconds: float) -> None:
        """Claim no more, let what is in flight end, then hand the rest back."""
        self._is_stopping = True
        tasks = [task for _, task in self._driven.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_seconds)
        held = [(run_id, fence) for run_id, (fence, _) in self._driven.items()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if held:
            try:
                await journal.release(self._pool, held)
            except Exception:
                log.exception("Leases could not be handed back; they lapse")

    def _start(self, run: ClaimedRun) -> None:
        task = asyncio.create_task(self._drive(run), name=f"run {run.id}")
        self._driven[run.id] = (run.fence, task)
        task.add_done_callback(lambda _: self._ended(run))

    def _ended(self, run: ClaimedRun) -> None:
        if run.id in self._driven and self._driven[run.id][0] == run.fence:
            del self._driven[run.id]
        if self._is_hungry and not self._is_stopping:
            self._is_hungry = False
            self._claim_soon()

    def _claim_soon(self) -> None:
        self._reclaiming = asyncio.create_task(self._claim_again())

    async def _claim_again(self) -> None:
        try:
            await self.drive_due()
        except Exception:
            log.exception("Claiming failed, the sweeper tries again")

    async def _drive(self, run: ClaimedRun) -> None:
        try:
            driver = self._drivers[run.id] = await self._driver(run)
            try:
                await driver.drive()
            finally:
                if self._drivers.get(run.id) is driver:
                    del self._drivers[run.id]
            self._alarm.set(driver.wake_at)
        except LeaseLost as error:
            log.warning("%s", error)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("Run %s cannot be driven; its lease lapses and it is tried again", run.id)

    async def _driver(self, run: ClaimedRun) -> Driver:
        state = RunState() if run.seq <= 1 else await journal.load(self._pool, run)
        try:
            plan = await self._plans.get(run.workflow_id)
        except PlanUnavailable as error:
            plan = Plan(steps={})
            driver = Driver(run, plan, state, self._executor, self._entries.submit, self._tell)
            driver.begin_with(Abandoned(at=now(), code=error.kind, message=error.detail))
            return driver
        return Driver(run, plan, state, self._executor, self._entries.submit, self._tell)

    async def _write(self, entries: Sequence[Entry]) -> list[bool | None]:
        written = await journal.append(self._pool, entries)
        return [written.get(entry.run_id) for entry in entries]

    def _tell(self, run_id: UUID, announcement: Announcement) -> None:
        """Announce together what one flush made durable: the drivers that it woke all come here in the same turn."""
        self._announcements.append((run_id, announcement))
        if self._telling is None:
            self._telling = asyncio.create_task(self._announce())

    async def _announce(self) -> None:
        while self._announcements:
            batch, self._announcements = self._announcements, []
            try:
                await announce(self._redis, batch)
            except Exception:
                log.exception("Announcements were lost, watchers read the journal instead")
        self._telling = None

    async def _keep_leases(self) -> None:
        """Renew well before leases lapse, and claim what is due: the net under wakes that Redis lost."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            try:
                await self._renew()
                await self.drive_due()
            except Exception:
                log.exception("Leases could not be renewed, trying again")

    async def _renew(self) -> None:
        held = [(run_id, fence) for run_id, (fence, _) in self._driven.items()]
        if not held:
            return
        kept = await journal.renew(self._pool, held, self._lease)
        for run_id, fence in held:
            current = self._driven.get(run_id)
            if run_id not in kept and current is not None and current[0] == fence:
                log.warning("The lease on run %s was lost", run_id)
                current[1].cancel()
        for run_id, is_cancel_requested in kept.items():
            if is_cancel_requested:
                self.cancel(run_id)


def _weight(entry: Entry) -> int:
    """About as many bytes again as the events have are in the steps."""
    return 2 * sum(len(event.data) for event in entry.events)
