"""Small builders of definitions and plans, and a strategy that draws any plan."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from stepwire.definition.plan import Plan
from stepwire.definition.validate import check
from stepwire.steps.registry import load_registry

NOW = datetime(2030, 1, 1, tzinfo=UTC)
REGISTRY = load_registry()

CONFIGS: dict[str, dict[str, Any]] = {
    "core.condition": {"expression": "true"},
    "core.switch": {"cases": [{"handle": "red", "equals": 1}, {"handle": "blue", "equals": 2}]},
    "core.delay": {"duration": 60},
    "http.request": {"url": "https://example.com"},
}
OUTPUTS = {"core.condition": ("true", "false"), "core.switch": ("red", "blue", "default"), "core.fail": ()}
TRIGGERS = ("trigger.manual", "trigger.webhook", "trigger.schedule")
STEP_TYPES = ("core.log", "core.merge", "core.condition", "core.switch", "core.delay", "core.fail", "http.request")


def node(
    node_id: str, step_type: str = "core.log", config: dict[str, Any] | None = None, **data: Any
) -> dict[str, Any]:
    """A node as React Flow has it; without ``config``, one that the step type accepts."""
    known = CONFIGS.get(step_type, {}) if config is None else config
    return {
        "id": node_id,
        "type": "step",
        "position": {"x": 0, "y": 0},
        "data": {"step_type": step_type, "config": known, **data},
    }


def edge(
    source: str, target: str, handle: str | None = None, edge_id: str | None = None, **more: Any
) -> dict[str, Any]:
    known = edge_id or f"reactflow__edge-{source}{handle or ''}-{target}"
    return {"id": known, "source": source, "target": target, "sourceHandle": handle, **more}


def definition(nodes: list[dict[str, Any]], edges: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"nodes": nodes, "edges": edges or [], "viewport": {"x": 0, "y": 0, "zoom": 1}}


def chain(*nodes: dict[str, Any]) -> dict[str, Any]:
    """The nodes, each joined to the next one by a default edge."""
    return definition(
        list(nodes), [edge(one["id"], other["id"]) for one, other in pairwise(nodes)]
    )  # fmt: skip


def plan_of(raw: dict[str, Any]) -> Plan:
    checked = check(raw, REGISTRY)
    assert checked.plan is not None, checked.issues
    return checked.plan


@st.composite
def definitions(draw: st.DrawFn, max_steps: int = 8) -> dict[str, Any]:
    """Any valid graph: conditions, switches, error edges, on_error, joins, retries, and none to three triggers."""
    triggers = draw(st.lists(st.sampled_from(TRIGGERS), max_size=3))
    types = triggers + draw(st.lists(st.sampled_from(STEP_TYPES), min_size=0 if triggers else 1, max_size=max_steps))
    nodes = [node(f"s{number}", step_type, **draw(_data())) for number, step_type in enumerate(types)]
    edges: dict[tuple[str, str, str], dict[str, Any]] = {}

    def connect(source: int, target: int) -> None:
        handles = (*OUTPUTS.get(types[source], ("default",)), "error")
        handle = draw(st.sampled_from(handles))
        shown = draw(st.sampled_from((None, "", "default"))) if handle == "default" else handle
        edges[f"s{source}", handle, f"s{target}"] = edge(f"s{source}", f"s{target}", shown)

    for target in range(len(triggers), len(types)):
        sources = draw(st.lists(st.sampled_from(range(target)), max_size=3, unique=True)) if target else []
        if triggers and not sources:
            sources = [draw(st.sampled_from(range(len(triggers))))]
        for source in sources:
            connect(source, target)
    return definition(draw(st.permutations(nodes)), draw(st.permutations(list(edges.values()))))


def _data() -> st.SearchStrategy[dict[str, Any]]:
    retry = st.fixed_dictionaries(
        {"max_attempts": st.integers(1, 4)},
        optional={
            "initial_interval": st.sampled_from([0, 1, "PT2S"]),
            "max_interval": st.sampled_from([5, "PT1M"]),
            "jitter": st.sampled_from([0, 0.5, 1]),
        },
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "on_error": st.sampled_from(["fail", "continue"]),
            "join": st.sampled_from(["all", "any"]),
            "retry": retry,
        },
    )


def plans() -> st.SearchStrategy[Plan]:
    return definitions().map(plan_of)
