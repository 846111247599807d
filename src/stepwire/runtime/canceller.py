"""Cancels runs for whoever is asked to: those that nobody drives are ended here, the drivers of the others are told.

The core decides what a cancellation comes to, and a driver carries it out, under a claim like any worker's: so a run that
is queued, or waits, needs no worker to be cancelled. After a crash the claim lapses, and a worker goes on.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from itertools import groupby
from typing import NoReturn
from uuid import UUID, uuid4

from redis.asyncio import Redis

from stepwire.db import claims, journal
from stepwire.db.cancellation import cancel_children, claim_cancelled, request_cancel
from stepwire.db.claims import ClaimedRun
from stepwire.db.control import Outside, retried_at
from stepwire.db.entries import Entry
from stepwire.db.limits import let_through
from stepwire.db.pool import AWAY, Pool, is_away
from stepwire.definition.containers import outline
from stepwire.definition.plan import Catalog, Plan
from stepwire.engine.facts import CancelRequested
from stepwire.engine.model import RunState
from stepwire.errors import LeaseLost
from stepwire.runtime.clock import now
from stepwire.runtime.driver import Driver, Hands
from stepwire.signals.live import Announcement, RunChange, announce
from stepwire.signals.nudge import announce_nudges
from stepwire.signals.wake import Waker

log = logging.getLogger(__name__)
SIDE_BY_SIDE = 4  # of a process's connections
ENOUGH_SECONDS = 5.0  # then the workers do the rest of a large family


class NoAttempts:
    """What is cancelled begins nothing."""

    def begin(self, *_: object) -> NoReturn:
        raise AssertionError("A run that is cancelled begins nothing.")

    async def execute(self, *_: object) -> NoReturn:
        raise AssertionError("A run that is cancelled begins nothing.")


class Canceller:
    """Cancels runs, each with those that it waits for, which end before it does."""

    def __init__(self, pool: Pool, redis: Redis, waker: Waker, catalog: Catalog, *, lease_seconds: float) -> None:
        self._pool = pool
        self._redis = redis
        self._waker = waker
        self._catalog = catalog
        self._by = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._lease = timedelta(seconds=lease_seconds)
        self._side_by_side = asyncio.Semaphore(SIDE_BY_SIDE)

    async def cancel(self, owner: UUID, run_id: UUID) -> bool:
        """Have a run cancelled; False where it is over, or not the owner's.

        The order is stored when this returns, and what nobody drove has ended.

        Raises:
            Unavailable: the database is away.
        """
        requested = await request_cancel(self._pool, owner, run_id, self._by, self._lease)
        if requested is None:
            return False
        claimed = {run.id for run in requested.claimed}
        driven = [each for each in requested.run_ids if each not in claimed]
        if driven:
            await announce_nudges(self._redis, driven)
        if not await self._end_all(requested.run_ids, requested.claimed):
            await self._waker.wake()
        return True

    async def _end_all(self, run_ids: Sequence[UUID], claimed: list[ClaimedRun]) -> bool:
        """End what is claimed, then what has become free meanwhile, children first; whether that is all of the runs."""
        ended: set[UUID] = set()
        enough = asyncio.get_running_loop().time() + ENOUGH_SECONDS
        try:
            while claimed and asyncio.get_running_loop().time() < enough:
                goes_on = False
                claimed.sort(key=lambda run: -run.depth)
                for _, level in groupby(claimed, key=lambda run: run.depth):
                    runs = list(level)
                    for run, has_ended in zip(runs, await asyncio.gather(*map(self._end, runs)), strict=True):
                        goes_on = goes_on or has_ended is not False
                        ended.update([run.id] if has_ended else [])
                left = [each for each in run_ids if each not in ended]
                claimed = await claim_cancelled(self._pool, left, self._by, self._lease) if goes_on and left else []
            await self._hand_back(claimed)
        except Exception as error:
            if isinstance(error, AWAY) and is_away(error):
                log.warning("The database is away, the workers cancel the rest: %r", error)
            else:
                log.exception("Not everything could be cancelled, the workers do the rest")
        return len(ended) == len(run_ids)

    async def _end(self, run: ClaimedRun) -> bool | None:
        """Whether the run has ended; None where it may when it is claimed again."""
        async with self._side_by_side:
            announcements: list[tuple[str, Announcement | RunChange]] = []
            state = await journal.load(self._pool, run.id, run.status, run.started_at) if run.seq > 1 else RunState()
            driver = Driver(run, await self._outline(run.workflow_id), state, self._hands(announcements))
            try:
                await driver.drive(CancelRequested(at=now()))
            except LeaseLost as error:
                log.info("%s", error)
                await self._hand_back([run])
                return None
            if announcements:
                await announce(self._redis, announcements)
            if driver.state.is_finished:
                return True
            return None if driver.wake_at is not None else False

    async def _outline(self, workflow_id: UUID) -> Plan:
        definition = await journal.definition(self._pool, workflow_id)
        return Plan(steps={}) if definition is None else await asyncio.to_thread(outline, definition, self._catalog)

    def _hands(self, announcements: list[tuple[str, Announcement | RunChange]]) -> Hands:
        async def nothing_outside(*_: object) -> Outside:
            return Outside(0, True, [], [])

        async def hold(_: ClaimedRun) -> None:
            pass

        return Hands(
            executor=NoAttempts(),
            append=self._append,
            hold=hold,
            announce=lambda channel, announcement: announcements.append((channel, announcement)),
            waits=lambda _: None,
            look_outside=nothing_outside,
            cancel_children=self._cancel_children,
            retried_at=partial(retried_at, self._pool),
            longest_run=timedelta(),
            max_context_bytes=0,
        )

    async def _append(self, entry: Entry) -> int | None:
        written = await journal.append(self._pool, [entry])
        if entry.limited_workflow_id is not None and entry.run_id in written.nudges:
            self._waker.wake_soon(let_through(self._pool, [entry.limited_workflow_id]))
        if written.nudged:
            await self._tell(written.nudged)
        return written.nudges.get(entry.run_id)

    async def _cancel_children(self, run_id: UUID) -> bool:
        are_left, untold = await cancel_children(self._pool, run_id)
        if untold:
            await self._tell(untold)
        return are_left

    async def _tell(self, run_ids: Sequence[UUID]) -> None:
        await asyncio.gather(announce_nudges(self._redis, run_ids), self._waker.wake())

    async def _hand_back(self, runs: Sequence[ClaimedRun]) -> None:
        if runs:
            await claims.release(self._pool, [(run.id, run.fence) for run in runs])
