"""``/workflows``: draw and publish."""

from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Controller, Request, Response, delete, get, post, put
from litestar.dto import DTOData
from litestar.params import Parameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from stepwire.api.dto import changes
from stepwire.api.etags import IfMatch, IfNoneMatch, etag, is_known, not_modified, revisions
from stepwire.api.openapi import NOT_MODIFIED, made_before, problems
from stepwire.api.paging import page_response
from stepwire.api.schemas.common import Page
from stepwire.api.schemas.workflows import (
    ValidationRequest,
    ValidationResponse,
    WorkflowChanges,
    WorkflowCreate,
    WorkflowListDTO,
    WorkflowResponse,
    WorkflowStatus,
    WorkflowUpdate,
    WorkflowUpdateDTO,
    validation_response,
    workflow_response,
)
from stepwire.services.paging import Paging
from stepwire.services.workflows import Made, WorkflowService

Include = Annotated[
    Literal["definition"] | None, Parameter(query="include", description="What lists leave out otherwise")
]
NamePart = Annotated[str | None, Parameter(query="name", max_length=200, description="A substring, in any case")]
REPLAYED = {"Idempotency-Replayed": "true"}


class WorkflowController(Controller):
    path = "/workflows"
    tags = ["Workflows"]  # noqa: RUF012 - Litestar's attribute

    @get(operation_id="listWorkflows", return_dto=WorkflowListDTO, responses=problems(422))
    async def list_workflows(
        self,
        request: Request[Any, Any, Any],
        workflows: WorkflowService,
        owner: UUID,
        paging: Paging,
        status: WorkflowStatus | None = None,
        name: NamePart = None,
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
        responses=made_before(WorkflowResponse) | problems(413, 415, 422),
    )
    async def create_workflow(
        self, data: WorkflowCreate, workflows: WorkflowService, owner: UUID, header_key: str | None
    ) -> Response[WorkflowResponse]:
        """Create a draft. Any graph can be saved, half-drawn ones too."""
        return _made(await workflows.create(owner, data.values(), header_key))

    @get("/{workflow_id:uuid}", operation_id="getWorkflow", responses=NOT_MODIFIED | problems(404))
    async def get_workflow(
        self, workflow_id: UUID, workflows: WorkflowService, owner: UUID, if_none_match: IfNoneMatch = None
    ) -> Response[WorkflowResponse]:
        """Get a workflow; its `ETag` goes into `If-Match` when it is changed, and into `If-None-Match` to look again."""
        workflow = await workflows.get(owner, workflow_id)
        if is_known(if_none_match, workflow.revision):
            return not_modified(workflow.revision)
        return Response(workflow_response(workflow), headers=etag(workflow.revision))

    @put(
        "/{workflow_id:uuid}",
        operation_id="updateWorkflow",
        dto=WorkflowUpdateDTO,
        return_dto=None,
        responses=problems(404, 409, 412, 413, 415, 422),
    )
    async def update_workflow(
        self,
        workflow_id: UUID,
        data: DTOData[WorkflowChanges],
        workflows: WorkflowService,
        owner: UUID,
        if_match: IfMatch = None,
    ) -> Response[WorkflowResponse]:
        """Change a draft. What is absent stays as it is; read-only fields are ignored."""
        values = changes(data, WorkflowUpdate).values()
        workflow = await workflows.update(owner, workflow_id, values, revisions(if_match))
        return Response(workflow_response(workflow), headers=etag(workflow.revision))

    @delete("/{workflow_id:uuid}", operation_id="deleteWorkflow", responses=problems(404, 412))
    async def delete_workflow(
        self, workflow_id: UUID, workflows: WorkflowService, owner: UUID, if_match: IfMatch = None
    ) -> None:
        """Delete a draft; 400 if it is not one: what was published is archived, since its runs refer to it."""
        await workflows.delete(owner, workflow_id, revisions(if_match))

    @post(
        "/{workflow_id:uuid}/publish",
        operation_id="publishWorkflow",
        status_code=HTTP_200_OK,
        responses=problems(404, 409, 412, 415, 422),
    )
    async def publish_workflow(
        self, workflow_id: UUID, workflows: WorkflowService, owner: UUID, if_match: IfMatch = None
    ) -> Response[WorkflowResponse]:
        """Validate and freeze a draft, and make it runnable. Publishing again changes nothing."""
        workflow = await workflows.publish(owner, workflow_id, revisions(if_match))
        return Response(workflow_response(workflow), headers=etag(workflow.revision))

    @post(
        "/{workflow_id:uuid}/duplicate",
        operation_id="duplicateWorkflow",
        status_code=HTTP_201_CREATED,
        responses=made_before(WorkflowResponse) | problems(404, 415, 422),
    )
    async def duplicate_workflow(
        self, workflow_id: UUID, workflows: WorkflowService, owner: UUID, header_key: str | None
    ) -> Response[WorkflowResponse]:
        """Copy a workflow, whatever its status, as a draft: the next version of its line."""
        return _made(await workflows.duplicate(owner, workflow_id, header_key))

    @post(
        "/{workflow_id:uuid}/archive",
        operation_id="archiveWorkflow",
        status_code=HTTP_200_OK,
        responses=problems(404, 409, 415),
    )
    async def archive_workflow(
        self, workflow_id: UUID, workflows: WorkflowService, owner: UUID
    ) -> Response[WorkflowResponse]:
        """Retire a published workflow: no new runs, its triggers stop, running ones finish."""
        workflow = await workflows.archive(owner, workflow_id)
        return Response(workflow_response(workflow), headers=etag(workflow.revision))

    @post(
        "/{workflow_id:uuid}/validate",
        operation_id="validateWorkflow",
        status_code=HTTP_200_OK,
        responses=problems(404, 413, 415, 422),
    )
    async def validate_workflow(
        self, workflow_id: UUID, workflows: WorkflowService, owner: UUID, data: ValidationRequest | None = None
    ) -> ValidationResponse:
        """Validate what is stored, or the definition in the body; always 200, with every issue at its node or edge."""
        return validation_response(await workflows.validate(owner, workflow_id, data.definition if data else None))


def _made(made: Made) -> Response[WorkflowResponse]:
    """201 and where it is; 200 where an earlier request with the same idempotency key made it."""
    headers = {"Location": f"/api/v1/workflows/{made.workflow.id}"} | etag(made.workflow.revision)
    if made.is_new:
        return Response(workflow_response(made.workflow), headers=headers)
    return Response(workflow_response(made.workflow), status_code=HTTP_200_OK, headers=headers | REPLAYED)
