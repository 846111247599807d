"""What a user drew: React Flow's ``toObject()`` read as nodes and edges; unknown keys stay in the stored JSON."""

from typing import Any

import msgspec

from stepwire.errors import InvalidDefinition, Issue

DEFAULT_HANDLE = "default"
DECORATIONS = frozenset({"group", "note", "annotation"})


class Node(msgspec.Struct, frozen=True, rename="camel"):
    """A node: a step, unless it is a decoration. Everything Stepwire needs of it is in ``data``."""

    id: str
    type: str | None = None
    parent_id: str | None = None
    data: dict[str, Any] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """``data``, whether it is there or not."""
        return self.data or {}

    @property
    def parent(self) -> str | None:
        """The node that this one lies in; null, absent and empty are the same."""
        return self.parent_id or None

    @property
    def step_type(self) -> str | None:
        """``data.step_type``, else the node's own type."""
        declared = self.settings.get("step_type")
        return declared if isinstance(declared, str) and declared else self.type

    @property
    def is_decoration(self) -> bool:
        """Groups and notes are layout, never steps."""
        return not self.settings.get("step_type") and self.type in DECORATIONS


class Edge(msgspec.Struct, frozen=True, rename="camel"):
    """A connection. React Flow makes edge ids without separators, so two edges may share an id by accident."""

    id: str
    source: str
    target: str
    source_handle: str | None = None
    target_handle: str | None = None

    @property
    def handle(self) -> str:
        """The source's handle; null, absent, empty and ``default`` are the same one."""
        return self.source_handle or DEFAULT_HANDLE

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes the connection itself, whatever its id."""
        return (self.source, self.handle, self.target, self.target_handle or DEFAULT_HANDLE)


class Definition(msgspec.Struct, frozen=True):
    """The graph as drawn, in the drawn order."""

    nodes: list[Node] = []
    edges: list[Edge] = []

    @property
    def steps(self) -> list[Node]:
        return [node for node in self.nodes if not node.is_decoration]


def parse(raw: dict[str, Any]) -> Definition:
    """Read a definition's shape.

    Raises:
        InvalidDefinition: it is not a graph of nodes and edges at all, with the first place that is wrong.
    """
    try:
        return msgspec.convert(raw, Definition)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `")
        issue = Issue(code="shape", message=message, path=json_pointer(where.rstrip("`")))
        raise InvalidDefinition(f"The definition is not a React Flow graph: {message}.", issues=(issue,)) from None


def json_pointer(path: str) -> str:
    """Turn msgspec's ``$.nodes[0].id`` into RFC 6901's ``/nodes/0/id``."""
    return path.removeprefix("$").replace("[", "/").replace("]", "").replace(".", "/")
