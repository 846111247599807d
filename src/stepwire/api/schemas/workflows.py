"""Workflows as clients see them."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar.dto import DTOConfig
from msgspec import UNSET, Meta, UnsetType

from stepwire.api.dto import ListDTO, StructDTO
from stepwire.api.schemas.common import Instant
from stepwire.db.models import Workflow
from stepwire.definition.validate import Checked
from stepwire.errors import Issue

WorkflowStatus = Literal["draft", "published", "archived"]
Name = Annotated[str, Meta(min_length=1, max_length=200, examples=["Order intake"])]
Description = Annotated[str, Meta(max_length=10_000)]
DefinitionJson = Annotated[dict[str, Any], Meta(description="What React Flow's toObject() gives, kept whole")]
InputSchemaJson = Annotated[dict[str, Any], Meta(description="JSON Schema 2020-12 that every run's input has to fit")]

PRIORITIES: dict[str, int] = {"low": -1, "normal": 0, "high": 1}
Priority = Annotated[
    Literal["low", "normal", "high"],
    Meta(description="Which of an owner's queued runs begin first; frozen when published"),
]
# A float, since JSON Schema's integers include 5.0, and msgspec's do not.
ConcurrencyLimit = Annotated[
    float,
    Meta(
        ge=1, le=1000, multiple_of=1, description="How many of its runs go on at once; the others stay queued, in order"
    ),
]

EMPTY: dict[str, Any] = {"nodes": [], "edges": []}


class ReadOnly(msgspec.Struct, kw_only=True):
    """What an answer holds beside the writable fields: accepted on the way back in, and ignored."""

    id: Any = None
    version: Any = None
    status: Any = None
    created_at: Any = None
    updated_at: Any = None
    published_at: Any = None
    source_id: Any = None


class WorkflowCreate(ReadOnly, kw_only=True, forbid_unknown_fields=True):
    name: Name
    description: Description = ""
    definition: DefinitionJson = msgspec.field(default_factory=lambda: dict(EMPTY))
    input_schema: InputSchemaJson | None = None
    priority: Priority = "normal"
    concurrency_limit: ConcurrencyLimit | None = None

    def values(self) -> dict[str, Any]:
        """The writable fields; those that came later only where they say something, so that keys go on meaning the same."""
        values = _writable(self)
        later = {"priority": PRIORITIES["normal"], "concurrency_limit": None}
        return {name: value for name, value in values.items() if name not in later or value != later[name]}


class WorkflowUpdate(ReadOnly, kw_only=True, forbid_unknown_fields=True):
    """Absent fields stay as they are; `input_schema: null` and `concurrency_limit: null` clear them."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    definition: DefinitionJson | UnsetType = UNSET
    input_schema: InputSchemaJson | UnsetType | None = UNSET
    priority: Priority | UnsetType = UNSET
    concurrency_limit: ConcurrencyLimit | UnsetType | None = UNSET

    def values(self) -> dict[str, Any]:
        """The fields that are there."""
        return {name: value for name, value in _writable(self).items() if value is not UNSET}


class WorkflowChanges(WorkflowCreate, kw_only=True, forbid_unknown_fields=True):
    """What the DTO decodes, before it is checked as a `WorkflowUpdate`: it takes no bounds on what may be null."""

    concurrency_limit: Any = None


class WorkflowUpdateDTO(StructDTO[WorkflowChanges]):
    documented = WorkflowUpdate
    config = DTOConfig(partial=True, forbid_unknown_fields=True)


class WorkflowResponse(msgspec.Struct, kw_only=True):
    id: UUID
    name: str
    description: str
    version: int
    status: WorkflowStatus
    definition: DefinitionJson | UnsetType = UNSET
    input_schema: dict[str, Any] | None
    priority: Priority
    concurrency_limit: int | None
    created_at: Instant
    updated_at: Instant
    published_at: Instant | None
    source_id: UUID | None


class WorkflowListDTO(ListDTO[WorkflowResponse]):
    config = DTOConfig(exclude={"definition"})


class ValidationRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A definition to validate in place of the stored one."""

    definition: DefinitionJson | None = None


class ValidationResponse(msgspec.Struct):
    """`issues` says all that is wrong, each at its place; `errors` the same as sentences."""

    valid: bool
    errors: list[str]
    issues: list["IssueResponse"]


class IssueResponse(msgspec.Struct, kw_only=True):
    code: str
    message: str
    node_id: str | None
    edge_id: str | None
    path: Annotated[str | None, Meta(description="A JSON pointer into the node")]
    column: Annotated[int | None, Meta(description="Where in the string, from 1")]


_WRITABLE = ("name", "description", "definition", "input_schema", "priority", "concurrency_limit")
_NAMES: dict[int, Priority] = {-1: "low", 0: "normal", 1: "high"}


def workflow_response(workflow: Workflow, *, with_definition: bool = True) -> WorkflowResponse:
    return WorkflowResponse(
        id=workflow.id,
        name=workflow.name,
        description=workflow.description,
        version=workflow.version,
        status=msgspec.convert(workflow.status, WorkflowStatus),
        definition=workflow.definition if with_definition else UNSET,
        input_schema=workflow.input_schema,
        priority=_NAMES[workflow.priority],
        concurrency_limit=workflow.concurrency_limit,
        created_at=workflow.created_at,
        updated_at=workflow.updated_at,
        published_at=workflow.published_at,
        source_id=workflow.source_id,
    )


def validation_response(checked: Checked) -> ValidationResponse:
    return ValidationResponse(
        valid=not checked.issues,
        errors=[issue.message for issue in checked.issues],
        issues=[_issue(issue) for issue in checked.issues],
    )


def _issue(issue: Issue) -> IssueResponse:
    return IssueResponse(
        code=issue.code,
        message=issue.message,
        node_id=issue.node_id,
        edge_id=issue.edge_id,
        path=issue.path,
        column=issue.column,
    )


def _writable(body: WorkflowCreate | WorkflowUpdate) -> dict[str, Any]:
    values = {name: getattr(body, name) for name in _WRITABLE}
    limit = values["concurrency_limit"]
    whole = int(limit) if isinstance(limit, float) else limit
    return values | {"priority": PRIORITIES.get(values["priority"], UNSET), "concurrency_limit": whole}
