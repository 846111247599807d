"""``/runs`` and ``/workflows/{id}/run``: start and follow."""

from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.params import Parameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_202_ACCEPTED

from stepwire.api.guards import TICKETS
from stepwire.api.openapi import made_before, problems
from stepwire.api.paging import After, Limit, page_response, refuse_nulls, sequel
from stepwire.api.prefer import applied
from stepwire.api.schemas.common import Page, Sequel
from stepwire.api.schemas.runs import (
    EventResponse,
    QueueResponse,
    ResumeInput,
    RunInput,
    RunListDTO,
    RunResponse,
    SocketTicket,
    StepRunResponse,
    event_response,
    queue_response,
    run_response,
    started_response,
    step_response,
)
from stepwire.api.sse import event_stream, wants_stream
from stepwire.api.start import Start
from stepwire.api.workflows import REPLAYED
from stepwire.auth.tokens import Session
from stepwire.definition.plan import TriggerType
from stepwire.engine.model import RunStatus
from stepwire.services.control import Ordered, RunControl
from stepwire.services.idempotency import one_key
from stepwire.services.paging import Paging
from stepwire.services.runs import RunService, StartedRun
from stepwire.services.tickets import TicketService
from stepwire.signals.tickets import TICKET_SECONDS

Statuses = Annotated[list[RunStatus] | None, Parameter(query="status", description="May be repeated")]
_INSTANT = {"format": "date-time", "examples": ["2030-01-31T12:00:00Z"]}
Since = Annotated[str | None, Parameter(query="since", description="Created at or after", schema_extra=_INSTANT)]
Until = Annotated[str | None, Parameter(query="until", description="Created before", schema_extra=_INSTANT)]
Include = Annotated[Literal["context"] | None, Parameter(query="include", description="What lists leave out otherwise")]

LastEventId = Annotated[
    str | None,
    Parameter(header="Last-Event-ID", description="As `after`, for a stream; browsers send it by themselves"),
]

Ticket = Annotated[
    str | None,
    Parameter(
        max_length=64, description="In place of a token, for a stream; from `socket-ticket`, good once and for 30 s"
    ),
]


class RunController(Controller):
    tags = ["Runs"]  # noqa: RUF012 - Litestar's attribute

    @post(
        "/workflows/{workflow_id:uuid}/run",
        operation_id="startRun",
        status_code=HTTP_201_CREATED,
        responses=made_before(RunResponse) | problems(404, 409, 413, 415, 422),
    )
    async def start_run(
        self,
        workflow_id: UUID,
        start: Start,
        data: RunInput | None = None,
    ) -> Response[RunResponse]:
        """Start a run of a published workflow. It is stored when this answers; nothing accepted is lost."""
        body, wait = data or RunInput(), start.wait
        run = await start.runs.start(start.owner, workflow_id, body.input, one_key(start.key, body.idempotency_key))
        is_new = isinstance(run, StartedRun)
        headers = {"Location": f"/api/v1/runs/{run.id}"} | ({} if is_new else REPLAYED) | applied(wait)
        if isinstance(run, StartedRun) and wait is None:
            return Response(started_response(run), headers=headers)
        answer = run_response(*await start.control.settled(start.owner, run.id, wait or 0))
        return Response(answer, status_code=HTTP_201_CREATED if is_new else HTTP_200_OK, headers=headers)

    @get("/runs", operation_id="listRuns", return_dto=RunListDTO, responses=problems(422))
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

    @get("/queue", operation_id="getQueue", responses=problems())
    async def get_queue(
        self, request: Request[Any, Any, Any], runs: RunService, owner: UUID, workflow_id: UUID | None = None
    ) -> QueueResponse:
        """How many runs are queued, running and paused, in all or of one workflow."""
        refuse_nulls(request)
        return queue_response(await runs.queue(owner, workflow_id))

    @get("/runs/{run_id:uuid}", operation_id="getRun", responses=problems(404))
    async def get_run(self, run_id: UUID, runs: RunService, owner: UUID) -> RunResponse:
        """Get a run with its context: the input, and each step's status, output and error."""
        return run_response(*await runs.get(owner, run_id))

    @get("/runs/{run_id:uuid}/steps", operation_id="listSteps", responses=problems(404))
    async def list_steps(
        self, run_id: UUID, runs: RunService, owner: UUID, after: After = 0, limit: Limit = 500
    ) -> Sequel[StepRunResponse]:
        """List a run's steps: in the order they started, then those that were not reached."""
        steps, has_more = await runs.steps(owner, run_id, after=after, limit=limit)
        return sequel([step_response(step) for step in steps], after + limit if has_more else None, limit)

    @get(
        "/runs/{run_id:uuid}/events",
        operation_id="listEvents",
        opt={TICKETS: True},
        responses=problems(404, 409),
    )
    async def list_events(
        self,
        request: Request[Any, Any, Any],
        run_id: UUID,
        runs: RunService,
        owner: UUID,
        after: After = 0,
        limit: Limit = 500,
        last_event_id: LastEventId = None,
        ticket: Ticket = None,
    ) -> Sequel[EventResponse]:
        """List a run's events, in order and without a gap; replaying them gives the run's state.

        With `Accept: text/event-stream` they come as they happen: a snapshot first, then the events after it (with
        `after`, those after that), each as on the socket and with its `seq` as `id`; the stream ends with the run. Who comes
        back with all of its events (`Last-Event-ID`) is told 204: no more follows. A browser's `EventSource`, which sends no
        token, sends a `ticket` from `socket-ticket` instead.
        """
        if wants_stream(request):
            return await event_stream(request, run_id)  # type: ignore[return-value]  # the annotation is the page's
        events = await runs.events(owner, run_id, after=after, limit=limit)
        return sequel([event_response(event) for event in events], events[-1].seq if events else None, limit)

    @post(
        "/runs/{run_id:uuid}/resume",
        operation_id="resumeRun",
        status_code=HTTP_202_ACCEPTED,
        responses=made_before(RunResponse, "Resumed before, by the same request") | problems(404, 409, 413, 415, 422),
    )
    async def resume_run(
        self, run_id: UUID, data: ResumeInput, control: RunControl, owner: UUID, wait: int | None
    ) -> Response[RunResponse]:
        """Complete an approval step that waits, with `data` as its output, and go on."""
        return await _ordered(control, await control.resume(owner, run_id, data.step_id, data.data), wait)

    @post(
        "/runs/{run_id:uuid}/cancel",
        operation_id="cancelRun",
        status_code=HTTP_202_ACCEPTED,
        responses=made_before(RunResponse, "Cancelled before") | problems(404, 409, 415),
    )
    async def cancel_run(self, run_id: UUID, control: RunControl, owner: UUID) -> Response[RunResponse]:
        """Cancel a queued, running or paused run; steps in flight are stopped, not awaited.

        What was accepted ends as `cancelled`, even where the run is about to be over. Runs that it waits for end first.
        """
        return await _ordered(control, await control.cancel(owner, run_id), None)

    @post(
        "/runs/{run_id:uuid}/retry",
        operation_id="retryRun",
        status_code=HTTP_202_ACCEPTED,
        responses=problems(404, 409, 415),
    )
    async def retry_run(
        self, run_id: UUID, control: RunControl, owner: UUID, wait: int | None
    ) -> Response[RunResponse]:
        """Take a failed run up again from its failed steps; finished steps are not run again."""
        return await _ordered(control, await control.retry(owner, run_id), wait)

    @post(
        "/runs/{run_id:uuid}/socket-ticket",
        operation_id="createSocketTicket",
        status_code=HTTP_201_CREATED,
        responses=problems(404, 415),
    )
    async def create_socket_ticket(self, run_id: UUID, tickets: TicketService, session: Session) -> SocketTicket:
        """Get a ticket for `/ws/runs/{run_id}?ticket=`: good once, for 30 seconds."""
        return SocketTicket(await tickets.issue(session, run_id), TICKET_SECONDS)


async def _ordered(control: RunControl, ordered: Ordered, wait: int | None) -> Response[RunResponse]:
    """202 and the run; 200 where there was nothing left to do; held until the run rests, where the client wants that."""
    run, steps = ordered.run, ordered.steps
    if wait is not None:
        run, steps = await control.settled(run.owner_id, run.id, wait, ordered.seq)
    status = HTTP_202_ACCEPTED if ordered.is_new else HTTP_200_OK
    return Response(run_response(run, steps), status_code=status, headers=applied(wait))
