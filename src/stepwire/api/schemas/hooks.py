"""Hooks and their deliveries as clients see them."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from stepwire.api.schemas.common import Instant
from stepwire.db.deliveries import Attempt, DeliveryInfo, Status
from stepwire.db.hooks import HookInfo

HookEvent = Literal["run.completed", "run.failed", "run.cancelled"]
Url = Annotated[
    str,
    Meta(min_length=1, max_length=2000, description="http or https", examples=["https://example.com/hooks/stepwire"]),
]
HookSecret = Annotated[
    str,
    Meta(
        description="What deliveries are signed with, as Standard Webhooks has it; not shown again",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    ),
]


class ReadOnly(msgspec.Struct, kw_only=True):
    """What an answer holds beside the writable fields: accepted on the way back in, and ignored."""

    created_at: Any = None
    updated_at: Any = None


class HookInput(ReadOnly, kw_only=True, forbid_unknown_fields=True):
    url: Url
    events: Annotated[list[HookEvent], Meta(min_length=1, max_length=3, description="Which ends of runs to tell")] = (
        msgspec.field(default_factory=lambda: ["run.completed", "run.failed", "run.cancelled"])
    )


class HookResponse(msgspec.Struct, kw_only=True):
    url: str
    events: list[str]
    secret: HookSecret | UnsetType = UNSET
    created_at: Instant
    updated_at: Instant


class NewSecret(msgspec.Struct):
    """The one before goes on signing for a day."""

    secret: HookSecret


class AttemptResponse(msgspec.Struct):
    at: Instant
    milliseconds: Annotated[int, Meta(description="How long it took")]
    status: Annotated[int | None, Meta(description="Of the answer, where there was one")] = None
    error: str | None = None


class DeliveryResponse(msgspec.Struct, kw_only=True):
    """An end of a run that is told to the hook: at least once, with `id` as `webhook-id` each time."""

    id: UUID
    run_id: UUID
    seq: Annotated[int, Meta(description="Of the run's event that it tells of")]
    event: str
    status: Status
    attempts: Annotated[list[AttemptResponse], Meta(description="The last 20, oldest first")]
    next_attempt_at: Instant | None
    created_at: Instant
    delivered_at: Instant | None


class DeliveryPage(msgspec.Struct):
    """Newest first; `next_cursor` leads to the part that follows, null at the end."""

    items: list[DeliveryResponse]
    next_cursor: str | None


def hook_response(hook: HookInfo, secret: str | None = None) -> HookResponse:
    return HookResponse(
        url=hook.url, events=hook.events, secret=UNSET if secret is None else secret, created_at=hook.created_at,
        updated_at=hook.updated_at,
    )  # fmt: skip


def delivery_response(delivery: DeliveryInfo) -> DeliveryResponse:
    return DeliveryResponse(
        id=delivery.id, run_id=delivery.run_id, seq=delivery.seq, event=delivery.event, status=delivery.status,
        attempts=[_attempt(each) for each in delivery.log], next_attempt_at=delivery.next_at,
        created_at=delivery.created_at, delivered_at=delivery.delivered_at,
    )  # fmt: skip


def _attempt(attempt: Attempt) -> AttemptResponse:
    return AttemptResponse(attempt.at, attempt.milliseconds, attempt.status, attempt.error)
