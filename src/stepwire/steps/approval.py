"""``core.approval``: wait for a person."""

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from stepwire.definition.durations import seconds_of
from stepwire.definition.input_schema import InputSchema
from stepwire.definition.plan import Handles
from stepwire.errors import InvalidInputSchema
from stepwire.steps.base import BuiltIn, InlineContext, StepFailed, Wait

TIMEOUT_HANDLE = "timeout"


class ApprovalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    message: Annotated[str, Meta(title="Message", max_length=65536, description="What the person is asked")] = ""
    schema: (
        Annotated[
            dict[str, Any],
            Meta(
                title="Form",
                description="JSON Schema 2020-12 of the data that is given",
                extra_json_schema={"format": "json-schema"},
            ),
        ]
        | UnsetType
    ) = UNSET
    timeout: (
        Annotated[float | str, Meta(title="Timeout", description="Seconds, or ISO 8601", examples=["P2D"])] | UnsetType
    ) = UNSET


class Approval(BuiltIn):
    """Rest until somebody answers with POST ``/runs/{id}/resume``, or the time to answer is over."""

    type = "core.approval"
    kind: ClassVar[Literal["wait"]] = "wait"
    title = "Approval"
    description = (
        "Waits until a person answers. Output: the data given. After the timeout the `timeout` edge is taken; "
        "without one the step fails."
    )
    category = "Flow"
    icon = "user-check"
    config = ApprovalConfig
    examples: ClassVar = [
        {
            "message": "Ship order {{ input.id }}?",
            "schema": {"type": "object", "properties": {"approved": {"type": "boolean"}}, "required": ["approved"]},
            "timeout": "P2D",
        }
    ]

    def handles(self, config: Mapping[str, Any]) -> Handles:
        return Handles(outputs=("default", TIMEOUT_HANDLE))

    def check(self, config: Mapping[str, Any]) -> str | None:
        schema, timeout = config.get("schema"), config.get("timeout")
        if isinstance(schema, dict) and (fault := _fault(msgspec.json.encode(schema))):
            return fault
        try:
            if timeout is not None and not (isinstance(timeout, str) and "{{" in timeout):
                seconds_of(timeout)
        except ValueError as error:
            return f"timeout: {error}"
        return None

    def evaluate(self, config: ApprovalConfig, context: InlineContext) -> Wait:
        if not isinstance(config.schema, UnsetType) and (fault := _fault(msgspec.json.encode(config.schema))):
            raise StepFailed("bad-config", fault)  # nobody could answer
        if config.timeout is UNSET:
            return Wait(None, waits_for="person")
        try:
            return Wait(context.now + timedelta(seconds=seconds_of(config.timeout)), waits_for="person")
        except (ValueError, OverflowError) as error:
            raise StepFailed("bad-config", f"timeout: {error}") from None


@lru_cache(maxsize=256)
def _fault(schema: bytes) -> str | None:
    """What is wrong with a form, as JSON; remembered, since the runs of a workflow mostly have the same one."""
    try:
        InputSchema(msgspec.json.decode(schema), "/schema")
    except InvalidInputSchema as error:
        return error.detail
    return None
