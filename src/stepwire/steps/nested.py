"""``core.map`` runs what is drawn in it once per item; ``core.workflow`` runs another workflow."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from stepwire.steps.base import BuiltIn, EffectContext, InlineContext, Items, Outcome, StepFailed, Wait

MAX_ITEMS = 10_000


class MapConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    items: Annotated[list[Any], Meta(title="Items", description="A list", examples=["{{ input.orders }}"])]
    concurrency: Annotated[int, Meta(title="Side by side", ge=1, le=100)] = 10
    on_item_error: Annotated[
        Literal["fail", "collect"],
        Meta(title="When an item fails", description="`fail` the step, or `collect` the error and go on"),
    ] = "fail"


class Map(BuiltIn):
    """A container: the nodes in it (``parentId``) are run once per item; they see ``item`` and ``index``."""

    type = "core.map"
    kind: ClassVar[Literal["wait"]] = "wait"
    title = "Map"
    description = (
        "Runs the steps in it once per item of a list, several side by side. Output: a list in the items' order, each "
        "an object of the outputs of the inner steps that nothing follows."
    )
    category = "Flow"
    icon = "repeat"
    config = MapConfig
    expressions: ClassVar = frozenset({"/items"})
    is_container: ClassVar = True
    output_schema: ClassVar = {"type": "array", "items": {"type": "object"}}
    examples: ClassVar = [{"items": "{{ input.orders }}", "concurrency": 5, "on_item_error": "collect"}]

    def check(self, config: Mapping[str, Any]) -> str | None:
        items = config.get("items")
        return _too_many(items) if isinstance(items, list) else None

    def evaluate(self, config: MapConfig, context: InlineContext) -> Items:
        if (fault := _too_many(config.items)) is not None:
            raise StepFailed("too-many-items", fault)
        return Items(len(config.items), config.concurrency, config.on_item_error == "collect")


class ChildConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    workflow_id: Annotated[
        str,
        Meta(
            title="Workflow", description="The id of a published workflow", extra_json_schema={"format": "workflow-id"}
        ),
    ]
    input: Annotated[dict[str, Any], Meta(title="Input", description="The run's input")] = {}
    wait: Annotated[bool, Meta(title="Wait", description="For its end; its output is the step's then")] = True


class ChildWorkflow(BuiltIn):
    """Run a published workflow of the same owner, as a run of its own. Kind ``wait``: a repeat finds the same run."""

    type = "core.workflow"
    kind: ClassVar[Literal["wait"]] = "wait"
    title = "Workflow"
    description = "Runs another workflow. Output: its output; where it is not waited for, an object with its `run_id`."
    category = "Flow"
    icon = "workflow"
    config = ChildConfig
    examples: ClassVar = [
        {"workflow_id": "019583a0-0000-7000-8000-000000000000", "input": {"order": "{{ input.order }}"}}
    ]

    def check(self, config: Mapping[str, Any]) -> str | None:
        workflow_id = config.get("workflow_id")
        if isinstance(workflow_id, str) and "{{" not in workflow_id and _id(workflow_id) is None:
            return "workflow_id is not the id of a workflow."
        return None

    async def execute(self, config: ChildConfig, context: EffectContext) -> Outcome | Wait:
        workflow_id = _id(config.workflow_id)
        if workflow_id is None:
            raise StepFailed("bad-config", "workflow_id is not the id of a workflow.")
        run_id = await context.start_run(workflow_id, config.input, config.wait)
        if config.wait:
            return Wait(None, {"run_id": str(run_id)}, waits_for="run")
        return Outcome({"run_id": str(run_id)})


def _too_many(items: list[Any]) -> str | None:
    return f"There are {len(items):,} items; the limit is {MAX_ITEMS:,}." if len(items) > MAX_ITEMS else None


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
