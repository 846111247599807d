"""Secrets, encrypted as they are. Every query about them is here; each takes the owner, but those that change keys."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import msgspec

from stepwire.db.pool import AWAY, Pool, for_a_client
from stepwire.errors import Unavailable

_PUT = """
INSERT INTO secret (owner_id, name, value, key_id)
SELECT $1, $2, $3, $4
WHERE EXISTS (SELECT FROM secret WHERE owner_id = $1 AND name = $2)
    OR (SELECT count(*) FROM secret WHERE owner_id = $1) < $5
ON CONFLICT (owner_id, name) DO UPDATE SET value = excluded.value, key_id = excluded.key_id, updated_at = now()
RETURNING created_at, updated_at, xmax = 0 AS is_new
"""

# A value that was set anew meanwhile is under the new key already, and stays.
_REPLACE = "UPDATE secret SET value = $4, key_id = $5 WHERE owner_id = $1 AND name = $2 AND value = $3"


class SecretInfo(msgspec.Struct, frozen=True):
    """What may be said of a secret."""

    name: str
    created_at: datetime
    updated_at: datetime
    is_new: bool = False


class StaleSecret(msgspec.Struct, frozen=True):
    """A secret under a key that is to go; ``value`` is encrypted."""

    owner_id: UUID
    name: str
    value: bytes


async def read(pool: Pool, owner: UUID, names: Collection[str]) -> dict[str, bytes]:
    """The encrypted values, by name, of those that there are.

    Raises:
        Unavailable: the database is away.
    """
    statement = "SELECT name, value FROM secret WHERE owner_id = $1 AND name = ANY($2::text[])"
    try:
        return {record["name"]: record["value"] for record in await pool.fetch(statement, owner, list(names))}
    except AWAY as error:
        raise Unavailable("The database cannot be reached just now.") from error


async def put(pool: Pool, owner: UUID, name: str, *, value: bytes, key_id: str, most: int) -> SecretInfo | None:
    """Store a value in place of any that there is; None where it would be one more than ``most``."""
    with for_a_client():
        record = await pool.fetchrow(_PUT, owner, name, value, key_id, most)
    return None if record is None else SecretInfo(name, *record)


async def delete(pool: Pool, owner: UUID, name: str) -> bool:
    """False where there is none."""
    statement = "DELETE FROM secret WHERE owner_id = $1 AND name = $2 RETURNING name"
    with for_a_client():
        return await pool.fetchval(statement, owner, name) is not None


async def of_owner(pool: Pool, owner: UUID) -> list[SecretInfo]:
    """By name."""
    statement = "SELECT name, created_at, updated_at FROM secret WHERE owner_id = $1 ORDER BY name"
    with for_a_client():
        return [SecretInfo(*record) for record in await pool.fetch(statement, owner)]


async def one(pool: Pool, owner: UUID, name: str) -> SecretInfo | None:
    """What may be said of it; None where there is none."""
    statement = "SELECT name, created_at, updated_at FROM secret WHERE owner_id = $1 AND name = $2"
    with for_a_client():
        record = await pool.fetchrow(statement, owner, name)
    return None if record is None else SecretInfo(*record)


async def not_under(pool: Pool, key_id: str) -> list[StaleSecret]:
    """Of every owner, those under other keys."""
    statement = "SELECT owner_id, name, value FROM secret WHERE key_id <> $1 ORDER BY owner_id, name"
    return [StaleSecret(*record) for record in await pool.fetch(statement, key_id)]


_SIGNING = """
SELECT id, webhook_secret, previous_webhook_secret, hook.secret, hook.previous_secret
FROM workflow LEFT JOIN hook ON hook.workflow_id = workflow.id
WHERE webhook_secret IS NOT NULL OR hook.secret IS NOT NULL
"""

# As above, of what was changed meanwhile nothing is touched.
_REPLACE_WEBHOOK = """
UPDATE workflow SET webhook_secret = $3, previous_webhook_secret = $4 WHERE id = $1 AND webhook_secret = $2
"""
_REPLACE_HOOK = """
UPDATE hook SET secret = $3, previous_secret = $4, key_id = $5 WHERE workflow_id = $1 AND secret = $2
"""


class SigningSecrets(msgspec.Struct, frozen=True):
    """What a workflow's webhook verifies with and its hook signs with, encrypted."""

    workflow_id: UUID
    webhook: bytes | None
    previous_webhook: bytes | None
    hook: bytes | None
    previous_hook: bytes | None


async def signing(pool: Pool) -> list[SigningSecrets]:
    """Of every owner."""
    return [SigningSecrets(*record) for record in await pool.fetch(_SIGNING)]


async def replace_webhook(pool: Pool, known: SigningSecrets, value: bytes, previous: bytes | None) -> None:
    await pool.execute(_REPLACE_WEBHOOK, known.workflow_id, known.webhook, value, previous)


async def replace_hook(pool: Pool, known: SigningSecrets, value: bytes, previous: bytes | None, key_id: str) -> None:
    await pool.execute(_REPLACE_HOOK, known.workflow_id, known.hook, value, previous, key_id)


async def replace(pool: Pool, stale: StaleSecret, *, value: bytes, key_id: str) -> None:
    """Store the same under another key, unless it was changed or deleted meanwhile."""
    await pool.execute(_REPLACE, stale.owner_id, stale.name, stale.value, value, key_id)
