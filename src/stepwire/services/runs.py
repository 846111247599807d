"""Use cases on runs."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from stepwire.db.counts import QueueDepth, queue_depth
from stepwire.db.group_commit import GroupCommit
from stepwire.db.journal import NewRun
from stepwire.db.models import Run, RunEvent, StepRun, Workflow
from stepwire.db.runs import RunRepository, StepPlace
from stepwire.db.session import Database
from stepwire.db.workflows import WorkflowRepository
from stepwire.definition.containers import Containers
from stepwire.definition.graph import Definition, parse
from stepwire.definition.input_schema import InputSchema
from stepwire.definition.plan import Catalog, TriggerType
from stepwire.engine.events import RunQueued, data_of
from stepwire.errors import RunNotFound, Unavailable, WorkflowNotFound, WorkflowNotPublished
from stepwire.services.idempotency import check_same, request_hash
from stepwire.services.limits import check_json
from stepwire.services.paging import Paging, Part, cut, instant, part_of
from stepwire.steps.triggers import WebhookConfig, webhook_of

KNOWN_WORKFLOWS = 1000
ACCEPT_SECONDS = 5
MAX_TRIGGER_BYTES = 256 << 10
_DELIVERY = request_hash(None)


class StartedRun(msgspec.Struct, frozen=True):
    """A run that was accepted just now: what a row of it would say."""

    id: UUID
    workflow_id: UUID
    workflow_version: int
    trigger_type: TriggerType
    input: Any
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Runnable:
    """What starting a run needs of a workflow that is published, and so does not change."""

    version: int
    is_limited: bool
    input_schema: InputSchema | None
    steps: tuple[tuple[str, str], ...]  # step id and type, in the drawn order
    webhook: WebhookConfig | None  # of the first webhook trigger that is drawn, or as it is without one


class Workflows:
    """Published workflows of each owner, read once per process.

    One that another owner has is looked for in vain each time, like one that is not there.
    """

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog
        self._known: OrderedDict[tuple[UUID, UUID], Runnable] = OrderedDict()

    async def get(self, owner: UUID, workflow_id: UUID) -> Runnable:
        """The owner's workflow.

        Raises:
            WorkflowNotFound, WorkflowNotPublished (of a draft).
        """
        known = self._known.get((owner, workflow_id))
        if known is None:
            known = await self._read(owner, workflow_id)
            self._known[owner, workflow_id] = known
            if len(self._known) > KNOWN_WORKFLOWS:
                self._known.popitem(last=False)
        return known

    async def _read(self, owner: UUID, workflow_id: UUID) -> Runnable:
        async with self._database.session() as session:
            workflow = await WorkflowRepository(session=session).of_owner(owner, workflow_id)
        if workflow is None:
            raise WorkflowNotFound(f"There is no workflow {workflow_id}.")
        if workflow.status == "draft":
            raise not_published(workflow_id)
        return await asyncio.to_thread(self._runnable, workflow)

    def _runnable(self, workflow: Workflow) -> Runnable:
        schema = None if workflow.input_schema is None else InputSchema(workflow.input_schema)
        is_limited = workflow.concurrency_limit is not None
        definition = parse(workflow.definition)
        return Runnable(workflow.version, is_limited, schema, self._outline(definition), webhook_of(definition))

    def _outline(self, definition: Definition) -> tuple[tuple[str, str], ...]:
        """The steps outside of containers: what lies in one has no state of its own, only its items' steps have."""
        containers = Containers(definition, self._catalog)
        return tuple((node.id, node.step_type or "") for node in definition.steps if containers.of[node.id] is None)


def not_published(workflow_id: UUID) -> WorkflowNotPublished:
    return WorkflowNotPublished(f"Publish it first: POST /api/v1/workflows/{workflow_id}/publish.")


def archived() -> WorkflowNotPublished:
    return WorkflowNotPublished("The workflow is archived; it takes no more runs.")


class RunService:
    """What an owner can do with runs."""

    def __init__(
        self,
        database: Database,
        workflows: Workflows,
        intake: GroupCommit[NewRun, datetime | None],
        max_input_bytes: int,
    ) -> None:
        self._database = database
        self._workflows = workflows
        self._intake = intake
        self._max_input_bytes = max_input_bytes

    async def start(
        self,
        owner: UUID,
        workflow_id: UUID,
        value: Any,
        key: str | None,
        *,
        trigger_type: TriggerType = "manual",
        trigger: dict[str, Any] | None = None,
        is_delivery: bool = False,
        max_bytes: int | None = None,
    ) -> StartedRun | Run:
        """Accept a run; it is durable when this returns, and a worker is told. ``trigger`` is what expressions read of what
        started it; ``is_delivery``: the key stands for a delivery, however its input may differ when it comes again.

        Returns:
            The run, or the one that an earlier request with the same key started.

        Raises:
            WorkflowNotFound, WorkflowNotPublished, InvalidInput, IdempotencyKeyReused, TooLarge, Unacceptable,
            Unavailable.
        """
        workflow = await self._workflows.get(owner, workflow_id)
        encoded = check_json(value, "input", max_bytes or self._max_input_bytes).decode()
        told = None if trigger is None else check_json(trigger, "trigger", MAX_TRIGGER_BYTES).decode()
        if workflow.input_schema is not None:
            workflow.input_schema.check(value)
        run_id = uuid7()
        queued = RunQueued(
            at=datetime.now(UTC),  # the row gets the database's
            workflow_id=workflow_id,
            workflow_version=workflow.version,
            trigger_type=trigger_type,
            input=value,
        )
        digest = None if key is None else request_hash(None if is_delivery else value)
        new = NewRun(
            id=run_id,
            owner_id=owner,
            workflow_id=workflow_id,
            workflow_version=workflow.version,
            trigger_type=trigger_type,
            trigger=told,
            input=encoded,
            queued=msgspec.json.encode(data_of(queued)).decode(),
            idempotency_key=key,
            request_hash=digest,
            is_limited=workflow.is_limited,
        )
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                created_at = await self._intake.submit(new)
        except TimeoutError:
            raise Unavailable("The run could not be stored in time; send it again, with an idempotency key.") from None
        if created_at is None:
            return await self._earlier(workflow_id, trigger_type, key, digest or b"")
        return StartedRun(run_id, workflow_id, workflow.version, trigger_type, value, created_at)

    async def get(self, owner: UUID, run_id: UUID) -> tuple[Run, Sequence[StepRun]]:
        """A run with its steps. Raises: RunNotFound."""
        async with self._database.session() as session:
            repository = RunRepository(session=session)
            run = _found(await repository.of_owner(owner, run_id), run_id)
            return run, await repository.steps([run_id])

    async def of_owner(
        self, owner: UUID, paging: Paging, *, with_steps: bool, **filters: Any
    ) -> Part[tuple[Run, Sequence[StepRun]]]:
        """A part of the owner's runs, newest first; ``filters`` as in `RunRepository.part_of_owner`.

        Raises:
            Malformed: ``since`` or ``until`` is no instant that can be stored.
        """
        filters |= {name: instant(filters[name], name) for name in ("since", "until")}
        async with self._database.session() as session:
            repository = RunRepository(session=session)
            rows, total = await repository.part_of_owner(owner, **filters, **part_of(paging))
            part: Part[Run] = cut(rows, total, paging)
            steps = await repository.steps([run.id for run in part.items]) if with_steps else []
        of_run: dict[UUID, list[StepRun]] = {run.id: [] for run in part.items}
        for step in steps:
            of_run[step.run_id].append(step)
        grouped: list[tuple[Run, Sequence[StepRun]]] = [(run, of_run[run.id]) for run in part.items]
        return Part(grouped, part.total, part.next)

    async def queue(self, owner: UUID, workflow_id: UUID | None) -> QueueDepth:
        """How much the owner has under way, in all or of one workflow."""
        async with self._database.session() as session:
            return await queue_depth(session, owner, workflow_id)

    async def steps(self, owner: UUID, run_id: UUID, *, after: int, limit: int) -> tuple[list[StepRun], bool]:
        """Steps of a run, ``limit`` of those behind the first ``after``, and whether more follow: the started ones in the
        order they started, then the others as they are drawn.

        Raises:
            RunNotFound.
        """
        async with self._database.session() as session:
            repository = RunRepository(session=session)
            run = _found(await repository.of_owner(owner, run_id), run_id)
            reached = await repository.step_places(run_id)
        workflow = await self._workflows.get(owner, run.workflow_id)
        step_ids = in_order(workflow, reached)
        page = step_ids[after : after + limit]
        async with self._database.session() as session:
            known = {step.step_id: step for step in await RunRepository(session=session).some_steps(run_id, page)}
        types = dict(workflow.steps)
        return [known.get(each) or _pending(run_id, each, types[each]) for each in page], after + limit < len(step_ids)

    async def events(self, owner: UUID, run_id: UUID, *, after: int, limit: int) -> Sequence[RunEvent]:
        """Up to ``limit`` events after the one numbered ``after``. Raises: RunNotFound."""
        async with self._database.session() as session:
            repository = RunRepository(session=session)
            _found(await repository.of_owner(owner, run_id), run_id)
            return await repository.events(run_id, after=after, limit=limit)

    async def _earlier(self, workflow_id: UUID, trigger_type: str, key: str | None, digest: bytes) -> Run:
        """The run with this key; without one, the workflow took no run because it is archived."""
        async with self._database.session() as session:
            repository = RunRepository(session=session)
            run = await repository.by_idempotency_key(workflow_id, trigger_type, key) if key is not None else None
        if run is None:
            raise archived()
        if _DELIVERY not in (run.request_hash, digest):
            check_same(run.request_hash, digest)
        return run


def in_order(workflow: Runnable, reached: Sequence[StepPlace]) -> list[str]:
    """The ids of a run's steps: of those that started, then of those that are drawn, then of the others in containers."""
    started = {step.step_id: None for step in reached if step.has_started}
    drawn = [step_id for step_id, _ in workflow.steps if step_id not in started]
    return [*started, *drawn, *(step.step_id for step in reached if step.is_inner and not step.has_started)]


def _pending(run_id: UUID, step_id: str, step_type: str) -> StepRun:
    return StepRun(run_id=run_id, step_id=step_id, step_type=step_type, status="pending", attempt=0)


def _found(run: Run | None, run_id: UUID) -> Run:
    if run is None:
        raise RunNotFound(f"There is no run {run_id}.")
    return run
