"""Use cases on workflows: one transaction each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from stepwire.db.models import Workflow
from stepwire.db.session import Database
from stepwire.db.workflows import WorkflowRepository
from stepwire.definition.graph import parse
from stepwire.definition.input_schema import InputSchema
from stepwire.definition.validate import Checked, check
from stepwire.errors import InvalidDefinition, Stale, WorkflowNotDraft, WorkflowNotFound
from stepwire.services.idempotency import check_same, request_hash
from stepwire.services.limits import check_json, check_text
from stepwire.services.paging import Paging, Part, cut, part_of
from stepwire.steps.registry import StepRegistry

CREATE = "create"


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
        """Make a draft of ``values`` (name, description, definition, input_schema).

        Raises:
            IdempotencyKeyReused, InvalidDefinition, InvalidInputSchema, TooLarge, Unacceptable.
        """
        self._check(values)
        digest = request_hash(values) if key is not None else None
        workflow_id = uuid7()
        workflow = Workflow(
            id=workflow_id, owner_id=owner, line_id=workflow_id, version=1, status="draft", operation=CREATE,
            idempotency_key=key, request_hash=digest, **values,
        )  # fmt: skip
        try:
            async with self._database.session() as session:
                await WorkflowRepository(session=session).add(workflow, auto_refresh=True)
        except Exception as error:
            if key is None or not _is_conflict(error):
                raise
            return await self._replay(owner, key, digest or b"")
        return Made(workflow, is_new=True)

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
        self._check(values)
        async with self._database.session() as session:
            repository = WorkflowRepository(session=session)
            workflow = _found(await repository.of_owner(owner, workflow_id, for_update=True), workflow_id)
            if revision is not None and workflow.revision not in revision:
                raise Stale("The workflow was changed meanwhile: read it again, then repeat the change.")
            if workflow.status != "draft":
                raise WorkflowNotDraft(f"The workflow is {workflow.status} and frozen; duplicate it to go on editing.")
            if values:
                await repository.change(workflow, **values)
            return workflow

    async def publish(self, owner: UUID, workflow_id: UUID) -> Workflow:
        """Freeze a draft and make it runnable; of a published one, nothing.

        Raises:
            WorkflowNotFound, WorkflowNotDraft (archived), InvalidDefinition with every issue.
        """
        async with self._database.session() as session:
            repository = WorkflowRepository(session=session)
            workflow = _found(await repository.of_owner(owner, workflow_id, for_update=True), workflow_id)
            if workflow.status == "published":
                return workflow
            if workflow.status != "draft":
                raise WorkflowNotDraft(f"The workflow is {workflow.status}; duplicate it to publish it again.")
            checked = check(workflow.definition, self._registry)
            if checked.issues:
                count = len(checked.issues)
                problems = "1 problem" if count == 1 else f"{count} problems"
                raise InvalidDefinition(f"The definition has {problems}.", issues=checked.issues)
            await repository.publish(workflow)
            return workflow

    async def validate(self, owner: UUID, workflow_id: UUID, definition: dict[str, Any] | None) -> Checked:
        """Check the stored definition, or ``definition`` in its place.

        Raises:
            WorkflowNotFound.
        """
        workflow = await self.get(owner, workflow_id)
        return check(workflow.definition if definition is None else definition, self._registry)

    async def _replay(self, owner: UUID, key: str, digest: bytes) -> Made:
        async with self._database.session() as session:
            stored = await WorkflowRepository(session=session).by_idempotency_key(owner, CREATE, key)
        if stored is None:  # it was a draft, and is deleted
            raise WorkflowNotFound("The workflow that this idempotency key made was deleted meanwhile; take a new key.")
        check_same(stored.request_hash, digest)
        return Made(stored, is_new=False)

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


def _is_conflict(error: Exception) -> bool:
    return isinstance(error, IntegrityError) or isinstance(error.__cause__, IntegrityError)
