"""Workflows. Every query about them is here, under the name of what it finds; each takes the owner."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import defer

from stepwire.db.models import Workflow
from stepwire.db.paging import select_part
from stepwire.db.repository import Repository


class WorkflowRepository(Repository[Workflow]):
    """Workflows of an owner."""

    async def of_owner(self, owner: UUID, workflow_id: UUID, *, for_update: bool = False) -> Workflow | None:
        """One of the owner's workflows; locked until the transaction ends, where wanted."""
        statement = select(Workflow).where(Workflow.id == workflow_id, Workflow.owner_id == owner)
        return await self.session.scalar(statement.with_for_update() if for_update else statement)

    async def by_idempotency_key(self, owner: UUID, operation: str, key: str) -> Workflow | None:
        """The workflow that an earlier request with this key made."""
        return await self.session.scalar(
            select(Workflow).where(
                Workflow.owner_id == owner, Workflow.operation == operation, Workflow.idempotency_key == key
            )
        )

    async def part_of_owner(
        self, owner: UUID, *, status: str | None, name: str | None, with_definition: bool, **part: Any
    ) -> tuple[list[Workflow], int | None]:
        """A part of the owner's workflows; ``name`` is a substring in any case. ``part`` as in `select_part`."""
        wanted = [Workflow.owner_id == owner]
        if status is not None:
            wanted.append(Workflow.status == status)
        if name is not None:
            wanted.append(Workflow.name.icontains(name, autoescape=True))
        options = [] if with_definition else [defer(Workflow.definition, raiseload=True)]

        async def count() -> int:
            return await self.session.scalar(select(func.count()).select_from(Workflow).where(*wanted)) or 0

        return await select_part(self.session, Workflow, wanted, options=options, count=count, **part)

    async def change(self, workflow: Workflow, **values: Any) -> None:
        """Change a workflow that is locked; its revision rises."""
        fresh = await self.session.execute(
            update(Workflow)
            .where(Workflow.id == workflow.id)
            .values(revision=Workflow.revision + 1, updated_at=func.now(), **values)
            .returning(Workflow)
            .execution_options(populate_existing=True)
        )
        fresh.scalar_one()

    async def publish(self, workflow: Workflow) -> None:
        """Freeze a draft that is locked."""
        await self.change(workflow, status="published", published_at=func.now())

    async def next_version(self, line_id: UUID) -> int:
        """The version after the highest of a line; nobody else gets it before the transaction ends."""
        await self.session.execute(select(func.pg_advisory_xact_lock(line_id.int >> 65)))
        highest = await self.session.scalar(select(func.max(Workflow.version)).where(Workflow.line_id == line_id))
        return (highest or 0) + 1
