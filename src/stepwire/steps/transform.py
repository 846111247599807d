"""``core.transform``: an object of expressions."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from stepwire.steps.base import BuiltIn, InlineContext, Outcome


class TransformConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    values: Annotated[
        dict[str, Any], Meta(title="Values", description="Name to value; strings may hold {{ expressions }}")
    ] = {}


class Transform(BuiltIn):
    """Reshape data: the output is the object of the evaluated values."""

    type = "core.transform"
    kind: ClassVar[Literal["pure"]] = "pure"
    title = "Transform"
    description = "Builds an object from expressions over the input and earlier steps."
    category = "Data"
    icon = "braces"
    config = TransformConfig
    output_schema: ClassVar = {"type": "object"}
    examples: ClassVar = [{"values": {"total": "{{ input.price * input.quantity }}"}}]

    def evaluate(self, config: TransformConfig, context: InlineContext) -> Outcome:
        return Outcome(output=config.values)
