"""Secrets as clients see them: never their values."""

from typing import Annotated

import msgspec
from msgspec import Meta

from stepwire.api.schemas.common import Instant
from stepwire.db.secrets import SecretInfo


class SecretInput(msgspec.Struct, forbid_unknown_fields=True):
    value: Annotated[
        str, Meta(description="4 characters or more, 48 KiB at most; never shown again", examples=["s3cr3t-of-yours"])
    ]


class SecretResponse(msgspec.Struct):
    name: Annotated[str, Meta(description="Steps read it as `{{ secrets.<name> }}`", examples=["api_token"])]
    created_at: Instant
    updated_at: Instant


class SecretList(msgspec.Struct):
    """All of the owner's, by name."""

    items: list[SecretResponse]


def secret_response(secret: SecretInfo) -> SecretResponse:
    return SecretResponse(secret.name, secret.created_at, secret.updated_at)
