"""What can go wrong, in our words. No HTTP here: `api/problems.py` maps the families to statuses."""

from typing import Any, ClassVar

import msgspec


class Issue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong, at its place: a JSON pointer, a node or an edge, a column in an expression."""

    code: str
    message: str
    node_id: str | None = None
    edge_id: str | None = None
    path: str | None = None
    column: int | None = None


class StepwireError(Exception):
    """The root of every error that Stepwire raises on purpose.

    ``kind`` is stable and ends up in the problem's ``type`` URI; the message is a sentence that a person can act on.
    """

    kind: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"

    def __init__(
        self, detail: str = "", *, issues: tuple[Issue, ...] = (), headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.issues = issues
        self.headers = headers or {}

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.detail,))


class Malformed(StepwireError):
    """The request cannot be understood."""

    kind, title = "malformed-request", "Malformed request"


class Unauthenticated(StepwireError):
    """Nobody, or somebody that we do not believe."""

    kind, title = "unauthenticated", "Authentication required"


class Forbidden(StepwireError):
    """Known, but not allowed."""

    kind, title = "forbidden", "Forbidden"


class NotFound(StepwireError):
    """Missing, or another owner's: the two cannot be told apart."""

    kind, title = "not-found", "Not found"


class Conflict(StepwireError):
    """The request is sound, but not in the state that the resource is in."""

    kind, title = "conflict", "Conflict"


class Stale(StepwireError):
    """The resource has changed since the client read it."""

    kind, title = "stale", "The resource has changed"


class TooLarge(StepwireError):
    """Over a size limit."""

    kind, title = "too-large", "Too large"


class Unacceptable(StepwireError):
    """Well-formed, but its content cannot be accepted."""

    kind, title = "unacceptable", "Unacceptable content"


class TooManyRequests(StepwireError):
    """More requests than the owner may make."""

    kind, title = "too-many-requests", "Too many requests"


class Unavailable(StepwireError):
    """Something that the request needs is away just now; the same request may well work in a moment."""

    kind, title = "unavailable", "Temporarily unavailable"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)})


class WorkflowNotFound(NotFound):
    kind, title = "workflow-not-found", "No such workflow"


class RunNotFound(NotFound):
    kind, title = "run-not-found", "No such run"


class SecretNotFound(NotFound):
    kind, title = "secret-not-found", "No such secret"


class HookNotFound(NotFound):
    kind, title = "hook-not-found", "No such hook"


class ScheduleNotFound(NotFound):
    kind, title = "schedule-not-found", "No such schedule"


class DeliveryNotFound(NotFound):
    kind, title = "delivery-not-found", "No such delivery"


class WorkflowNotPublished(Conflict):
    kind, title = "workflow-not-published", "Workflow is not published"


class WorkflowNotDraft(Conflict):
    kind, title = "workflow-not-draft", "Workflow is not a draft"


class WorkflowNotDeletable(Malformed):
    kind, title = "workflow-not-deletable", "Only drafts can be deleted"


class RunFinished(Conflict):
    kind, title = "run-finished", "The run has ended"


class RunNotFailed(Conflict):
    kind, title = "run-not-failed", "The run has not failed"


class RunNotPaused(Conflict):
    kind, title = "run-not-paused", "The run is not paused"


class StepNotWaiting(Conflict):
    kind, title = "step-not-waiting", "The step does not wait for anybody"


class EncryptionKeyMissing(Conflict):
    """There is nothing to encrypt with."""

    kind, title = "encryption-key-missing", "No encryption key is set"


class InvalidDefinition(Unacceptable):
    kind, title = "invalid-definition", "The definition has errors"


class InvalidInput(Unacceptable):
    kind, title = "invalid-input", "The input does not fit the workflow's input schema"


class InvalidInputSchema(Unacceptable):
    kind, title = "invalid-input-schema", "The input schema is not a JSON Schema that can be used"


class InvalidSecret(Unacceptable):
    kind, title = "invalid-secret", "The secret cannot be stored"


class InvalidSchedule(Unacceptable):
    kind, title = "invalid-schedule", "The schedule cannot be kept"


class InvalidHook(Unacceptable):
    kind, title = "invalid-hook", "The hook cannot be called"


class IdempotencyKeyReused(Unacceptable):
    kind, title = "idempotency-key-reused", "The idempotency key was used for another request"


class Misconfigured(StepwireError):
    """A setting is missing or wrong; the process ends with exit code 78 (EX_CONFIG)."""

    kind, title = "misconfigured", "Misconfigured"


class LeaseLost(StepwireError):
    """Another driver has the run, or it has ended: whoever gets this stops driving and changes nothing."""

    kind, title = "lease-lost", "The lease on the run was lost"
