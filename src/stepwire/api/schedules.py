"""``/triggers/schedule(s)``: start runs by the clock."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, delete, get, post
from litestar.openapi.spec import Example
from litestar.params import Parameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from stepwire.api.openapi import made_before, problems
from stepwire.api.paging import page_response
from stepwire.api.schemas.common import Page
from stepwire.api.schemas.schedules import (
    ScheduleInput,
    SchedulePreview,
    ScheduleResponse,
    due_response,
    schedule_response,
)
from stepwire.api.workflows import REPLAYED
from stepwire.services.paging import Paging
from stepwire.services.schedules import ScheduleService

Cron = Annotated[str, Parameter(max_length=200, examples=[Example(value="0 9 * * MON-FRI")])]
Zone = Annotated[str, Parameter(max_length=64, description="An IANA time zone")]
Count = Annotated[int, Parameter(query="n", ge=1, le=1000, description="How many")]


class ScheduleController(Controller):
    path = "/triggers"
    tags = ["Triggers"]  # noqa: RUF012 - Litestar's attribute

    @post(
        "/schedule",
        operation_id="putSchedule",
        status_code=HTTP_201_CREATED,
        responses=made_before(ScheduleResponse, "Changed; or made before, by a request with this idempotency key")
        | problems(404, 409, 413, 415, 422),
    )
    async def put_schedule(
        self, data: ScheduleInput, schedules: ScheduleService, owner: UUID, header_key: str | None
    ) -> Response[ScheduleResponse]:
        """Make a schedule of a published workflow, or change the one of this name. Each instant starts one run.

        A time that a day does not have, because the clock is put forward, is due right after the gap; one that a day has twice
        at the first of the two. With a wildcard or a step as minute or hour (`*/10`) it goes by elapsed time instead.
        """
        kept = await schedules.put(owner, data.wanted(), header_key)
        headers = {"Location": f"/api/v1/triggers/schedules/{kept.schedule.id}"} | (
            REPLAYED if kept.is_replayed else {}
        )
        status = HTTP_201_CREATED if kept.is_new else HTTP_200_OK
        return Response(schedule_response(kept.schedule), status_code=status, headers=headers)

    @get("/schedules", operation_id="listSchedules", responses=problems())
    async def list_schedules(
        self,
        request: Request[Any, Any, Any],
        schedules: ScheduleService,
        owner: UUID,
        paging: Paging,
        workflow_id: UUID | None = None,
    ) -> Response[Page[ScheduleResponse]]:
        """List schedules, newest first."""
        part = await schedules.of_owner(owner, paging, workflow_id=workflow_id)
        return page_response(request, part, [schedule_response(each) for each in part.items], paging)

    @get("/schedules/preview", operation_id="previewCron", responses=problems(422))
    async def preview_cron(
        self, schedules: ScheduleService, cron: Cron, timezone: Zone = "UTC", count: Count = 10
    ) -> SchedulePreview:
        """Look ahead before there is a schedule: when a cron expression would be due, with what clock changes do to that."""
        tz, found = await schedules.look_ahead(cron, timezone, count)
        return SchedulePreview([due_response(due, tz) for due in found])

    @get("/schedules/{schedule_id:uuid}", operation_id="getSchedule", responses=problems(404))
    async def get_schedule(self, schedule_id: UUID, schedules: ScheduleService, owner: UUID) -> ScheduleResponse:
        """Get a schedule."""
        return schedule_response(await schedules.get(owner, schedule_id))

    @delete("/schedules/{schedule_id:uuid}", operation_id="deleteSchedule", responses=problems(404))
    async def delete_schedule(self, schedule_id: UUID, schedules: ScheduleService, owner: UUID) -> None:
        """Delete a schedule; the runs that it has started go on."""
        await schedules.delete(owner, schedule_id)

    @get("/schedules/{schedule_id:uuid}/preview", operation_id="previewSchedule", responses=problems(404))
    async def preview_schedule(
        self, schedule_id: UUID, schedules: ScheduleService, owner: UUID, count: Count = 10
    ) -> SchedulePreview:
        """Look ahead: the next instants, whether it is paused or not, with what clock changes do to them."""
        tz, found = await schedules.preview(owner, schedule_id, count)
        return SchedulePreview([due_response(due, tz) for due in found])

    @post(
        "/schedules/{schedule_id:uuid}/pause",
        operation_id="pauseSchedule",
        status_code=HTTP_200_OK,
        responses=problems(404, 415),
    )
    async def pause_schedule(self, schedule_id: UUID, schedules: ScheduleService, owner: UUID) -> ScheduleResponse:
        """Start no more runs until it is resumed."""
        return schedule_response(await schedules.set_enabled(owner, schedule_id, enabled=False))

    @post(
        "/schedules/{schedule_id:uuid}/resume",
        operation_id="resumeSchedule",
        status_code=HTTP_200_OK,
        responses=problems(404, 409, 415),
    )
    async def resume_schedule(self, schedule_id: UUID, schedules: ScheduleService, owner: UUID) -> ScheduleResponse:
        """Go on with the next instant; what came meanwhile was not missed."""
        return schedule_response(await schedules.set_enabled(owner, schedule_id, enabled=True))
