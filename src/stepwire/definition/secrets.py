"""What a secret is to a definition: a name to read it by, a size, and the mask that everybody else sees."""

import re
from uuid import UUID

SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
NAME_RULE = "The name of a secret has up to 64 letters, digits and underscores, and does not begin with a digit."
# Each value is hidden wherever it stands: a shorter one would take words and numbers with it that are no secret.
MIN_LENGTH = 4
MAX_BYTES = 48 << 10
MASK = "***"


def place(owner: UUID, name: str) -> bytes:
    """Where a value belongs: it is encrypted for there, and opens nowhere else."""
    return b"secret\0" + owner.bytes + name.encode()


def webhook_place(workflow_id: UUID) -> bytes:
    """Where the secret belongs that a workflow's webhook verifies with."""
    return b"webhook\0" + workflow_id.bytes


def hook_place(workflow_id: UUID) -> bytes:
    """Where the secret belongs that a workflow's hook signs with."""
    return b"hook\0" + workflow_id.bytes
