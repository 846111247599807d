"""Everything that is wrong with a definition, at once, each at its node or edge; and the plan where nothing is."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from stepwire.definition.containers import Containers, plan_of
from stepwire.definition.cost import OPTIONAL_MACROS
from stepwire.definition.expressions import Scope
from stepwire.definition.graph import Definition, Edge, parse
from stepwire.definition.nearest import did_you_mean
from stepwire.definition.plan import Catalog, Link, Plan, Step
from stepwire.definition.step import compile_step
from stepwire.errors import InvalidDefinition, Issue

MAX_STEPS = 2000
MAX_OPTIONALS = 100  # four in one expression make it sixteen times as large, to compile and in memory
MAX_ISSUES = 10_000
ERROR_HANDLE = "error"
SHOWN_HANDLES = 20


@dataclass(frozen=True, slots=True)
class Checked:
    """``plan`` is there when, and only when, there are no ``issues``."""

    plan: Plan | None
    issues: tuple[Issue, ...]


def check(raw: dict[str, Any], catalog: Catalog) -> Checked:
    """Validate and compile a definition."""
    try:
        definition = parse(raw)
    except InvalidDefinition as error:
        return Checked(None, error.issues)
    graph = _Graph(definition, catalog)
    issues = [*graph.issues()]
    steps, faults = graph.compile_steps()
    issues.extend(faults)
    if len(issues) > MAX_ISSUES:
        message = f"There are {len(issues):,} problems; these are the first {MAX_ISSUES:,}."
        issues = [*issues[:MAX_ISSUES], Issue(code="too-many-issues", message=message)]
    if issues:
        return Checked(None, tuple(issues))
    return Checked(plan_of(steps, graph.containers.of), ())


class _Graph:
    """The steps and the edges between them, with the questions that validation asks."""

    def __init__(self, definition: Definition, catalog: Catalog) -> None:
        self.definition = definition
        self.catalog = catalog
        self.nodes = {node.id: node for node in definition.steps}
        self.edges = {
            edge.key: edge for edge in definition.edges if edge.source in self.nodes and edge.target in self.nodes
        }
        self.containers = Containers(definition, catalog)
        self.incoming: dict[str, list[Edge]] = {step_id: [] for step_id in self.nodes}
        self.outgoing: dict[str, list[Edge]] = {step_id: [] for step_id in self.nodes}
        for edge in self.edges.values():
            self.incoming[edge.target].append(edge)
            self.outgoing[edge.source].append(edge)
        configs = str([node.settings.get("config") for node in definition.steps])
        self.has_too_many_optionals = sum(configs.count(name) for name in OPTIONAL_MACROS) > MAX_OPTIONALS

    def issues(self) -> Iterator[Issue]:
        """What is wrong with the graph itself."""
        if not self.nodes:
            yield Issue(code="empty", message="The workflow has no step.")
        if len(self.nodes) > MAX_STEPS:
            yield Issue(code="too-many-steps", message=f"A workflow has at most {MAX_STEPS:,} steps.", path="/nodes")
        if self.has_too_many_optionals:
            message = f"A workflow has at most {MAX_OPTIONALS} uses of optMap and optFlatMap."
            yield Issue(code="too-many-optionals", message=message, path="/nodes")
        yield from self._duplicates()
        yield from self._parents()
        yield from self.containers.issues(self.edges.values())
        yield from self._dangling()
        yield from self._unknown_handles()
        yield from self._cycles()
        yield from self._unreachable()

    def compile_steps(self) -> tuple[list[Step], list[Issue]]:
        """Every node as a step, and what is wrong with each by itself; nothing where compiling them takes too much."""
        if self.has_too_many_optionals:
            return [], []
        steps: list[Step] = []
        issues: list[Issue] = []
        upstream = self._upstream()
        names = frozenset(self.nodes)
        for node in self.nodes.values():
            in_map = self.containers.of[node.id] is not None
            scope = Scope(upstream[node.id], names, in_map, self.containers.of)
            incoming = tuple(Link(edge.source, edge.handle) for edge in self.incoming[node.id])
            downstream = tuple(dict.fromkeys(edge.target for edge in self.outgoing[node.id]))
            wired = frozenset(edge.handle for edge in self.outgoing[node.id])
            step, faults = compile_step(node, self.catalog, scope, incoming, downstream, wired)
            issues.extend(faults)
            if step is not None:
                steps.append(step)
        return steps, issues

    def _duplicates(self) -> Iterator[Issue]:
        for node_id, count in Counter(node.id for node in self.definition.nodes).items():
            if count > 1:
                yield Issue(code="duplicate-node", message=f"{count} nodes have the id {node_id!r}.", node_id=node_id)

    def _parents(self) -> Iterator[Issue]:
        parents = {node.id: node.parent for node in self.definition.nodes}
        within_themselves = _on_rings(parents)
        for node in self.definition.nodes:
            if node.parent is None:
                continue
            if node.parent not in parents:
                message = f"Node {node.id!r} lies in {node.parent!r}, which does not exist."
                yield Issue(code="unknown-parent", message=message, node_id=node.id)
                continue
            if node.id in within_themselves:
                yield Issue(code="parent-cycle", message=f"Node {node.id!r} lies in itself.", node_id=node.id)

    def _dangling(self) -> Iterator[Issue]:
        drawn = {node.id for node in self.definition.nodes}
        for edge in self.definition.edges:
            for end, node_id in (("source", edge.source), ("target", edge.target)):
                if node_id not in drawn:
                    message = f"The edge's {end} {node_id!r} does not exist."
                    yield Issue(code="dangling-edge", message=message, edge_id=edge.id)
                elif node_id not in self.nodes:
                    message = f"The edge's {end} {node_id!r} is a decoration, not a step."
                    yield Issue(code="dangling-edge", message=message, edge_id=edge.id)

    def _unknown_handles(self) -> Iterator[Issue]:
        outputs: dict[str, dict[str, None]] = {}
        triggers: set[str] = set()
        for node in self.nodes.values():
            if spec := self.catalog.get(node.step_type or ""):
                handles = spec.handles(_config(node.settings))
                outputs[node.id] = dict.fromkeys((*handles.outputs, ERROR_HANDLE))
                if not handles.inputs:
                    triggers.add(node.id)
        for edge in self.edges.values():
            source, target = self.nodes[edge.source], self.nodes[edge.target]
            if source.id in outputs and edge.handle not in outputs[source.id]:
                known = ", ".join(islice(outputs[source.id], SHOWN_HANDLES))
                message = f"Step {source.id!r} has no handle {edge.handle!r}; it has {known}.{did_you_mean(edge.handle, outputs[source.id])}"
                yield Issue(code="unknown-handle", message=message, edge_id=edge.id, node_id=source.id)
            if target.id in triggers:
                message = f"Step {target.id!r} is a trigger: no edge leads to it."
                yield Issue(code="unknown-handle", message=message, edge_id=edge.id, node_id=target.id)

    def _cycles(self) -> Iterator[Issue]:
        """Every cycle that is left when those found before are taken out: depth first, each step and edge once."""
        path: dict[str, Iterator[Edge]] = {}  # in order
        seen: set[str] = set()
        for start in self.nodes:
            if start not in seen:
                path[start] = iter(self.outgoing[start])
                seen.add(start)
            while path:
                last = next(reversed(path))
                target = next(
                    (edge.target for edge in path[last] if edge.target in path or edge.target not in seen), None
                )
                if target is None:
                    del path[last]
                elif target not in path:
                    path[target] = iter(self.outgoing[target])
                    seen.add(target)
                else:
                    cycle = [target]
                    while (last := path.popitem()[0]) != target:
                        cycle.append(last)
                    cycle = [target, *reversed(cycle)] if len(cycle) > 1 else [target, target]
                    shown = " → ".join(cycle if len(cycle) <= 12 else [*cycle[:11], "…", cycle[-1]])
                    yield Issue(code="cycle", message=f"The steps {shown} form a cycle.", node_id=cycle[0])

    def _unreachable(self) -> Iterator[Issue]:
        triggers = [node.id for node in self.nodes.values() if self._is_trigger(node.step_type)]
        if not triggers:
            return
        reached, pending = set(triggers), list(triggers)
        while pending:
            for edge in self.outgoing[pending.pop()]:
                if edge.target not in reached:
                    reached.add(edge.target)
                    pending.append(edge.target)
        for step_id in self.nodes:
            if step_id not in reached and self.containers.of[step_id] is None:
                message = f"No path leads from a trigger to step {step_id!r}."
                yield Issue(code="unreachable", message=message, node_id=step_id)

    def _is_trigger(self, step_type: str | None) -> bool:
        spec = self.catalog.get(step_type or "")
        return spec is not None and spec.kind == "trigger"

    def _upstream(self) -> dict[str, "_Ancestors"]:
        """The ancestors of each step; those on a cycle may miss some, and have an issue of their own."""
        positions = {step_id: number for number, step_id in enumerate(self.nodes)}
        masks = dict.fromkeys(self.nodes, 0)
        for step_id in self._sorted():
            for edge in self.incoming[step_id]:
                masks[step_id] |= masks[edge.source] | 1 << positions[edge.source]
        seen = dict(masks)
        for step_id in self.nodes:
            for container in self.containers.around(step_id):
                seen[step_id] |= masks[container]
        return {step_id: _Ancestors(mask, positions) for step_id, mask in seen.items()}

    def _sorted(self) -> list[str]:
        """The steps, sources first; those on a cycle come last, in the drawn order."""
        waiting = {step_id: len(edges) for step_id, edges in self.incoming.items()}
        ready = [step_id for step_id, count in waiting.items() if count == 0]
        for step_id in ready:
            for edge in self.outgoing[step_id]:
                waiting[edge.target] -= 1
                if waiting[edge.target] == 0:
                    ready.append(edge.target)
        return [*ready, *(step_id for step_id in self.nodes if waiting[step_id] > 0)]


@dataclass(frozen=True, slots=True)
class _Ancestors:
    """A set of steps as bits: two thousand sets of up to two thousand names would fill 100 MB."""

    mask: int
    positions: dict[str, int]

    def __contains__(self, step_id: object) -> bool:
        position = self.positions.get(step_id) if isinstance(step_id, str) else None
        return position is not None and bool(self.mask >> position & 1)


def _on_rings(parents: dict[str, str | None]) -> set[str]:
    """Those whose line of parents leads back to themselves."""
    found: set[str] = set()
    seen: set[str | None] = {None}
    for start in parents:
        line: dict[str | None, None] = {}
        node: str | None = start
        while node not in seen:
            seen.add(node)
            line[node] = None
            node = parents.get(node) if node is not None else None
        if node in line:
            ring = list(line)
            found.update(each for each in ring[ring.index(node) :] if each is not None)
    return found


def _config(data: dict[str, Any]) -> dict[str, Any]:
    config = data.get("config")
    return config if isinstance(config, dict) else {}
