"""What is known of a workflow that a webhook's request names, whoever's it is; and its signing secrets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import msgspec

from stepwire.db.pool import Connection, Pool, for_a_client

OVERLAP_HOURS = 24  # that a secret goes on working after it was changed

_TARGET = """
SELECT owner_id, status, revision, webhook_secret AS secret,
       CASE WHEN webhook_secret_changed_at > now() - make_interval(hours => $2) THEN previous_webhook_secret END AS previous
FROM workflow WHERE id = $1
"""

_DRAWN = "SELECT definition FROM workflow WHERE id = $1"

_HOLD = """
SELECT webhook_secret, secret_idempotency_key FROM workflow WHERE id = $1 AND owner_id = $2 FOR NO KEY UPDATE
"""

_REPLACE = """
UPDATE workflow SET previous_webhook_secret = webhook_secret, webhook_secret = $2, webhook_secret_changed_at = now(),
    secret_idempotency_key = $3
WHERE id = $1
"""

_ANSWER = """
SELECT output FROM step_run WHERE run_id = $1 AND step_type = 'webhook.respond' AND status = 'completed'
ORDER BY completed_at, position LIMIT 1
"""


class Target(msgspec.Struct, frozen=True):
    """A workflow that a request names; the secrets are encrypted."""

    owner_id: UUID
    status: str
    revision: int
    secret: bytes | None
    previous: bytes | None


@dataclass(frozen=True, slots=True)
class HeldSecret:
    """A workflow's secret, encrypted, and the idempotency ``key`` of the request that it is from."""

    _connection: Connection
    _workflow_id: UUID
    secret: bytes | None
    key: str | None

    async def replace(self, sealed: bytes, key: str | None) -> None:
        """Put another in its place; it works on for a day."""
        await self._connection.execute(_REPLACE, self._workflow_id, sealed, key)


async def target(pool: Pool, workflow_id: UUID) -> Target | None:
    with for_a_client():
        record = await pool.fetchrow(_TARGET, workflow_id, OVERLAP_HOURS)
    return None if record is None else Target(*record)


async def drawn(pool: Pool, workflow_id: UUID) -> str | None:
    """The workflow's definition, as JSON text; None where it is gone by now."""
    with for_a_client():
        found: str | None = await pool.fetchval(_DRAWN, workflow_id)
    return found


@asynccontextmanager
async def held_secret(pool: Pool, owner: UUID, workflow_id: UUID) -> AsyncIterator[HeldSecret | None]:
    """An owner's workflow's secret, that nobody else changes before the context ends; None where there is no workflow."""
    with for_a_client():
        async with pool.acquire() as connection, connection.transaction():
            record = await connection.fetchrow(_HOLD, workflow_id, owner)
            yield None if record is None else HeldSecret(connection, workflow_id, *record)


async def answer(pool: Pool, run_id: UUID) -> str | None:
    """What the run has to say to the sender, as JSON text; None where it has not said it yet."""
    with for_a_client():
        found: str | None = await pool.fetchval(_ANSWER, run_id)
    return found
