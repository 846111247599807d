"""Which steps lie in which container, and what is wrong with that."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from stepwire.definition.graph import Definition, Edge, Node, parse
from stepwire.definition.plan import Catalog, Plan, Step
from stepwire.definition.templates import Compiled
from stepwire.errors import Issue

MAX_NESTING = 8
MAX_PATH_BYTES = 1000  # of a step's id with those of the containers around it, which are a key in the database
_INDEX_BYTES = len("[9999].")


class Containers:
    """The container that each step lies in, None outside of any. Groups and notes on the way to it are layout."""

    def __init__(self, definition: Definition, catalog: Catalog) -> None:
        self._nodes = {node.id: node for node in definition.nodes}
        self._catalog = catalog
        self.of: dict[str, str | None] = {node.id: self._container_of(node) for node in definition.steps}

    def is_container(self, node: Node) -> bool:
        spec = self._catalog.get(node.step_type or "")
        return spec is not None and spec.is_container and not node.is_decoration

    def around(self, step_id: str) -> list[str]:
        """The containers that a step lies in, from the inside."""
        found: list[str] = []
        container = self.of.get(step_id)
        while container is not None and container not in found:
            found.append(container)
            container = self.of.get(container)
        return found

    def issues(self, edges: Iterable[Edge]) -> Iterator[Issue]:
        inhabited = {container for container in self.of.values() if container is not None}
        numbered = re.compile(r"\[\d+\]\.")
        for step_id in self.of:
            node = self._nodes[step_id]
            yield from self._id_issues(step_id)
            yield from self._parent_issues(node)
            if self.is_container(node) and step_id not in inhabited:
                message = f"Nothing lies in {step_id!r}; drag the steps that it runs per item into it."
                yield Issue(code="empty-container", message=message, node_id=step_id)
            prefixes = (step_id[: match.start()] for match in numbered.finditer(step_id))
            if (meant := next((each for each in prefixes if each in inhabited), None)) is not None:
                message = f"The id {step_id!r} reads like a step within an item of {meant!r}; take another id."
                yield Issue(code="ambiguous-id", message=message, node_id=step_id)
        for edge in edges:
            if self.of.get(edge.source) != self.of.get(edge.target):
                message = f"The edge from {edge.source!r} to {edge.target!r} crosses the border of a container."
                yield Issue(code="crossing-edge", message=message, edge_id=edge.id, node_id=edge.target)

    def _id_issues(self, step_id: str) -> Iterator[Issue]:
        if not step_id:
            yield Issue(code="bad-id", message="A step's id is not empty.", node_id=step_id)
        around = self.around(step_id)
        size = _bytes_of(step_id) + sum(_bytes_of(each) + _INDEX_BYTES for each in around)
        if size > MAX_PATH_BYTES:
            whose = "The step's id and those of the containers around it have" if around else "The step's id has"
            message = f"{whose} {size:,} bytes; the limit is {MAX_PATH_BYTES:,}."
            yield Issue(code="bad-id", message=message, node_id=step_id)

    def _parent_issues(self, node: Node) -> Iterator[Issue]:
        parent = self._parent_of(node)
        if parent is not None and not parent.is_decoration and not self.is_container(parent):
            message = f"Node {node.id!r} lies in {parent.id!r}, which is neither a container nor a group."
            yield Issue(code="not-a-container", message=message, node_id=node.id)
        around = self.around(node.id)
        spec = self._catalog.get(node.step_type or "")
        if around and spec is not None and spec.kind == "trigger":
            message = f"The trigger {node.id!r} lies in the container {around[0]!r}, where nothing starts a run."
            yield Issue(code="trigger-in-container", message=message, node_id=node.id)
        if len(around) > MAX_NESTING:
            message = f"Containers nest at most {MAX_NESTING} levels deep."
            yield Issue(code="too-deep", message=message, node_id=node.id)

    def _container_of(self, node: Node) -> str | None:
        seen = {node.id}
        parent = self._parent_of(node)
        while parent is not None and parent.id not in seen:
            if self.is_container(parent):
                return parent.id
            seen.add(parent.id)
            parent = self._parent_of(parent)
        return None

    def _parent_of(self, node: Node) -> Node | None:
        return None if node.parent is None else self._nodes.get(node.parent)


def _bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def plan_of(steps: list[Step], containers: Mapping[str, str | None], within: str | None = None) -> Plan:
    """The plan of what lies in a container, with the plans of the containers in there."""
    inner: dict[str | None, list[Step]] = {}
    for step in steps:
        inner.setdefault(containers[step.id], []).append(step)

    def build(container: str | None) -> Plan:
        planned = {step.id: with_inner(step) for step in inner.get(container, [])}
        return Plan(steps=planned, roots=tuple(step.id for step in planned.values() if not step.incoming))

    def with_inner(step: Step) -> Step:
        return replace(step, inner=build(step.id)) if step.id in inner else step

    return build(within)


def outline(raw: dict[str, Any], catalog: Catalog) -> Plan:
    """Which steps a published definition has, and where: enough to end its runs, and much cheaper than the whole plan.

    Where a step's type is not installed here, nobody knows what it contains, and the plan is empty.
    """
    definition = parse(raw)
    nodes = {node.id: (node.step_type or "", catalog.get(node.step_type or "")) for node in definition.steps}
    steps = [Step(step_id, name, spec.kind, _NOTHING) for step_id, (name, spec) in nodes.items() if spec is not None]
    return plan_of(steps, Containers(definition, catalog).of) if len(steps) == len(nodes) else Plan(steps={})


_NOTHING = Compiled(None, is_static=True)
