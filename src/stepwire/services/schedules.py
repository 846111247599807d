"""Schedules: made or changed by workflow and name, paused and resumed, looked ahead at."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from stepwire.db.models import Schedule
from stepwire.db.schedules import ScheduleRepository
from stepwire.db.session import Database
from stepwire.definition.cron import BadCron, Due, checked, dues, next_due, zone
from stepwire.definition.firing import CatchUp, Overlap, due_at
from stepwire.errors import InvalidSchedule, Issue, ScheduleNotFound, Unavailable
from stepwire.services.idempotency import check_same, request_hash
from stepwire.services.limits import check_json, check_text
from stepwire.services.paging import Paging, Part, cut, part_of
from stepwire.services.runs import Workflows, archived

MOST = 100  # of a workflow
TRIES = 3


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a schedule is to be."""

    workflow_id: UUID
    name: str
    cron: str
    timezone: str
    input: dict[str, Any]
    enabled: bool
    overlap: Overlap
    catch_up: CatchUp
    jitter: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A schedule, whether it was made just now, and whether an earlier request with the same key did what this one asks."""

    schedule: Schedule
    is_new: bool
    is_replayed: bool = False


class ScheduleService:
    """What an owner can do with schedules. Workers see a change within a second."""

    def __init__(self, database: Database, workflows: Workflows, max_input_bytes: int) -> None:
        self._database = database
        self._workflows = workflows
        self._max_input_bytes = max_input_bytes

    async def put(self, owner: UUID, wanted: Wanted, key: str | None) -> Kept:
        """Make the workflow's schedule of this name, or change it, from the next instant on.

        Raises:
            WorkflowNotFound, WorkflowNotPublished, InvalidSchedule, InvalidInput, TooLarge, Unacceptable,
            IdempotencyKeyReused.
        """
        workflow = await self._workflows.get(owner, wanted.workflow_id)
        check_text(wanted.name, "name")
        check_json(wanted.input, "input", self._max_input_bytes)
        cron, tz = _readable(wanted.cron, wanted.timezone)
        if workflow.input_schema is not None:
            workflow.input_schema.check(wanted.input)
        digest = None if key is None else request_hash(msgspec.to_builtins(wanted))
        for _ in range(TRIES):
            try:
                return await self._put(owner, wanted, cron, tz, key, digest)
            except IntegrityError:  # another request has made it, or used the key, meanwhile
                continue
        raise Unavailable("The schedule is made and deleted all the time; try again.")

    async def _put(
        self, owner: UUID, wanted: Wanted, cron: str, tz: ZoneInfo, key: str | None, digest: bytes | None
    ) -> Kept:
        async with self._database.session() as session:
            repository = ScheduleRepository(session=session)
            earlier = None if key is None else await repository.by_idempotency_key(wanted.workflow_id, key)
            if earlier is not None:
                check_same(earlier.request_hash, digest or b"")
                return Kept(earlier, is_new=False, is_replayed=True)
            if not await repository.is_published(wanted.workflow_id):
                raise archived()
            # In this order: whoever fires it meanwhile has come to an instant before this one.
            known, now = await repository.named(wanted.workflow_id, wanted.name), await repository.now()
            schedule_id = uuid7() if known is None else known.id
            values = msgspec.structs.asdict(wanted) | {"cron": cron, "idempotency_key": key, "request_hash": digest}
            if known is not None and known.enabled and (known.cron, known.timezone) == (cron, wanted.timezone):
                following = known.next_fire_at
            else:
                following = await asyncio.to_thread(next_due, cron, tz, now)
                if following is None:
                    raise InvalidSchedule("No date fits the cron expression in the next 50 years.")
            values |= await _due(schedule_id, wanted.enabled, following, wanted.jitter, cron, tz)
            if known is not None and wanted.enabled and following is not None and following <= now:
                # It waits for a run to end; looked at from its instant on, it would have been missed.
                values["due_at"] = known.due_at
            if known is not None:
                await repository.change(known, **values)
                return Kept(known, is_new=False)
            if await repository.count_of_workflow(wanted.workflow_id) >= MOST:
                raise InvalidSchedule(f"The workflow has {MOST} schedules already, which is the most that it may have.")
            schedule = Schedule(id=schedule_id, owner_id=owner, **values)
            await repository.add(schedule)
            return Kept(schedule, is_new=True)

    async def get(self, owner: UUID, schedule_id: UUID) -> Schedule:
        """Raises: ScheduleNotFound."""
        async with self._database.session() as session:
            return _found(await ScheduleRepository(session=session).of_owner(owner, schedule_id), schedule_id)

    async def of_owner(self, owner: UUID, paging: Paging, *, workflow_id: UUID | None) -> Part[Schedule]:
        """A part of the owner's schedules, newest first."""
        async with self._database.session() as session:
            repository = ScheduleRepository(session=session)
            rows, total = await repository.part_of_owner(owner, workflow_id=workflow_id, **part_of(paging))
        return cut(rows, total, paging)

    async def delete(self, owner: UUID, schedule_id: UUID) -> None:
        """Its runs go on. Raises: ScheduleNotFound."""
        async with self._database.session() as session:
            repository = ScheduleRepository(session=session)
            found = _found(await repository.of_owner(owner, schedule_id, for_update=True), schedule_id)
            await repository.delete(found)

    async def set_enabled(self, owner: UUID, schedule_id: UUID, enabled: bool) -> Schedule:
        """Pause it, or go on with the next instant: what came meanwhile was not missed.

        Raises:
            ScheduleNotFound, WorkflowNotPublished (to go on, when it is archived).
        """
        async with self._database.session() as session:
            repository = ScheduleRepository(session=session)
            found = _found(await repository.of_owner(owner, schedule_id, for_update=True), schedule_id)
            if enabled and not await repository.is_published(found.workflow_id):
                raise archived()
            if found.enabled != enabled:
                tz, now = zone(found.timezone), await repository.now()
                following = await asyncio.to_thread(next_due, found.cron, tz, now)
                due = await _due(found.id, enabled, following, found.jitter, found.cron, tz)
                await repository.change(found, enabled=enabled, **due)
            return found

    async def preview(self, owner: UUID, schedule_id: UUID, count: int) -> tuple[ZoneInfo, list[Due]]:
        """The next instants, whether it is paused or not. Raises: ScheduleNotFound."""
        async with self._database.session() as session:
            repository = ScheduleRepository(session=session)
            found = _found(await repository.of_owner(owner, schedule_id), schedule_id)
            now, tz = await repository.now(), zone(found.timezone)
        return tz, await _coming(found.cron, tz, now, count)

    async def look_ahead(self, cron: str, timezone: str, count: int) -> tuple[ZoneInfo, list[Due]]:
        """The next instants of a schedule that there is not. Raises: InvalidSchedule."""
        readable, tz = _readable(cron, timezone)
        async with self._database.session() as session:
            now = await ScheduleRepository(session=session).now()
        return tz, await _coming(readable, tz, now, count)


async def _coming(cron: str, tz: ZoneInfo, now: datetime, count: int) -> list[Due]:
    return await asyncio.to_thread(lambda: list(islice(dues(cron, tz, now), count)))


async def _due(
    schedule_id: UUID, enabled: bool, following: datetime | None, jitter: int, cron: str, tz: ZoneInfo
) -> dict[str, Any]:
    if not enabled or following is None:
        return {"next_fire_at": None, "due_at": None}
    looked_at = await asyncio.to_thread(due_at, schedule_id, following, jitter, cron=cron, tz=tz)
    return {"next_fire_at": following, "due_at": looked_at}


def _readable(given: str, timezone: str) -> tuple[str, ZoneInfo]:
    issues: list[Issue] = []
    cron, tz = "", ZoneInfo("UTC")
    try:
        cron = checked(given)
    except BadCron as error:
        issues.append(Issue(code="cron", message=str(error), path="/cron"))
    try:
        tz = zone(timezone)
    except BadCron as error:
        issues.append(Issue(code="timezone", message=str(error), path="/timezone"))
    if issues:
        raise InvalidSchedule(" ".join(each.message for each in issues), issues=tuple(issues))
    return cron, tz


def _found(schedule: Schedule | None, schedule_id: UUID) -> Schedule:
    if schedule is None:
        raise ScheduleNotFound(f"There is no schedule {schedule_id}.")
    return schedule
