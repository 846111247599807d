"""``/catalog``: the step types."""

from litestar import Controller, get

from stepwire.api.openapi import problems
from stepwire.api.schemas.catalog import StepTypeResponse
from stepwire.definition.step import config_schema
from stepwire.steps.registry import StepRegistry


class CatalogController(Controller):
    path = "/catalog"
    tags = ["Catalog"]  # noqa: RUF012 - Litestar's attribute

    @get("/steps", operation_id="listStepTypes", responses=problems())
    async def list_step_types(self, registry: StepRegistry) -> list[StepTypeResponse]:
        """List the step types, each with the JSON Schema of its configuration."""
        return [
            StepTypeResponse(
                type=step.type,
                title=step.title,
                description=step.description,
                category=step.category,
                icon=step.icon,
                kind=step.kind,
                config_schema=config_schema(step.config),
                handles=step.handles({}),
                output_schema=step.output_schema,
                examples=step.examples,
            )
            for step in registry
        ]
