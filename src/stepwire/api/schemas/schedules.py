"""Schedules as clients see them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from stepwire.api.schemas.common import Instant
from stepwire.db.models import Schedule
from stepwire.definition.cron import Due
from stepwire.definition.firing import CatchUp, Overlap
from stepwire.services.schedules import Wanted

Cron = Annotated[
    str,
    Meta(
        min_length=1, max_length=200, examples=["0 9 * * MON-FRI"],
        description="Minute, hour, day of month, month, day of week; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`",
    ),
]  # fmt: skip
# A float, since JSON Schema's integers include 5.0, and msgspec's do not.
Jitter = Annotated[
    float,
    Meta(
        ge=0,
        le=3600,
        multiple_of=1,
        description="Seconds by which it may begin later, to spread load; never as late as the next instant",
    ),
]


class ReadOnly(msgspec.Struct, kw_only=True):
    """What an answer holds beside the writable fields: accepted on the way back in, and ignored."""

    id: Any = None
    next_fire_at: Any = None
    last_fired_at: Any = None
    last_run_id: Any = None
    last_skipped_at: Any = None
    created_at: Any = None
    updated_at: Any = None


class ScheduleInput(ReadOnly, kw_only=True, forbid_unknown_fields=True):
    workflow_id: UUID
    name: Annotated[str, Meta(min_length=1, max_length=200, description="Of the workflow's schedules, which one")] = (
        "default"
    )
    cron: Cron
    timezone: Annotated[str, Meta(min_length=1, max_length=64, examples=["Europe/Berlin"])] = "UTC"
    input: Annotated[dict[str, Any], Meta(description="The input of its runs, checked against the input schema")] = {}
    enabled: bool = True
    overlap: Annotated[
        Overlap,
        Meta(description="While a run of it goes on: start none, start another, or start one when that has ended"),
    ] = "skip"
    catch_up: Annotated[
        CatchUp, Meta(description="Of what was missed while nothing ran: none, the last one, or all (1,000 at most)")
    ] = "none"
    jitter: Jitter = 0.0

    def wanted(self) -> Wanted:
        values = {name: getattr(self, name) for name in Wanted.__struct_fields__}
        return Wanted(**{**values, "jitter": int(self.jitter)})


class ScheduleResponse(msgspec.Struct, kw_only=True):
    id: UUID
    workflow_id: UUID
    name: str
    cron: Annotated[str, Meta(description="As five fields")]
    timezone: str
    input: dict[str, Any]
    enabled: bool
    overlap: Overlap
    catch_up: CatchUp
    jitter: int
    next_fire_at: Annotated[
        Instant | None, Meta(description="Null while it is paused, or where nothing is due any more")
    ]
    last_fired_at: Annotated[Instant | None, Meta(description="The last instant that a run was started for")]
    last_run_id: UUID | None
    last_skipped_at: Annotated[
        Instant | None, Meta(description="The last instant that no run was started for, because one went on")
    ]
    created_at: Instant
    updated_at: Instant


class DueResponse(msgspec.Struct, kw_only=True):
    """An instant that a schedule is due at."""

    at: Instant
    local: Annotated[
        datetime, Meta(description="The same in the schedule's zone", examples=["2030-01-31T09:00:00+01:00"])
    ]
    is_moved: Annotated[bool, Meta(description="To the end of a gap: the day has no such time")]
    is_first_of_two: Annotated[bool, Meta(description="The clock shows this time once more that day; it is due once")]
    merged: Annotated[int, Meta(description="How many other times of day came to the same instant")]


class SchedulePreview(msgspec.Struct):
    items: list[DueResponse]


def schedule_response(schedule: Schedule) -> ScheduleResponse:
    return ScheduleResponse(
        id=schedule.id, workflow_id=schedule.workflow_id, name=schedule.name, cron=schedule.cron, timezone=schedule.timezone,
        input=schedule.input, enabled=schedule.enabled, overlap=schedule.overlap,  # type: ignore[arg-type]
        catch_up=schedule.catch_up, jitter=schedule.jitter, next_fire_at=schedule.next_fire_at,  # type: ignore[arg-type]
        last_fired_at=schedule.last_fired_at, last_run_id=schedule.last_run_id, last_skipped_at=schedule.last_skipped_at,
        created_at=schedule.created_at, updated_at=schedule.updated_at,
    )  # fmt: skip


def due_response(due: Due, tz: ZoneInfo) -> DueResponse:
    return DueResponse(
        at=due.at,
        local=due.at.astimezone(tz),
        is_moved=due.is_moved,
        is_first_of_two=due.is_first_of_two,
        merged=due.merged,
    )
