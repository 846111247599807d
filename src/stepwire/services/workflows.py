"""Use cases on workflows: one transaction each. What takes long for a large definition is done in a thread."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from stepwire.db.models import Workflow
from stepwire.db.schedules import ScheduleRepository
from stepwire.db.session import Database
from stepwire.db.workflows import WorkflowRepository
from stepwire.definition.graph import parse
from stepwire.definition.input_schema import InputSchema
from stepwire.definition.validate import Checked, check
from stepwire.errors import (
    InvalidDefinition,
    Stale,
    Unavailable,
    WorkflowNotDeletable,
    WorkflowNotDraft,
    WorkflowNotFound,
    WorkflowNotPublished,
)
from stepwire.services.idempotency import check_same, request_hash
from stepwire.services.limits import check_json, check_text
from stepwire.services.paging import Paging, Part, cut, part_of
from stepwire.services.references import reference_issues
from stepwire.steps.registry import StepRegistry

CREATE, DUPLICATE = "create", "duplicate"
TRIES = 3


@dataclass(frozen=True, slots=True)
class Made:
    """A workflow, and whether this request made it or an earlier one with the same key."""

    workflow: Workflow
    is_new: bool


class WorkflowService:
    """What an owner can do with workflows."""

    def __init__(self, database: Database, registry: StepRegistry, max_definition_bytes: int) -> None:
        self._database = database
        self._registry = registry
        self._max_definition_bytes = max_definition_bytes

    async def create(self, owner: UUID, values: Mapping[str, Any], key: str | None) -> Made:
        """Make a draft of ``values`` (name, description, definition, input_schema, priority, concurrency_limit).

        Raises:
            IdempotencyKeyReused, InvalidDefinition, InvalidInputSchema, TooLarge, Unacceptable.
        """
        await asyncio.to_thread(self._check, values)

        async def make(_: WorkflowRepository) -> Workflow:
            workflow_id = uuid7()
            return Workflow(id=workflow_id, line_id=workflow_id, version=1, **values)

        return await self._make(owner, CREATE, key, values, make)

    async def duplicate(self, owner: UUID, workflow_id: UUID, key: str | None) -> Made:
        """Copy a workflow, whatever its status, as a draft: the next version of its line.

        Raises:
            WorkflowNotFound, IdempotencyKeyReused.
        """

        async def make(repository: WorkflowRepository) -> Workflow:
            source = _found(await repository.of_owner(owner, workflow_id), workflow_id)
            version = await repository.next_version(source.line_id)
            return Workflow(
                id=uuid7(), line_id=source.line_id, source_id=source.id, version=version, name=source.name,
                description=source.description, definition=source.definition, input_schema=source.input_schema,
                priority=source.priority, concurrency_limit=source.concurrency_limit,
            )  # fmt: skip

        return await self._make(owner, DUPLICATE, key, {"workflow_id": workflow_id}, make)

    async def get(self, owner: UUID, workflow_id: UUID) -> Workflow:
        """Raises: WorkflowNotFound."""
        async with self._database.session() as session:
            return _found(await WorkflowRepository(session=session).of_owner(owner, workflow_id), workflow_id)

    async def of_owner(
        self, owner: UUID, paging: Paging, *, status: str | None, name: str | None, with_definition: bool
    ) -> Part[Workflow]:
        """A part of the owner's workflows, newest first. Raises: Unacceptable: a NUL in ``name``."""
        check_text(name or "", "name")
        async with self._database.session() as session:
            rows, total = await WorkflowRepository(session=session).part_of_owner(
                owner, status=status, name=name, with_definition=with_definition, **part_of(paging)
            )  # fmt: skip
        return cut(rows, total, paging)

    async def update(
        self, owner: UUID, workflow_id: UUID, values: Mapping[str, Any], revision: set[int] | None
    ) -> Workflow:
        """Change a draft. ``revision`` names those that the client has seen, None: any.

        Raises:
            WorkflowNotFound, WorkflowNotDraft, Stale; and as `create`.
        """
        await asyncio.to_thread(self._check, values)
        async with self._locked(owner, workflow_id, revision) as (repository, workflow):
            if workflow.status != "draft":
                raise WorkflowNotDraft(f"The workflow is {workflow.status} and frozen; duplicate it to go on editing.")
            if values:
                await repository.change(workflow, **values)
            return workflow

    async def delete(self, owner: UUID, workflow_id: UUID, revision: set[int] | None) -> None:
        """Delete a draft.

        Raises:
            WorkflowNotFound, WorkflowNotDeletable, Stale.
        """
        async with self._locked(owner, workflow_id, revision) as (repository, workflow):
            if workflow.status != "draft":
                advice = "archive it instead" if workflow.status == "published" else "its runs refer to it"
                raise WorkflowNotDeletable(f"The workflow is {workflow.status}, and only drafts are deleted; {advice}.")
            await repository.delete(workflow)

    async def publish(self, owner: UUID, workflow_id: UUID, revision: set[int] | None) -> Workflow:
        """Freeze a draft and make it runnable; of a published one, nothing.

        Raises:
            WorkflowNotFound, WorkflowNotDraft (archived), InvalidDefinition with every issue, Stale.
        """
        async with self._locked(owner, workflow_id, revision) as (repository, workflow):
            if workflow.status == "archived":
                raise WorkflowNotDraft("The workflow is archived; duplicate it to publish it again.")
            if workflow.status == "draft":
                checked = await self._checked(repository, workflow, workflow.definition)
                if checked.issues:
                    count = len(checked.issues)
                    problems = "1 problem" if count == 1 else f"{count} problems"
                    raise InvalidDefinition(f"The definition has {problems}.", issues=checked.issues)
                await repository.publish(workflow)
            return workflow

    async def archive(self, owner: UUID, workflow_id: UUID) -> Workflow:
        """Retire a published workflow: it takes no new runs, those that it has go on, and no schedule of it is due any more.

        Raises:
            WorkflowNotFound, WorkflowNotPublished.
        """
        async with self._locked(owner, workflow_id, None) as (repository, workflow):
            if workflow.status == "draft":
                raise WorkflowNotPublished("The workflow is a draft, and only published ones are archived; delete it.")
            if workflow.status == "published":
                await repository.change(workflow, status="archived")
        async with self._database.session() as session:  # another transaction: who fires them waits for the workflow
            await ScheduleRepository(session=session).rest(workflow_id)
        return workflow

    async def validate(self, owner: UUID, workflow_id: UUID, definition: dict[str, Any] | None) -> Checked:
        """Check the stored definition, or ``definition`` in its place.

        Raises:
            WorkflowNotFound.
        """
        async with self._database.session() as session:
            repository = WorkflowRepository(session=session)
            workflow = _found(await repository.of_owner(owner, workflow_id), workflow_id)
            return await self._checked(repository, workflow, workflow.definition if definition is None else definition)

    async def _checked(self, repository: WorkflowRepository, workflow: Workflow, definition: dict[str, Any]) -> Checked:
        """A definition checked by itself, then for the workflows that it runs."""
        checked = await asyncio.to_thread(check, definition, self._registry)
        if checked.plan is None:
            return checked
        issues = await reference_issues(repository, workflow.owner_id, workflow.id, definition)
        return Checked(None, tuple(issues)) if issues else checked

    @asynccontextmanager
    async def _locked(
        self, owner: UUID, workflow_id: UUID, revision: set[int] | None
    ) -> AsyncIterator[tuple[WorkflowRepository, Workflow]]:
        """One of the owner's workflows, that nobody else changes before the transaction ends."""
        async with self._database.session() as session:
            repository = WorkflowRepository(session=session)
            workflow = _found(await repository.of_owner(owner, workflow_id, for_update=True), workflow_id)
            if revision is not None and workflow.revision not in revision:
                raise Stale("The workflow was changed meanwhile: read it again, then repeat the change.")
            yield repository, workflow

    async def _make(
        self,
        owner: UUID,
        operation: str,
        key: str | None,
        request: Mapping[str, Any],
        make: Callable[[WorkflowRepository], Awaitable[Workflow]],
    ) -> Made:
        """Store what ``make`` makes, or find what an earlier request with the same key made."""
        digest = b"" if key is None else request_hash(request)
        for _ in range(TRIES):
            if key is not None and (earlier := await self._earlier(owner, operation, key, digest)) is not None:
                return Made(earlier, is_new=False)
            try:
                async with self._database.session() as session:
                    repository = WorkflowRepository(session=session)
                    workflow = await make(repository)
                    workflow.owner_id, workflow.status, workflow.operation = owner, "draft", operation
                    workflow.idempotency_key, workflow.request_hash = key, digest or None
                    await repository.add(workflow)
                return Made(workflow, is_new=True)
            except IntegrityError:
                if key is None:
                    raise
        raise Unavailable("The workflow of this idempotency key is made and deleted all the time; try again.")

    async def _earlier(self, owner: UUID, operation: str, key: str, digest: bytes) -> Workflow | None:
        async with self._database.session() as session:
            stored = await WorkflowRepository(session=session).by_idempotency_key(owner, operation, key)
        if stored is not None:
            check_same(stored.request_hash, digest)
        return stored

    def _check(self, values: Mapping[str, Any]) -> None:
        for name in ("name", "description"):
            check_text(values.get(name, ""), name)
        if "definition" in values:
            check_json(values["definition"], "definition", self._max_definition_bytes)
            parse(values["definition"])
        if (schema := values.get("input_schema")) is not None:
            check_json(schema, "input_schema", self._max_definition_bytes)
            InputSchema(schema)


def _found(workflow: Workflow | None, workflow_id: UUID) -> Workflow:
    if workflow is None:
        raise WorkflowNotFound(f"There is no workflow {workflow_id}.")
    return workflow
