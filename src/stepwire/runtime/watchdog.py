"""Notices when a step keeps the worker's event loop from turning, says which, and keeps the other runs safe meanwhile.

A thread of its own looks at the loop. While that stands still, the thread renews the leases of the worker's runs, so
that nobody repeats what is only late. When it stands still for too long, the process ends hard: the leases lapse, other
workers take over, and the step's attempt counts as lost. Code that does not even let go of the interpreter's lock, such
as a regular expression that backtracks for ever, holds this thread too; the kernel ends the process then, by the
processor time that it burns.
"""

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import FrameType
from uuid import UUID

from stepwire.db import claims
from stepwire.db.pool import open_pool
from stepwire.runtime.attempt import contained
from stepwire.runtime.executor import Executor

log = logging.getLogger(__name__)
LATE_SECONDS = 1.0
LOOK_SECONDS = 0.25
LEASES, LEAST_SECONDS = 4, 10.0  # how long the loop may stand still: so many leases, but so long at least


class Watchdog:
    """Looks after the loop of the thread that it is made in. ``held`` gives the runs in hand, as (id, fence)."""

    def __init__(self, url: str, held: Callable[[], Sequence[tuple[UUID, int]]], lease_seconds: float) -> None:
        self._url = url
        self._held = held
        self._lease = lease_seconds
        self._limit = max(LEASES * lease_seconds, LEAST_SECONDS)
        self._loop_thread = threading.get_ident()
        self._is_over = threading.Event()
        self._turned_at = time.monotonic()

    async def run(self) -> None:
        """Watch until cancelled."""
        faulthandler.register(signal.SIGVTALRM, chain=True)  # shows the stacks, then does what the signal does: end
        self._wind()
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            while True:
                self._turned_at = time.monotonic()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._is_over.set()

    def _watch(self) -> None:
        tell_at, renew_at = LATE_SECONDS, self._lease / 3
        while not self._is_over.wait(LOOK_SECONDS):
            now = time.monotonic()
            if now > self._looks_at + LATE_SECONDS:
                self._turned_at = now  # nothing ran at all, this thread neither: the process was stopped, say
            self._wind()
            late = now - self._turned_at
            if late < LATE_SECONDS:
                if tell_at > LATE_SECONDS:
                    log.warning("The event loop turns again")
                tell_at, renew_at = LATE_SECONDS, self._lease / 3
                continue
            if late >= tell_at:
                _without_fail(self._tell, late)
                tell_at = 2 * late
            if late > self._limit:
                log.critical("The event loop has stood still for %.1f s; this worker ends, others take over", late)
                os._exit(1)
            if late >= renew_at:
                _without_fail(self._renew)
                renew_at = late + self._lease / 3
            self._wind()
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _wind(self) -> None:
        """Have the kernel end the process when this thread cannot say in time that it still runs."""
        signal.setitimer(signal.ITIMER_VIRTUAL, self._limit)
        self._looks_at = time.monotonic() + LOOK_SECONDS

    def _tell(self, late: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        stack = "".join(traceback.format_stack(frame, limit=-30)) if frame is not None else ""
        log.error("Step %s keeps the event loop from turning, for %.1f s by now:\n%s", step_at_work(frame), late, stack)

    def _renew(self) -> None:
        asyncio.run(self._renew_leases(self._held()))

    async def _renew_leases(self, held: Sequence[tuple[UUID, int]]) -> None:
        async with open_pool(self._url, size=1) as pool:
            await claims.renew(pool, held, timedelta(seconds=self._lease))


def _without_fail(do: Callable[..., None], *arguments: object) -> None:
    try:
        do(*arguments)
    except Exception:
        log.exception("The watchdog goes on looking")


def step_at_work(frame: FrameType | None) -> str:
    """The step that a stack belongs to. Read off the stack, so that steps that do no harm pay nothing for it."""
    while frame is not None:
        if frame.f_code is contained.__code__:
            return str(frame.f_locals["label"])
        if frame.f_code is Executor.begin.__code__ or frame.f_code is Executor.execute.__code__:
            known = frame.f_locals
            step, run_id = known.get("step"), known["run"].id if "run" in known else known["run_id"]
            return f"(unknown) of run {run_id}" if step is None else f"{step.id!r} ({step.type}) of run {run_id}"
        frame = frame.f_back
    return "(unknown)"
