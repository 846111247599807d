"""Where an expression would keep an optional in a list or map, or in another optional.

The binding knows no Python value for an optional, and ends the process when it converts a map that holds one, or gives a
list that does to a function of ours. Data holds none, so what no part of an expression puts into a value is not in it.
"""

from collections.abc import Mapping

from stepwire.definition.cel_tokens import Token
from stepwire.definition.cel_tree import Node

_MAKERS = frozenset({"optional.of", "optional.ofNonZeroValue", "optional.none", "_?._", "_[?_]", "first", "last", "or"})
_WRAPPERS = frozenset({"optional.of", "optional.ofNonZeroValue"})
_SIGNS = frozenset({"optional", "?", "first", "last"})


def may_make_optionals(tokens: list[Token]) -> bool:
    """Whether an expression needs to be looked at."""
    return any(token.text in _SIGNS for token in tokens)


def keeps_optionals(tree: Node) -> bool:
    """Whether an optional may become a part of something else."""
    walk = _Walk()
    walk.is_optional(tree, {})
    return walk.is_kept


class _Walk:
    """Goes through every node once, from the inside out."""

    def __init__(self) -> None:
        self.is_kept = False

    def is_optional(self, node: Node, scope: Mapping[str, bool]) -> bool:
        """Whether the node's value may be an optional, where its variables may be as ``scope`` says."""
        if node.kind == "name":
            return scope.get(node.name, False)
        if node.kind == "loop":
            return self._loop(node, scope)
        parts = [self.is_optional(part, scope) for part in node.parts]
        if node.kind in ("list", "map"):
            unwrapped = {id(part) for part in node.unwrapped}
            kept = any(found for part, found in zip(node.parts, parts, strict=True) if id(part) not in unwrapped)
            self.is_kept = self.is_kept or kept
            return False
        if node.kind == "select":
            return parts[0]  # of what an optional holds, where it is one, and an optional again
        name = _function(node)
        self.is_kept = self.is_kept or (name in _WRAPPERS and any(parts))
        match name:
            case "_?_:_" | "orValue":
                return any(parts[1:])
            case "dyn":
                return any(parts)
            case "_[_]":
                return parts[0]
            case _:
                return name in _MAKERS

    def _loop(self, node: Node, scope: Mapping[str, bool]) -> bool:
        iterated, start, condition, step, result = node.parts
        accumulator, *_ = node.variables  # the others run over a list or map, which holds none
        self.is_optional(iterated, scope)
        inner = {**scope, **dict.fromkeys(node.variables, False), accumulator: self.is_optional(start, scope)}
        self.is_optional(condition, inner)
        inner[accumulator] = self.is_optional(step, inner) or inner[accumulator]
        return self.is_optional(result, {**scope, accumulator: inner[accumulator]})


def _function(node: Node) -> str:
    """What a call calls, or nothing. In a program that was not checked, ``optional.of`` is a method of a variable."""
    if node.kind != "call":
        return ""
    is_method = bool(node.parts) and (node.parts[0].kind, node.parts[0].name) == ("name", "optional")
    return f"optional.{node.name}" if is_method else node.name
