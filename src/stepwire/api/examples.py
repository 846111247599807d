"""What the documentation sends when somebody tries an operation out, each taken as it is, and what is answered."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from stepwire import errors
from stepwire.api.problems import of_error
from stepwire.api.schemas.common import Problem
from stepwire.api.schemas.hooks import AttemptResponse, DeliveryResponse, HookResponse
from stepwire.api.schemas.runs import EventResponse, RunContext, RunResponse, StepContext, StepRunResponse
from stepwire.api.schemas.schedules import ScheduleResponse
from stepwire.api.schemas.secrets import SecretResponse
from stepwire.api.schemas.workflows import WorkflowResponse
from stepwire.errors import Issue, StepwireError
from stepwire.services.live import AfterBeyondEnd, SnapshotFrame

GREETING: dict[str, Any] = {
    "nodes": [
        {"id": "start", "type": "step", "position": {"x": 0, "y": 0}, "data": {"step_type": "trigger.manual"}},
        {
            "id": "greet",
            "type": "step",
            "position": {"x": 240, "y": 0},
            "data": {"step_type": "core.transform", "config": {"values": {"text": "Hello {{ input.name }}"}}},
        },
    ],
    "edges": [{"id": "start-greet", "source": "start", "target": "greet"}],
    "viewport": {"x": 0, "y": 0, "zoom": 1},
}
NAME_SCHEMA: dict[str, Any] = {
    "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"],
}  # fmt: skip


def _example(summary: str, value: Any) -> dict[str, Any]:
    return {"summary": summary, "value": value}


BODIES: dict[str, dict[str, Any]] = {
    "createWorkflow": {
        "greeting": _example(
            "A greeting", {"name": "Greeting", "definition": GREETING, "input_schema": NAME_SCHEMA}
        ),
        "empty": _example("An empty draft", {"name": "Untitled"}),
    },
    "updateWorkflow": {"rename": _example("Another name, the rest as it is", {"name": "Friendly greeting"})},
    "validateWorkflow": {
        "stored": _example("What is stored", {}),
        "sent": _example("A definition in its place", {"definition": GREETING}),
    },
    "startRun": {"greet": _example("For the greeting", {"input": {"name": "Ada"}})},
    "putHook": {"ends": _example("All ends", {"url": "https://example.com/hooks/stepwire"})},
    "receiveWebhook": {"order": _example("What a shop sends", {"order": 7})},
    "renewWebhookSecret": {"made": _example("Make one", {})},
    "putSchedule": {
        "mornings": _example(
            "On working days at nine",
            {"workflow_id": "01890a5d-ac96-774b-bcce-b302099a8057", "cron": "0 9 * * MON-FRI", "timezone": "Europe/Berlin",
             "input": {"name": "Ada"}},
        )
    },
    "putSecret": {"token": _example("A token", {"value": "s3cr3t-of-yours"})},
    "resumeRun": {"approve": _example("An approval", {"step_id": "approve", "data": {"approved": True}})},
}  # fmt: skip

IDS = {
    "workflow_id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "run_id": "01890a5d-b127-7a1c-9d6f-2b7a4f8d1c03",
    "name": "api_token",
    "schedule_id": "01890a5d-b3f0-7c2e-8a51-6d1e2f3a4b5c",
    "delivery_id": "7f1c1d9e-3a53-4d3b-9f0e-0a4c1f5b8e21",
}
WORKFLOW, RUN = UUID(IDS["workflow_id"]), UUID(IDS["run_id"])
DRAWN = datetime(2030, 1, 1, 9, tzinfo=UTC)
STARTED, ENDED = DRAWN + timedelta(minutes=5), DRAWN + timedelta(minutes=5, milliseconds=12)
ADA, HELLO = {"name": "Ada"}, {"text": "Hello Ada"}
ANSWERS: dict[str, Any] = {
    "WorkflowResponse": WorkflowResponse(
        id=WORKFLOW, name="Greeting", description="", version=1, status="published", definition=GREETING,
        input_schema=NAME_SCHEMA, priority="normal", concurrency_limit=None, created_at=DRAWN, updated_at=DRAWN,
        published_at=DRAWN, source_id=None,
    ),
    "RunResponse": RunResponse(
        id=RUN, workflow_id=WORKFLOW, workflow_version=1, status="completed", trigger_type="manual", input=ADA,
        context=RunContext(
            ADA, {"start": StepContext("completed", ADA, None), "greet": StepContext("completed", HELLO, None)}
        ),
        output={"greet": HELLO}, created_at=STARTED, started_at=STARTED, completed_at=ENDED,
    ),
    "StepRunResponse": StepRunResponse(
        id=f"{RUN}:greet", run_id=RUN, step_id="greet", step_type="core.transform", status="completed", attempt=1,
        input={"values": HELLO}, output=HELLO, error=None, started_at=STARTED, completed_at=ENDED,
    ),
    "HookResponse": HookResponse(
        url="https://example.com/hooks/stepwire", events=["run.completed", "run.failed"], created_at=DRAWN, updated_at=DRAWN
    ),
    "DeliveryResponse": DeliveryResponse(
        id=UUID(IDS["delivery_id"]), run_id=RUN, seq=9, event="run.completed", status="delivered",
        attempts=[AttemptResponse(ENDED, 87, 200)], next_attempt_at=None, created_at=ENDED, delivered_at=ENDED,
    ),
    "ScheduleResponse": ScheduleResponse(
        id=UUID(IDS["schedule_id"]), workflow_id=WORKFLOW, name="default", cron="0 9 * * MON-FRI", timezone="Europe/Berlin",
        input=ADA, enabled=True, overlap="skip", catch_up="none", jitter=0, next_fire_at=DRAWN, last_fired_at=None,
        last_run_id=None, last_skipped_at=None, created_at=DRAWN, updated_at=DRAWN,
    ),
    "SecretResponse": SecretResponse("api_token", DRAWN, DRAWN),
    "EventResponse": EventResponse(
        run_id=RUN, seq=8, event="step.completed", step_id="greet", at=ENDED,
        data={"attempt": 1, "output": HELLO, "handles": ["default"]},
    ),
}  # fmt: skip
SNAPSHOT = SnapshotFrame(RUN, "running", 7, {"start": "completed", "greet": "running"})
_NUL = "holds a NUL character (\\u0000), which cannot be stored."
_UNKNOWN = "There is no variable 'inptu'; an expression here can read input, steps, trigger, run and secrets."
_KEY_REUSED = errors.IdempotencyKeyReused(
    "This idempotency key was used for another request; take a new key for a new request."
)


def _malformed(message: str, path: str) -> StepwireError:
    detail = f"The request does not have the right form: {message}{f' at {path}' if path else ''}."
    return errors.Malformed(detail, issues=(Issue(code="malformed", message=message, path=path),))


_NOT_SIGNED = errors.Unauthenticated(
    "The request is not signed as the workflow's webhook trigger wants it, or there is no such webhook."
)
_NO_HOOK = errors.HookNotFound(f"There is no hook for a workflow {IDS['workflow_id']}.")
_REFUSALS: dict[str, StepwireError] = {
    "400": _malformed("Object contains unknown field `nam`", ""),
    "401": errors.Unauthenticated("Send an access token: Authorization: Bearer <token>."),
    "404": errors.WorkflowNotFound(f"There is no workflow {IDS['workflow_id']}."),
    "409": errors.WorkflowNotDraft("The workflow is published and frozen; duplicate it to go on editing."),
    "412": errors.Stale("The workflow was changed meanwhile: read it again, then repeat the change."),
    "413": errors.TooLarge("definition has 1,234,567 bytes; the limit is 1,048,576."),
    "422": errors.Unacceptable(f"name {_NUL}"),
    "429": errors.TooManyRequests("That is more than 20 requests a second; wait 1 s."),
    "503": errors.Unavailable("The database cannot be reached just now; try again."),
    "listWorkflows 400": _malformed("Expected `int`, got `str`", "/page"),
    "createWorkflow 422": _KEY_REUSED,
    "duplicateWorkflow 422": _KEY_REUSED,
    "deleteWorkflow 400": errors.WorkflowNotDeletable(
        "The workflow is published, and only drafts are deleted; archive it instead."
    ),
    "publishWorkflow 422": errors.InvalidDefinition(
        "The definition has 1 problem.",
        issues=(
            Issue(
                code="unknown-variable", message=_UNKNOWN, node_id="greet", path="/data/config/values/text", column=10
            ),
        ),
    ),
    "validateWorkflow 422": errors.Unacceptable("A number cannot be kept as it is: Number out of range."),
    "archiveWorkflow 409": errors.WorkflowNotPublished(
        "The workflow is a draft, and only published ones are archived; delete it."
    ),
    "listRuns 400": _malformed("Invalid enum value 'odd'", "/status"),
    "startRun 409": errors.WorkflowNotPublished(f"Publish it first: POST /api/v1/workflows/{IDS['workflow_id']}/publish."),
    "startRun 413": errors.TooLarge("input has 345,678 bytes; the limit is 262,144."),
    "startRun 422": errors.InvalidInput(
        "The input does not fit the workflow's input_schema: 'name' is a required property",
        issues=(Issue(code="input", message="'name' is a required property", path="/input"),),
    ),
    "getSecret 404": errors.SecretNotFound("There is no secret 'api_token'."),
    "deleteSecret 404": errors.SecretNotFound("There is no secret 'api_token'."),
    "putHook 409": errors.EncryptionKeyMissing(
        "Set STEPWIRE_ENCRYPTION_KEY, for the workers too: secrets are stored encrypted."
    ),
    "putHook 422": errors.InvalidHook("url begins with https:// or http:// and names a host."),
    "getHook 404": _NO_HOOK, "deleteHook 404": _NO_HOOK, "renewHookSecret 404": _NO_HOOK,
    "renewHookSecret 409": errors.EncryptionKeyMissing(
        "Set STEPWIRE_ENCRYPTION_KEY, for the workers too: secrets are stored encrypted."
    ),
    "replayDelivery 404": errors.DeliveryNotFound(f"The workflow has no delivery {IDS['delivery_id']}."),
    "receiveWebhook 401": _NOT_SIGNED,
    "shakeHands 401": _NOT_SIGNED,
    "receiveWebhook 409": errors.WorkflowNotPublished(f"Publish it first: POST /api/v1/workflows/{IDS['workflow_id']}/publish."),
    "receiveWebhook 413": errors.TooLarge("The body is larger than a webhook's may be."),
    "receiveWebhook 422": errors.InvalidInput(
        "The input does not fit the workflow's input_schema: 'name' is a required property",
        issues=(Issue(code="input", message="'name' is a required property", path="/input"),),
    ),
    "renewWebhookSecret 409": errors.EncryptionKeyMissing(
        "Set STEPWIRE_ENCRYPTION_KEY, for the workers too: secrets are stored encrypted."
    ),
    "renewWebhookSecret 413": errors.TooLarge("The body is larger than any request of this API may be."),
    "renewWebhookSecret 422": errors.InvalidSecret("A signing secret has 8 to 500 printable characters."),
    "putSchedule 409": errors.WorkflowNotPublished(f"Publish it first: POST /api/v1/workflows/{IDS['workflow_id']}/publish."),
    "putSchedule 413": errors.TooLarge("input has 345,678 bytes; the limit is 262,144."),
    "putSchedule 422": errors.InvalidSchedule(
        "The minute '60' is out of range, or cannot be read.",
        issues=(Issue(code="cron", message="The minute '60' is out of range, or cannot be read.", path="/cron"),),
    ),
    "putSecret 409": errors.EncryptionKeyMissing(
        "Set STEPWIRE_ENCRYPTION_KEY, for the workers too: secrets are stored encrypted."
    ),
    "putSecret 422": errors.InvalidSecret(
        "A secret has 4 characters or more: shorter ones could not be hidden in outputs."
    ),
    "resumeRun 409": errors.StepNotWaiting("The step 'approve' does not wait for anybody."),
    "resumeRun 413": errors.TooLarge("data has 345,678 bytes; the limit is 262,144."),
    "resumeRun 422": errors.Unacceptable(f"data {_NUL}"),
    "listEvents 409": AfterBeyondEnd("The run has 9 events, fewer than 12."),
    "cancelRun 409": errors.RunFinished("The run has completed already; there is nothing left to cancel."),
    "retryRun 409": errors.RunNotFailed("The run is completed; only failed runs can be taken up again."),
}  # fmt: skip
_NO_RUN = errors.RunNotFound(f"There is no run {IDS['run_id']}.")


def refusal(operation: str, status: str, path: str) -> Problem:
    """What the operation at this path says when it refuses with this status."""
    instance = path.format(**IDS)
    if status == "415":
        return Problem(
            type="/problems/unsupported-media-type", title="Unsupported Media Type", status=415,
            detail="Send the body as application/json.", instance=instance,
        )  # fmt: skip
    if status == "404" and operation in ("receiveWebhook", "shakeHands"):
        detail = "There is nothing at this address; /docs/openapi.json says what there is."
        return of_error(errors.NotFound(detail), instance)
    if status == "405":
        return Problem(
            type="/problems/method-not-allowed", title="Method Not Allowed", status=405,
            detail="This address has other methods; the Allow header names them.", instance=instance,
        )  # fmt: skip
    if status == "404" and "{schedule_id}" in path:
        return of_error(errors.ScheduleNotFound(f"There is no schedule {IDS['schedule_id']}."), instance)
    if status == "404" and "{run_id}" in path:
        return of_error(_NO_RUN, instance)
    return of_error(_REFUSALS.get(f"{operation} {status}", _REFUSALS[status]), instance)
