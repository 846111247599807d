"""``/workflows``: draw and publish."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post, put
from litestar.openapi import ResponseSpec
from litestar.params import Parameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from stepwire.api.openapi import problems
from stepwire.api.paging import page_response
from stepwire.api.schemas.common import Page
from stepwire.api.schemas.workflows import (
    ValidationRequest,
    ValidationResponse,
    WorkflowCreate,
    WorkflowResponse,
    WorkflowStatus,
    WorkflowUpdate,
    validation_response,
    workflow_response,
)
from stepwire.services.paging import Paging
from stepwire.services.workflows import WorkflowService

IfMatch = Annotated[str | None, Parameter(header="If-Match", description="Change only this version: an `ETag`")]
Include = Annotated[str | None, Parameter(query="include", description="`definition`: lists leave it out otherwise")]
REPLAYED = {"Idempotency-Replayed": "true"}


class WorkflowController(Controller):
    path = "/workflows"
    tags = ["Workflows"]  # noqa: RUF012 - Litestar's attribute

    @get(operation_id="listWorkflows", responses=problems())
    async def list_workflows(
        self,
        request: Request[Any, Any, Any],
        workflows: WorkflowService,
        owner: UUID,
        paging: Paging,
        status: WorkflowStatus | None = None,
        name: str | None = None,
        include: Include = None,
    ) -> Response[Page[WorkflowResponse]]:
        """List workflows, newest first; `name` is a substring."""
        whole = include == "definition"
        part = await workflows.of_owner(owner, paging, status=status, name=name, with_definition=whole)
        items = [workflow_response(each, with_definition=whole) for each in part.items]
        return page_response(request, part, items, paging)

    @post(
        operation_id="createWorkflow",
        status_code=HTTP_201_CREATED,
        responses={200: ResponseSpec(WorkflowResponse, description="Made before", generate_examples=False)}
        | problems(413, 415, 422),
    )
    async def create_workflow(
        self, data: WorkflowCreate, workflows: WorkflowService, owner: UUID, idempotency_key: str | None
    ) -> Response[WorkflowResponse]:
        """Create a draft. Any graph can be saved, half-drawn ones too."""
        made = await workflows.create(owner, data.values(), idempotency_key)
        headers = {"Location": f"/api/v1/workflows/{made.workflow.id}", "ETag": f'"{made.workflow.revision}"'}
        if made.is_new:
            return Response(workflow_response(made.workflow), headers=headers)
        return Response(workflow_response(made.workflow), status_code=HTTP_200_OK, headers=headers | REPLAYED)

    @get("/{workflow_id:uuid}", operation_id="getWorkflow", responses=problems(404))
    async def get_workflow(
        self, workflow_id: UUID, workflows: WorkflowService, owner: UUID
    ) -> Response[WorkflowResponse]:
        """Get a workflow; its `ETag` goes into `If-Match` when it is changed."""
        workflow = await workflows.get(owner, workflow_id)
        return Response(workflow_response(workflow), headers={"ETag": f'"{workflow.revision}"'})

    @put("/{workflow_id:uuid}", operation_id="updateWorkflow", responses=problems(404, 409, 412, 413, 415, 422))
    async def update_workflow(
        self, workflow_id: UUID, data: WorkflowUpdate, workflows: WorkflowService, owner: UUID, if_match: IfMatch = None
    ) -> Response[WorkflowResponse]:
        """Change a draft. What is absent stays as it is; read-only fields are ignored."""
        workflow = await workflows.update(owner, workflow_id, data.values(), revisions(if_match))
        return Response(workflow_response(workflow), headers={"ETag": f'"{workflow.revision}"'})

    @post(
        "/{workflow_id:uuid}/publish",
        operation_id="publishWorkflow",
        status_code=HTTP_200_OK,
        responses=problems(404, 409, 422),
    )
    async def publish_workflow(self, workflow_id: UUID, workflows: WorkflowService, owner: UUID) -> WorkflowResponse:
        """Validate and freeze a draft, and make it runnable. Publishing again changes nothing."""
        return workflow_response(await workflows.publish(owner, workflow_id))

    @post(
        "/{workflow_id:uuid}/validate",
        operation_id="validateWorkflow",
        status_code=HTTP_200_OK,
        responses=problems(404, 413, 415),
    )
    async def validate_workflow(
        self, workflow_id: UUID, workflows: WorkflowService, owner: UUID, data: ValidationRequest | None = None
    ) -> ValidationResponse:
        """Validate what is stored, or the definition in the body; always 200, with every issue at its node or edge."""
        return validation_response(await workflows.validate(owner, workflow_id, data.definition if data else None))


def revisions(if_match: str | None) -> set[int] | None:
    """The revisions that an ``If-Match`` header names, those that are none of ours left out; None for any.

    Source: RFC 9110 section 13.1.1.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(","))
    return {int(tag) for tag in tags if tag.isascii() and tag.isdigit()}
