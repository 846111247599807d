"""``/runs`` and ``/workflows/{id}/run``: start and follow."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import Parameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from stepwire.api.openapi import problems
from stepwire.api.paging import After, Limit, page_response, sequel
from stepwire.api.schemas.common import Page, Sequel
from stepwire.api.schemas.runs import (
    EventResponse,
    RunInput,
    RunResponse,
    StepRunResponse,
    event_response,
    run_response,
    started_response,
    step_response,
)
from stepwire.api.workflows import REPLAYED
from stepwire.definition.plan import TriggerType
from stepwire.engine.model import RunStatus
from stepwire.services.idempotency import one_key
from stepwire.services.paging import Paging
from stepwire.services.runs import RunService, StartedRun

Statuses = Annotated[list[RunStatus] | None, Parameter(query="status", description="May be repeated")]
Since = Annotated[datetime | None, Parameter(query="since", description="Created at or after")]
Until = Annotated[datetime | None, Parameter(query="until", description="Created before")]
Include = Annotated[str | None, Parameter(query="include", description="`context`: lists leave it out otherwise")]


class RunController(Controller):
    tags = ["Runs"]  # noqa: RUF012 - Litestar's attribute

    @post(
        "/workflows/{workflow_id:uuid}/run",
        operation_id="startRun",
        status_code=HTTP_201_CREATED,
        responses={200: ResponseSpec(RunResponse, description="Started before", generate_examples=False)}
        | problems(404, 409, 413, 415, 422),
    )
    async def start_run(
        self,
        workflow_id: UUID,
        runs: RunService,
        owner: UUID,
        idempotency_key: str | None,
        data: RunInput | None = None,
    ) -> Response[RunResponse]:
        """Start a run of a published workflow. It is stored when this answers; nothing accepted is lost."""
        body = data or RunInput()
        run = await runs.start(owner, workflow_id, body.input, one_key(idempotency_key, body.idempotency_key))
        headers = {"Location": f"/api/v1/runs/{run.id}"}
        if isinstance(run, StartedRun):
            return Response(started_response(run), headers=headers)
        replayed = run_response(*await runs.get(owner, run.id))
        return Response(replayed, status_code=HTTP_200_OK, headers=headers | REPLAYED)

    @get("/runs", operation_id="listRuns", responses=problems())
    async def list_runs(
        self,
        request: Request[Any, Any, Any],
        runs: RunService,
        owner: UUID,
        paging: Paging,
        workflow_id: UUID | None = None,
        status: Statuses = None,
        trigger_type: TriggerType | None = None,
        since: Since = None,
        until: Until = None,
        include: Include = None,
    ) -> Response[Page[RunResponse]]:
        """List runs, newest first."""
        whole = include == "context"
        filters = {"workflow_id": workflow_id, "statuses": status or [], "trigger_type": trigger_type}
        part = await runs.of_owner(owner, paging, with_steps=whole, **filters, since=since, until=until)
        items = [run_response(run, steps if whole else None) for run, steps in part.items]
        return page_response(request, part, items, paging)

    @get("/runs/{run_id:uuid}", operation_id="getRun", responses=problems(404))
    async def get_run(self, run_id: UUID, runs: RunService, owner: UUID) -> RunResponse:
        """Get a run with its context: the input, and each step's status, output and error."""
        return run_response(*await runs.get(owner, run_id))

    @get("/runs/{run_id:uuid}/steps", operation_id="listSteps", responses=problems(404))
    async def list_steps(
        self, run_id: UUID, runs: RunService, owner: UUID, after: After = 0, limit: Limit = 500
    ) -> Sequel[StepRunResponse]:
        """List a run's steps: in the order they started, then those that were not reached."""
        steps = await runs.steps(owner, run_id)
        items = [step_response(step) for step in steps[after : after + limit]]
        return sequel(items, after + limit if after + limit < len(steps) else None, limit)

    @get("/runs/{run_id:uuid}/events", operation_id="listEvents", responses=problems(404))
    async def list_events(
        self, run_id: UUID, runs: RunService, owner: UUID, after: After = 0, limit: Limit = 500
    ) -> Sequel[EventResponse]:
        """List a run's events from the one after `after` on: complete, in order, without a gap."""
        events = await runs.events(owner, run_id, after=after, limit=limit)
        return sequel([event_response(event) for event in events], events[-1].seq if events else None, limit)
