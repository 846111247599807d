"""Runs, their steps and events as clients see them."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar.dto import DTOConfig
from msgspec import UNSET, Meta, UnsetType

from stepwire.api.dto import ListDTO
from stepwire.api.schemas.common import Instant
from stepwire.db.counts import QueueDepth
from stepwire.db.models import Run, RunEvent, StepRun
from stepwire.definition.plan import TriggerType
from stepwire.engine.events import EVENT_TYPES
from stepwire.engine.model import RunStatus, StepStatus
from stepwire.services.runs import StartedRun


class RunInput(msgspec.Struct, forbid_unknown_fields=True):
    input: Annotated[dict[str, Any], Meta(description="The run's input, checked against the input schema")] = {}
    idempotency_key: (
        Annotated[
            str,
            Meta(
                description="As the X-Idempotency-Key header",
                min_length=1,
                max_length=255,
                pattern="^[!-~]+$",
                examples=["order-1"],
            ),
        ]
        | None
    ) = None


class ResumeInput(msgspec.Struct, forbid_unknown_fields=True):
    """What a person decided about a step that waits for them."""

    step_id: Annotated[str, Meta(min_length=1, max_length=1000, examples=["approve"])]
    data: Annotated[dict[str, Any], Meta(description="The step's output, checked against the step's schema")] = {}


class QueueResponse(msgspec.Struct, kw_only=True):
    queued: Annotated[int, Meta(description="Accepted, and not begun")]
    running: int
    paused: Annotated[int, Meta(description="Waiting for a person")]
    oldest_queued_at: Instant | None


class SocketTicket(msgspec.Struct):
    """`/ws/runs/{run_id}?ticket=` takes it once, in place of a token."""

    ticket: str
    expires_in: Annotated[int, Meta(description="Seconds", examples=[30])]


class ErrorResponse(msgspec.Struct):
    code: str
    message: str
    attempt: int = 1
    details: Any = None


class StepContext(msgspec.Struct):
    status: StepStatus
    output: Any
    error: ErrorResponse | None


class RunContext(msgspec.Struct):
    """What expressions see: the input, and every step that something happened to."""

    input: Any
    steps: dict[str, StepContext]


class RunResponse(msgspec.Struct, kw_only=True):
    id: UUID
    workflow_id: UUID
    workflow_version: int
    status: RunStatus
    trigger_type: TriggerType
    input: Any
    context: RunContext | UnsetType = UNSET
    output: Any = None
    error: ErrorResponse | None = None
    parent_run_id: UUID | None = None
    started_at: Instant | None = None
    completed_at: Instant | None = None
    created_at: Instant


class RunListDTO(ListDTO[RunResponse]):
    config = DTOConfig(exclude={"context"})


class StepRunResponse(msgspec.Struct, kw_only=True):
    id: Annotated[str, Meta(description="`<run id>:<step id>`, also the step's Idempotency-Key towards others")]
    run_id: UUID
    step_id: str
    step_type: str
    status: StepStatus
    attempt: int
    input: Any
    output: Any
    error: ErrorResponse | None
    started_at: Instant | None
    completed_at: Instant | None


class EventResponse(msgspec.Struct, kw_only=True):
    run_id: UUID
    seq: int
    event: Annotated[str, Meta(extra_json_schema={"enum": list(EVENT_TYPES)})]
    step_id: str | None
    data: dict[str, Any]
    at: Instant


def started_response(run: StartedRun) -> RunResponse:
    return RunResponse(
        id=run.id,
        workflow_id=run.workflow_id,
        workflow_version=run.workflow_version,
        status="queued",
        trigger_type=run.trigger_type,
        input=run.input,
        context=RunContext(run.input, {}),
        created_at=run.created_at,
    )


def run_response(run: Run, steps: Sequence[StepRun] | None) -> RunResponse:
    """A run; with the context where its steps are given."""
    return RunResponse(
        id=run.id,
        workflow_id=run.workflow_id,
        workflow_version=run.workflow_version,
        status=msgspec.convert(run.status, RunStatus),
        trigger_type=msgspec.convert(run.trigger_type, TriggerType),
        input=run.input,
        context=UNSET if steps is None else RunContext(run.input, {step.step_id: _context(step) for step in steps}),
        output=run.output,
        error=_error(run.error),
        parent_run_id=run.parent_run_id,
        started_at=run.started_at,
        completed_at=run.completed_at,
        created_at=run.created_at,
    )


def step_response(step: StepRun) -> StepRunResponse:
    return StepRunResponse(
        id=f"{step.run_id}:{step.step_id}",
        run_id=step.run_id,
        step_id=step.step_id,
        step_type=step.step_type,
        status=msgspec.convert(step.status, StepStatus),
        attempt=step.attempt,
        input=step.input,
        output=step.output,
        error=_error(step.error),
        started_at=step.started_at,
        completed_at=step.completed_at,
    )


def event_response(event: RunEvent) -> EventResponse:
    return EventResponse(
        run_id=event.run_id, seq=event.seq, event=event.event, step_id=event.step_id, data=event.data, at=event.at
    )  # fmt: skip


def _context(step: StepRun) -> StepContext:
    return StepContext(msgspec.convert(step.status, StepStatus), step.output, _error(step.error))


def _error(error: dict[str, Any] | None) -> ErrorResponse | None:
    return None if error is None else msgspec.convert(error, ErrorResponse)


def queue_response(depth: QueueDepth) -> QueueResponse:
    return QueueResponse(
        queued=depth.queued, running=depth.running, paused=depth.paused, oldest_queued_at=depth.oldest_queued_at
    )
