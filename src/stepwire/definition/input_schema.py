"""A workflow's ``input_schema``: JSON Schema 2020-12, without remote references.

Schemas and inputs are strangers'. What a check may cost is known before it is made; so a schema or an input that could
keep the process busy is refused, and nothing that was accepted ends in anything but an answer.
"""

from itertools import islice
from typing import Any

from stepwire.definition.schema_cost import BUDGET, SchemaCost
from stepwire.definition.schema_faults import Faults
from stepwire.definition.schema_graph import SchemaGraph, Unusable
from stepwire.errors import InvalidInput, InvalidInputSchema, Issue

MAX_ISSUES = 50


class InputSchema:
    """A schema that values are checked against. ``path`` is where it stands in what the client sent.

    Raises:
        InvalidInputSchema: it is not a JSON Schema 2020-12, refers to something outside itself, has a pattern that
            cannot be matched in linear time, or may take too long; with the place.
    """

    def __init__(self, schema: dict[str, Any] | bool, path: str = "/input_schema") -> None:
        name = path.rpartition("/")[2]
        try:
            self._graph = SchemaGraph(schema)
            self._cost = SchemaCost(self._graph)
            self._root = self._graph.subschemas[0]
            if self._cost.of(self._root, None) > BUDGET:
                raise Unusable("It applies too many subschemas to each value.", "")
            self._validator = self._graph.validator(self._root)
        except Unusable as error:
            issue = Issue(code="input-schema", message=error.message, path=path + error.path)
            raise InvalidInputSchema(f"{name}: {error.message}", issues=(issue,)) from None

    def check(self, value: Any, path: str = "/input") -> None:
        """Check a value; ``path`` is where it stands in what the client sent.

        Raises:
            InvalidInput: with each place that does not fit, `MAX_ISSUES` at the most; or it is too large to be checked.
        """
        if self._cost.of(self._root, value) > BUDGET:
            raise _refused("The value is too large or too deep to be checked against its schema.", path)
        try:
            if self._validator.is_valid(value):
                return
        except ValueError:  # what no JSON text leads to: lone surrogates, hundreds of levels
            raise _refused("The value cannot be checked: it is not JSON, or too deep.", path) from None
        faults = islice(Faults(self._graph, self._cost).of(value), MAX_ISSUES)
        issues = tuple(Issue(code="input", message=message, path=path + place) for place, message in faults)
        name = path.rpartition("/")[2]
        raise InvalidInput(f"The {name} does not fit its schema: {issues[0].message}", issues=issues)


def _refused(message: str, path: str) -> InvalidInput:
    return InvalidInput(message, issues=(Issue(code="input", message=message, path=path),))
