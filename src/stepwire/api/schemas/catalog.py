"""The catalog and health as clients see them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from stepwire.definition.plan import Handles, StepKind


class StepTypeResponse(msgspec.Struct, kw_only=True):
    type: Annotated[str, Meta(examples=["http.request"])]
    title: str
    description: str
    category: str
    icon: Annotated[str, Meta(description="The name of a Lucide icon")]
    kind: StepKind
    config_schema: Annotated[dict[str, Any], Meta(description="JSON Schema 2020-12 of `data.config`")]
    handles: Handles
    output_schema: dict[str, Any] | None
    examples: Annotated[list[dict[str, Any]], Meta(description="Configurations")]


class Health(msgspec.Struct):
    status: Literal["ok"]
    version: str


class Readiness(msgspec.Struct):
    """`checks` names each dependency: `ok`, or what is wrong with it."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, str]
