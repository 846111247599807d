"""Schedules as their owners see them. Every query about them is here, but for those of who fires them; each takes the owner."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update

from stepwire.db.models import Schedule, Workflow
from stepwire.db.paging import select_part
from stepwire.db.repository import Repository


class ScheduleRepository(Repository[Schedule]):
    """Schedules of an owner."""

    async def of_owner(self, owner: UUID, schedule_id: UUID, *, for_update: bool = False) -> Schedule | None:
        statement = select(Schedule).where(Schedule.id == schedule_id, Schedule.owner_id == owner)
        return await self.session.scalar(statement.with_for_update() if for_update else statement)

    async def named(self, workflow_id: UUID, name: str) -> Schedule | None:
        """The workflow's schedule of this name, locked until the transaction ends."""
        wanted = select(Schedule).where(Schedule.workflow_id == workflow_id, Schedule.name == name)
        return await self.session.scalar(wanted.with_for_update())

    async def by_idempotency_key(self, workflow_id: UUID, key: str) -> Schedule | None:
        """The workflow's schedule that an earlier request with this key made or changed last."""
        wanted = select(Schedule).where(Schedule.workflow_id == workflow_id, Schedule.idempotency_key == key)
        return await self.session.scalar(wanted)

    async def is_published(self, workflow_id: UUID) -> bool:
        """As it is now; one that was archived takes no new schedule."""
        return await self.session.scalar(select(Workflow.status).where(Workflow.id == workflow_id)) == "published"

    async def count_of_workflow(self, workflow_id: UUID) -> int:
        wanted = select(func.count()).select_from(Schedule).where(Schedule.workflow_id == workflow_id)
        return await self.session.scalar(wanted) or 0

    async def part_of_owner(
        self, owner: UUID, *, workflow_id: UUID | None, **part: Any
    ) -> tuple[list[Schedule], int | None]:
        """A part of the owner's schedules, newest first. ``part`` as in `select_part`."""
        wanted = [Schedule.owner_id == owner]
        if workflow_id is not None:
            wanted.append(Schedule.workflow_id == workflow_id)

        async def count() -> int:
            return await self.session.scalar(select(func.count()).select_from(Schedule).where(*wanted)) or 0

        return await select_part(self.session, Schedule, wanted, count=count, **part)

    async def change(self, schedule: Schedule, **values: Any) -> None:
        """Change a schedule that is locked."""
        changed = await self.session.execute(
            update(Schedule)
            .where(Schedule.id == schedule.id)
            .values(updated_at=func.now(), **values)
            .returning(Schedule)
            .execution_options(populate_existing=True)
        )
        changed.scalar_one()

    async def rest(self, workflow_id: UUID) -> None:
        """Have none of the workflow's schedules be due again."""
        due = Schedule.workflow_id == workflow_id, Schedule.next_fire_at.is_not(None)
        await self.session.execute(update(Schedule).where(*due).values(next_fire_at=None, due_at=None))

    async def now(self) -> datetime:
        """The database's clock, which decides when something is due; as it is now, not when the transaction began."""
        at: datetime = (await self.session.execute(select(func.clock_timestamp()))).scalar_one()
        return at
