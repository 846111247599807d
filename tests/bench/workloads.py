"""The definitions that are measured; the same as for the peers: set, condition, set, set, set; a chain; a fan-out."""

from itertools import pairwise
from typing import Any


def _node(node_id: str, step_type: str, **config: Any) -> dict[str, Any]:
    return {"id": node_id, "type": step_type, "position": {"x": 0, "y": 0}, "data": {"config": config}}


def _edge(source: str, target: str, handle: str | None = None) -> dict[str, Any]:
    return {"id": f"{source}-{target}", "source": source, "target": target, "sourceHandle": handle}


def short() -> dict[str, Any]:
    nodes = [
        _node("a", "core.transform", values={"n": "{{ input.n + 1 }}"}),
        _node("b", "core.condition", expression="{{ steps.a.output.n > 0 }}"),
        _node("c", "core.transform", values={"n": "{{ steps.a.output.n * 2 }}"}),
        _node("d", "core.transform", values={"n": "{{ steps.c.output.n + 1 }}"}),
        _node("e", "core.transform", values={"n": "{{ steps.d.output.n }}"}),
    ]
    return {"nodes": nodes, "edges": [_edge("a", "b"), _edge("b", "c", "true"), _edge("c", "d"), _edge("d", "e")]}


def chain100() -> dict[str, Any]:
    nodes = [_node("s0", "core.transform", values={"n": 1})]
    nodes += [
        _node(f"s{i}", "core.transform", values={"n": f"{{{{ steps.s{i - 1}.output.n + 1 }}}}"}) for i in range(1, 100)
    ]
    return {"nodes": nodes, "edges": [_edge(f"s{i - 1}", f"s{i}") for i in range(1, 100)]}


def fanout100() -> dict[str, Any]:
    branches = [_node(f"b{i}", "core.transform", values={"n": f"{{{{ input.n + {i} }}}}"}) for i in range(100)]
    nodes = [_node("start", "core.transform", values={}), *branches, _node("join", "core.merge")]
    edges = [edge for i in range(100) for edge in (_edge("start", f"b{i}"), _edge(f"b{i}", "join"))]
    return {"nodes": nodes, "edges": edges}


def durable() -> dict[str, Any]:
    nodes = [_node("a", "bench.note", value="{{ input.n + 1 }}")]
    nodes += [
        _node(name, "bench.note", value=f"{{{{ steps.{source}.output.value + 1 }}}}")
        for source, name in zip("abcd", "bcde", strict=True)
    ]
    return {"nodes": nodes, "edges": [_edge(*pair) for pair in zip("abcd", "bcde", strict=True)]}


def chain_of(step_type: str, length: int, first: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:
    """Steps of one type, one after another, behind ``first``."""
    nodes = [first] if first is not None else []
    nodes += [_node(f"s{number}", step_type, **config) for number in range(length)]
    return {"nodes": nodes, "edges": [_edge(one["id"], next_["id"]) for one, next_ in pairwise(nodes)]}


WORKLOADS = {"short": short, "chain100": chain100, "fanout100": fanout100, "durable": durable}
