"""Claims due runs and drives them side by side, up to the worker's slots."""

import asyncio
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from redis.asyncio import Redis

from stepwire.db import claims, journal
from stepwire.db.cancellation import cancel_children
from stepwire.db.claims import ClaimedRun
from stepwire.db.control import Outside, outside, retried_at
from stepwire.db.entries import Entry
from stepwire.db.group_commit import GroupCommit
from stepwire.db.limits import let_through, with_held_runs
from stepwire.db.pool import Pool
from stepwire.definition.plan import Plan
from stepwire.engine.facts import Abandoned
from stepwire.engine.model import RunState
from stepwire.errors import LeaseLost
from stepwire.points import reach
from stepwire.runtime.alarm import Alarm
from stepwire.runtime.clock import now
from stepwire.runtime.driver import Driver, Hands
from stepwire.runtime.executor import Executor
from stepwire.runtime.patience import patiently
from stepwire.runtime.plans import Plans, PlanUnavailable
from stepwire.runtime.tallies import keep_tallies
from stepwire.signals.live import Announcement, RunChange, announce
from stepwire.signals.nudge import announce_nudges, hear_nudges
from stepwire.signals.wake import Waker

log = logging.getLogger(__name__)
CLAIM_BATCH = 16  # a run that comes while others are claimed waits for as many
BUSY = 40  # runs that compute or are journalled: more would only make each of them, and whoever comes next, wait
SPARE = 10  # one place more for as many slots: no owner takes those, so that others need not wait for its long calls


class Runner:
    """The runs in this worker's hands."""

    def __init__(
        self,
        pool: Pool,
        redis: Redis,
        waker: Waker,
        plans: Plans,
        executor: Executor,
        *,
        slots: int,
        lease_seconds: float,
        longest_run_seconds: float,
        max_context_bytes: int,
    ) -> None:
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._pool = pool
        self._redis = redis
        self._plans = plans
        self._waker = waker
        self._slots = slots
        self._places = slots + slots // SPARE + 1
        self._turn = claims.NOBODY  # the owner that had the last one
        self._lease = timedelta(seconds=lease_seconds)
        self._driven: dict[UUID, tuple[int, asyncio.Task[None]]] = {}
        self._waiting = 0  # of them, for something from outside
        self._owners: Counter[UUID] = Counter()  # how many of their runs are in hand
        self._drivers: dict[UUID, Driver] = {}
        self._lapses_at: dict[tuple[UUID, int], float] = {}  # (id, fence); by our clock, no later than the database's
        self._entries = GroupCommit(self._write, weigh=_weight)
        self._hands = Hands(
            executor=executor,
            append=self._entries.submit,
            hold=self._hold,
            announce=self._tell,
            waits=self._waits,
            look_outside=self._look_outside,
            cancel_children=self._cancel_children,
            retried_at=self._retried_at,
            longest_run=timedelta(seconds=longest_run_seconds),
            max_context_bytes=max_context_bytes,
        )
        self._nudging: set[asyncio.Task[None]] = set()
        self._announcements: list[tuple[str, Announcement | RunChange]] = []
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
            group.create_task(hear_nudges(self._redis, self.nudge))
            group.create_task(keep_tallies(self._pool))

    async def drive_due(self) -> None:
        """Claim what is due and drive it, until nothing is due or no slot is free."""
        async with self._claiming:
            while not self._is_stopping:
                limit = self._room()
                if limit <= 0:
                    self._is_hungry = True
                    return
                lapses_at, before = self._from_now(), self._owners.copy()
                claimed = await claims.claim(
                    self._pool, worker=self.worker, limit=limit, lease=self._lease, after=self._turn, held=before,
                    most=self._slots,
                )  # fmt: skip
                for run in claimed:
                    self._lapses_at[run.id, run.fence] = lapses_at
                    self._start(run)
                if queued := [run.owner_id for run in claimed if run.status == "queued"]:
                    self._turn = max(queued, key=lambda owner: (owner <= self._turn, owner))
                full = {
                    each
                    for each, count in (before + Counter(run.owner_id for run in claimed)).items()
                    if count >= self._slots
                }
                if any(self._owners[each] < self._slots for each in full):
                    continue  # some of theirs have ended meanwhile
                if not claimed or len(claimed) < limit * 3 // 4:
                    self._is_hungry = bool(full)  # what they have queued goes on as soon as one of theirs ends
                    return

    async def let_through(self) -> None:
        """Let held runs go on where there is room, whatever was not heard of."""
        if workflow_ids := await with_held_runs(self._pool):
            await let_through(self._pool, workflow_ids)

    def nudge(self, run_id: UUID) -> None:
        """Have a run's driver look at what has happened outside, if the run is in this worker's hands."""
        if (driver := self._drivers.get(run_id)) is not None:
            driver.nudge()

    def held(self) -> list[tuple[UUID, int]]:
        """The runs in hand, as (id, fence)."""
        return [(run_id, fence) for run_id, (fence, _) in self._driven.items()]

    async def stop(self, grace_seconds: float) -> None:
        """Claim no more, let what is in flight end, then hand the rest back."""
        self._is_stopping = True
        tasks = [task for _, task in self._driven.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_seconds)
        held = self.held()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if held:
            try:
                await claims.release(self._pool, held)
            except Exception:
                log.exception("Leases could not be handed back; they lapse")

    def _room(self) -> int:
        """How many runs may be claimed now. Those that wait for an answer take a place, and no time."""
        held = len(self._driven)
        return min(CLAIM_BATCH, self._places - held, BUSY - (held - self._waiting))

    def _start(self, run: ClaimedRun) -> None:
        task = asyncio.create_task(self._drive(run), name=f"run {run.id}")
        self._driven[run.id] = (run.fence, task)
        self._owners[run.owner_id] += 1
        task.add_done_callback(lambda _: self._ended(run))

    def _ended(self, run: ClaimedRun) -> None:
        self._lapses_at.pop((run.id, run.fence), None)
        self._owners[run.owner_id] -= 1
        if not self._owners[run.owner_id]:
            del self._owners[run.owner_id]
        if run.id in self._driven and self._driven[run.id][0] == run.fence:
            del self._driven[run.id]
        self._claim_if_hungry()

    def _waits(self, change: int) -> None:
        self._waiting += change
        if change > 0:
            self._claim_if_hungry()

    def _claim_if_hungry(self) -> None:
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
            await self._drive_until_it_rests(run)
        except LeaseLost as error:
            log.warning("%s", error)
            # Ours still, where something has happened to it outside; then it is looked at again.
            await patiently(partial(claims.release, self._pool, [(run.id, run.fence)]))
            self._is_hungry = True
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("Run %s cannot be driven; its lease lapses and it is tried again", run.id)

    async def _drive_until_it_rests(self, run: ClaimedRun) -> None:
        state = RunState()
        if run.seq > 1:
            state = await patiently(partial(journal.load, self._pool, run.id, run.status, run.started_at))
        first: Abandoned | None = None
        try:
            plan = await patiently(partial(self._plans.get, run.workflow_id))
        except PlanUnavailable as error:
            plan, first = Plan(steps={}), Abandoned(at=now(), code=error.kind, message=error.detail)
        driver = self._drivers[run.id] = Driver(run, plan, state, self._hands)
        try:
            await driver.drive(first)
        finally:
            if self._drivers.get(run.id) is driver:
                del self._drivers[run.id]
        self._alarm.set(driver.wake_at)

    async def _look_outside(self, run_id: UUID, asking: Sequence[str], awaiting: Sequence[str]) -> Outside:
        return await patiently(partial(outside, self._pool, run_id, asking, awaiting))

    async def _retried_at(self, run_id: UUID) -> datetime | None:
        return await patiently(partial(retried_at, self._pool, run_id))

    async def _cancel_children(self, run_id: UUID) -> bool:
        are_left, untold = await patiently(partial(cancel_children, self._pool, run_id))
        if untold:
            self._nudge_soon(untold)
        return are_left

    async def _hold(self, run: ClaimedRun) -> None:
        """Return while a run is ours by the clock, or is made so again: a worker that was stopped, or cut off from the
        database, begins nothing that another one may have begun, or that was cancelled, meanwhile.

        Raises:
            LeaseLost: somebody else has claimed it.
        """
        held = [(run.id, run.fence)]
        spare = (
            self._lease.total_seconds() / 3
        )  # what is begun takes a moment to be on its way, on a busy machine a long one
        while time.monotonic() > self._lapses_at[run.id, run.fence] - spare:
            lapses_at = self._from_now()
            if run.id not in await patiently(partial(claims.renew, self._pool, held, self._lease)):
                raise LeaseLost(f"The lease on run {run.id} lapsed, and another worker has claimed it.")
            self._lapses_at[run.id, run.fence] = lapses_at

    def _from_now(self) -> float:
        return time.monotonic() + self._lease.total_seconds()

    async def _write(self, entries: Sequence[Entry]) -> list[int | None]:
        written = await journal.append(self._pool, entries)
        limited = {
            each.limited_workflow_id for each in entries if each.limited_workflow_id and each.run_id in written.nudges
        }
        if limited:
            self._waker.wake_soon(let_through(self._pool, limited))
        if written.nudged:
            self._nudge_soon(written.nudged)
        return [written.nudges.get(entry.run_id) for entry in entries]

    def _nudge_soon(self, run_ids: Sequence[UUID]) -> None:
        """Tell whoever drives these runs, or will, that something has happened."""

        async def tell() -> None:
            await asyncio.gather(announce_nudges(self._redis, run_ids), self._waker.wake())

        task = asyncio.create_task(tell())
        self._nudging.add(task)
        task.add_done_callback(self._nudging.discard)

    def _tell(self, channel: str, announcement: Announcement | RunChange) -> None:
        """Announce together what one flush made durable: the drivers that it woke all come here in the same turn."""
        self._announcements.append((channel, announcement))
        if self._telling is None:
            self._telling = asyncio.create_task(self._announce())

    async def _announce(self) -> None:
        while self._announcements:
            batch, self._announcements = self._announcements, []
            try:
                reach("tell.before")
                await announce(self._redis, batch)
                reach("tell.after")
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
        held = self.held()
        if not held:
            return
        lapses_at = self._from_now()
        kept = await claims.renew(self._pool, held, self._lease)
        for run_id, fence in held:
            current = self._driven.get(run_id)
            if run_id not in kept and current is not None and current[0] == fence:
                log.warning("The lease on run %s was lost", run_id)
                current[1].cancel()
            elif current is not None and current[0] == fence:
                self._lapses_at[run_id, fence] = lapses_at
        for run_id, nudges in kept.items():
            driver = self._drivers.get(run_id)
            if driver is not None and driver.has_missed(nudges):
                driver.nudge()


def _weight(entry: Entry) -> int:
    """About as many bytes again as the events have are in the steps."""
    return 2 * sum(len(event.data) for event in entry.events)
