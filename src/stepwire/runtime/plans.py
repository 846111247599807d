"""Plans by workflow, compiled once per process: a published definition never changes."""

import asyncio
from collections import OrderedDict
from uuid import UUID

from stepwire.db import journal
from stepwire.db.pool import Pool
from stepwire.definition.plan import Plan
from stepwire.definition.validate import check
from stepwire.errors import StepwireError
from stepwire.steps.registry import StepRegistry

MAX_PLANS = 500


class PlanUnavailable(StepwireError):
    """A run's definition is gone, or this installation cannot compile it, say for want of a plug-in."""

    kind, title = "plan-unavailable", "The workflow cannot be loaded"


class Plans:
    """The plans that this process used last."""

    def __init__(self, pool: Pool, registry: StepRegistry) -> None:
        self._pool = pool
        self._registry = registry
        self._known: OrderedDict[UUID, asyncio.Task[Plan]] = OrderedDict()

    async def get(self, workflow_id: UUID) -> Plan:
        """The plan; callers that ask at once share one load.

        Raises:
            PlanUnavailable: as above. Asked again, it is loaded again.
        """
        task = self._known.get(workflow_id)
        if task is None:
            task = self._known[workflow_id] = asyncio.create_task(self._load(workflow_id))
            if len(self._known) > MAX_PLANS:
                self._known.popitem(last=False)
        self._known.move_to_end(workflow_id)
        if task.done() and task.exception() is None:
            return task.result()
        try:
            return await asyncio.shield(task)
        except Exception:
            self._known.pop(workflow_id, None)
            raise

    async def _load(self, workflow_id: UUID) -> Plan:
        definition = await journal.definition(self._pool, workflow_id)
        if definition is None:
            raise PlanUnavailable("The workflow no longer exists.")
        checked = await asyncio.to_thread(check, definition, self._registry)  # which may take long
        if checked.plan is None:
            first = "; ".join(issue.message for issue in checked.issues[:3])
            raise PlanUnavailable(f"The definition cannot be run by this installation: {first}")
        return checked.plan
