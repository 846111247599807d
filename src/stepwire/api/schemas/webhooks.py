"""Signing secrets of webhooks as clients see them."""

from typing import Annotated

import msgspec
from msgspec import Meta


class WebhookSecretInput(msgspec.Struct, forbid_unknown_fields=True):
    secret: (
        Annotated[str, Meta(description="The one that the sender fixed (Stripe, Slack, a token); null makes one")]
        | None
    ) = None


class WebhookSecret(msgspec.Struct):
    """Shown once; the one before works for another 24 hours."""

    secret: Annotated[str, Meta(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])]
