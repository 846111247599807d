"""A workflow's ``input_schema``: JSON Schema 2020-12, without remote references."""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing.exceptions import Unresolvable

from stepwire.definition.templates import pointer
from stepwire.errors import InvalidInput, InvalidInputSchema, Issue

MAX_ISSUES = 50


class InputSchema:
    """A schema that inputs are checked against.

    Raises:
        InvalidInputSchema: it is not a JSON Schema, or refers to something outside itself.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        try:
            Draft202012Validator.check_schema(schema)
        except (SchemaError, RecursionError) as error:
            message = error.message if isinstance(error, SchemaError) else "it is nested too deeply"
            path = "".join(f"/{pointer(key)}" for key in getattr(error, "absolute_path", ()))
            issue = Issue(code="input-schema", message=message[:300], path=f"/input_schema{path}")
            raise InvalidInputSchema(f"input_schema: {message[:300]}", issues=(issue,)) from None
        for path, reference in _references(schema, ""):
            if not reference.startswith("#"):
                message = f"{reference[:100]!r} is outside the schema; only references within it (#/…) are followed."
                issue = Issue(code="input-schema", message=message, path=f"/input_schema{path}")
                raise InvalidInputSchema(message, issues=(issue,))
        self._validator = Draft202012Validator(schema)

    def check(self, value: Any) -> None:
        """Check an input.

        Raises:
            InvalidInput: with each place that does not fit.
        """
        try:
            issues = [
                _issue(error) for error, _ in zip(self._validator.iter_errors(value), range(MAX_ISSUES), strict=False)
            ]
        except (Unresolvable, RecursionError) as error:
            raise InvalidInputSchema(f"input_schema cannot be applied: {error}"[:300]) from None
        if issues:
            raise InvalidInput(
                f"The input does not fit the workflow's input_schema: {issues[0].message}", issues=tuple(issues)
            )


def _issue(error: ValidationError) -> Issue:
    path = "".join(f"/{pointer(key)}" for key in error.absolute_path)
    return Issue(code="input", message=error.message[:300], path=f"/input{path}")


def _references(schema: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in ("$ref", "$dynamicRef") and isinstance(value, str):
                yield f"{path}/{key}", value
            else:
                yield from _references(value, f"{path}/{pointer(key)}")
    elif isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from _references(item, f"{path}/{index}")
