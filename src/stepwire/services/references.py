"""Workflows that run workflows: what a definition refers to, and whether that leads back to it."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from stepwire.db.workflows import WorkflowRepository
from stepwire.definition.graph import Definition, parse
from stepwire.errors import Issue

CHILD = "core.workflow"
MAX_FOLLOWED = 1000


async def reference_issues(
    repository: WorkflowRepository, owner: UUID, workflow_id: UUID, definition: dict[str, Any]
) -> list[Issue]:
    """Each node that runs a workflow which is not there, is not published, or leads back to this one.

    Only ids that are written out are looked at; what an expression gives is bounded by the depth of runs.
    """
    issues: list[Issue] = []
    followed: dict[UUID, tuple[str, set[UUID]] | None] = {}

    async def targets(one: UUID) -> tuple[str, set[UUID]] | None:
        """A workflow's status and what it refers to; None where the owner has none such."""
        if one not in followed:
            found = await repository.of_owner(owner, one)
            known = (
                None if found is None else (found.status, {each for _, each in _references(parse(found.definition))})
            )
            followed[one] = known
        return followed[one]

    async def leads_back(first: UUID) -> bool:
        seen, pending = {first}, [first]
        while pending and len(seen) <= MAX_FOLLOWED:
            one = pending.pop()
            if one == workflow_id:
                return True
            known = await targets(one)
            fresh = (known[1] if known is not None else set()) - seen
            seen |= fresh
            pending.extend(fresh)
        return False

    for node_id, target in _references(parse(definition)):
        fault = None
        if await leads_back(target):
            fault = ("recursive-workflow", f"Workflow {target} leads back to this one: its runs would never end.")
        elif (known := await targets(target)) is None:
            fault = ("unknown-workflow", f"There is no workflow {target}.")
        elif known[0] != "published":
            fault = ("workflow-not-published", f"Workflow {target} is {known[0]}; publish it first.")
        if fault is not None:
            code, message = fault
            issues.append(Issue(code=code, message=message, node_id=node_id, path="/data/config/workflow_id"))
    return issues


def _references(definition: Definition) -> Iterator[tuple[str, UUID]]:
    for node in definition.steps:
        config = node.settings.get("config")
        named = config.get("workflow_id") if node.step_type == CHILD and isinstance(config, dict) else None
        if isinstance(named, str):
            try:
                yield node.id, UUID(named)
            except ValueError:
                continue  # an expression, or nonsense that validation has found
