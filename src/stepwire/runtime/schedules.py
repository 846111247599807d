"""Starts runs by the clock; every worker takes part, and the database decides who has which schedule in hand."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from uuid_utils.compat import uuid7

from stepwire.db import firing as stored
from stepwire.db.firing import DueSchedule, Moved
from stepwire.db.journal import NewRun
from stepwire.db.limits import let_through
from stepwire.db.pool import Pool
from stepwire.definition.cron import zone
from stepwire.definition.firing import Firing, due_at, fire
from stepwire.engine.events import RunQueued, data_of
from stepwire.signals.live import Announcer, queued_change
from stepwire.signals.wake import Waker

log = logging.getLogger(__name__)
AT_ONCE = 200
# Of runs in one transaction, and of their rows: after a downtime each schedule may have a thousand to start.
RUNS_AT_ONCE, BYTES_AT_ONCE = 1000, 16 << 20
ROW_BYTES = 1000  # without inputs
LOOK_SECONDS = 1.0  # a schedule that was made or changed meanwhile is not looked for before
AGAIN = timedelta(seconds=1)  # for those that wait for a run to end
MUCH_LATER = timedelta(seconds=60)  # for those that cannot be read


class Scheduler:
    """Looks for schedules that are due, until cancelled."""

    def __init__(self, pool: Pool, waker: Waker, announcer: Announcer) -> None:
        self._pool = pool
        self._waker = waker
        self._announcer = announcer

    async def run(self) -> None:
        """Sleep until something is due, at most a second; start what is."""
        while True:
            pause = LOOK_SECONDS
            try:
                while await self._fire() == AT_ONCE:
                    pass
                left = await stored.seconds_left(self._pool)
                pause = LOOK_SECONDS if left is None else min(max(left, 0.01), LOOK_SECONDS)
            except Exception:
                log.exception("Schedules could not be looked at, trying again")
            await asyncio.sleep(pause)

    async def _fire(self) -> int:
        """Start the runs of schedules that are due, and say when they are due next; how many these were."""
        async with stored.due(self._pool, AT_ONCE) as (connection, due):
            if not due:
                return 0
            decided = await asyncio.to_thread(_decide, due)
            runs = [run for _, started in decided for run in started]
            accepted = await stored.move_on(connection, runs, [moved for moved, _ in decided])
        limited = {run.workflow_id for run in runs if run.is_limited and run.id in accepted}
        if accepted:
            self._waker.wake_soon(let_through(self._pool, limited) if limited else None)
            self._announcer.soon(
                (run.owner_id, queued_change(run.id, run.workflow_id, run.queued, accepted[run.id]))
                for run in runs
                if run.id in accepted
            )
        return len(due)


def _decide(due: Sequence[DueSchedule]) -> list[tuple[Moved, list[NewRun]]]:
    """For as many of them as fit into one transaction, in order; the others are due still."""
    decided: list[tuple[Moved, list[NewRun]]] = []
    count = size = 0
    for schedule in due:
        moved, runs = _decided_alone(schedule)
        decided.append((moved, runs))
        count += len(runs)
        size += len(runs) * _size(schedule)
        if count >= RUNS_AT_ONCE or size >= BYTES_AT_ONCE:
            break
    return decided


def _decided_alone(schedule: DueSchedule) -> tuple[Moved, list[NewRun]]:
    """One that cannot be read, because its zone is no more, say, holds up no other."""
    try:
        return _decided(schedule)
    except Exception:
        log.exception("Schedule %s cannot be read", schedule.id)
        return Moved(schedule.id, schedule.next_fire_at, schedule.now + MUCH_LATER), []


def _decided(schedule: DueSchedule) -> tuple[Moved, list[NewRun]]:
    """What a schedule is to be next, and the runs that it starts. Those of an archived workflow are never due again."""
    if schedule.status != "published":
        return Moved(schedule.id), []
    firing = fire(
        schedule.cron, zone(schedule.timezone), due=schedule.next_fire_at, looked_for_at=schedule.due_at,
        now=schedule.now, overlap=schedule.overlap, catch_up=schedule.catch_up, is_running=schedule.is_running,
        at_once=max(1, min(RUNS_AT_ONCE, BYTES_AT_ONCE // _size(schedule))),
    )  # fmt: skip
    runs = [_run(schedule, instant) for instant in firing.instants]
    fired_at, run_id = (firing.instants[-1], runs[-1].id) if runs else (None, None)
    return Moved(schedule.id, firing.next_at, _look_at(schedule, firing), fired_at, run_id, firing.skipped), runs


def _look_at(schedule: DueSchedule, firing: Firing) -> datetime | None:
    if firing.waits:
        return schedule.now + AGAIN
    if firing.goes_on:
        return schedule.now
    if firing.next_at is None:
        return None
    return due_at(schedule.id, firing.next_at, schedule.jitter, cron=schedule.cron, tz=zone(schedule.timezone))


def _size(schedule: DueSchedule) -> int:
    """Of a run, with its event."""
    return 2 * schedule.input_bytes + ROW_BYTES


def _run(schedule: DueSchedule, instant: datetime) -> NewRun:
    """A run whose idempotency key is the schedule and the instant: nobody can start it twice."""
    run_id = uuid7()
    fired_at = msgspec.json.encode(instant).decode().strip('"')
    queued = RunQueued(
        at=schedule.now, workflow_id=schedule.workflow_id, workflow_version=schedule.version, trigger_type="schedule",
        input=schedule.input,
    )  # fmt: skip
    trigger = {
        "type": "schedule",
        "schedule_id": schedule.id,
        "name": schedule.name,
        "fired_at": fired_at,
        "timezone": schedule.timezone,
    }
    return NewRun(
        id=run_id, owner_id=schedule.owner_id, workflow_id=schedule.workflow_id, workflow_version=schedule.version,
        trigger_type="schedule", trigger=msgspec.json.encode(trigger).decode(),
        input=msgspec.json.encode(schedule.input).decode(), queued=msgspec.json.encode(data_of(queued)).decode(),
        idempotency_key=f"{schedule.id}:{fired_at}", is_limited=schedule.is_limited,
    )  # fmt: skip
