"""Where a step is: its path, the plan it belongs to, and the item that it runs in.

A step outside of containers has its id for a path. One in a container has the container's path, the item's index and
its own id: ``each[17].fetch``, ``outer[3].inner[0].send``. What stands before its id is its scope (``each[17].``); the
scope outside of containers is empty.
"""

import re
from typing import NamedTuple

from stepwire.definition.plan import Plan, Step
from stepwire.engine.model import RunState

_ITEM = re.compile(r"\[(\d+)\]\.")


class Place(NamedTuple):
    """A step with the plan and the scope that it is in."""

    plan: Plan
    scope: str
    step: Step

    @property
    def path(self) -> str:
        return self.scope + self.step.id


def locate(plan: Plan, path: str) -> Place:
    """The place of a path.

    Raises:
        KeyError: the plan has no such step.
    """
    place = _locate(plan, "", path)
    if place is None:
        raise KeyError(path)
    return place


def _locate(plan: Plan, scope: str, rest: str) -> Place | None:
    step = plan.steps.get(rest)
    if step is not None:
        return Place(plan, scope, step)
    for match in _ITEM.finditer(rest):
        container = plan.steps.get(rest[: match.start()])
        if container is not None and container.inner is not None:
            found = _locate(container.inner, scope + rest[: match.end()], rest[match.end() :])
            if found is not None:
                return found
    return None


def scope_of(state: RunState, path: str) -> str:
    """The scope of a path, from what the state knows of containers alone."""
    if "]." not in path:
        return ""
    for match in reversed(list(_ITEM.finditer(path))):
        if state.step(path[: match.start()]).map is not None:
            return path[: match.end()]
    return ""


def item_of(scope: str) -> tuple[str, int]:
    """The container's path and the item's index, of a scope that is not empty."""
    container, _, index = scope[:-2].rpartition("[")
    return container, int(index)


def scope_in(container: str, index: int) -> str:
    return f"{container}[{index}]."
