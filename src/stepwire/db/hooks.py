"""Hooks, of which each workflow may have one. Every query about them is here; each takes the owner."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from stepwire.db.pool import Pool, for_a_client

_PUT = """
INSERT INTO hook (workflow_id, owner_id, url, events, secret, key_id)
SELECT id, $2, $3, $4, $5, $6 FROM workflow WHERE id = $1 AND owner_id = $2
ON CONFLICT (workflow_id) DO UPDATE SET url = excluded.url, events = excluded.events, updated_at = now()
RETURNING url, events, created_at, updated_at, xmax = 0 AS is_new
"""

_RENEW = """
UPDATE hook SET previous_secret = secret, secret = $3, key_id = $4, secret_changed_at = now(), updated_at = now(),
    secret_idempotency_key = $5
WHERE workflow_id = $1 AND owner_id = $2 AND ($5::text IS NULL OR secret_idempotency_key IS DISTINCT FROM $5)
RETURNING workflow_id
"""

# What is still to be sent is over with it.
_DELETE = """
WITH gone AS (DELETE FROM hook WHERE workflow_id = $1 AND owner_id = $2 RETURNING workflow_id), dropped AS (
    UPDATE delivery SET status = 'failed', next_at = NULL FROM gone
    WHERE delivery.workflow_id = gone.workflow_id AND next_at IS NOT NULL
)
SELECT workflow_id FROM gone
"""


_HAS_WORKFLOW = "SELECT EXISTS (SELECT FROM workflow WHERE id = $1 AND owner_id = $2)"


class HookInfo(msgspec.Struct, frozen=True):
    """A hook without its secret."""

    url: str
    events: list[str]
    created_at: datetime
    updated_at: datetime
    is_new: bool = False


async def put(
    pool: Pool, owner: UUID, workflow_id: UUID, url: str, events: Sequence[str], *, secret: bytes, key_id: str
) -> HookInfo | None:
    """Make a workflow's hook, with this secret, or change it, but for its secret; None where there is no workflow."""
    with for_a_client():
        record = await pool.fetchrow(_PUT, workflow_id, owner, url, list(events), secret, key_id)
    return None if record is None else HookInfo(*record)


async def get(pool: Pool, owner: UUID, workflow_id: UUID) -> HookInfo | None:
    statement = "SELECT url, events, created_at, updated_at FROM hook WHERE workflow_id = $1 AND owner_id = $2"
    with for_a_client():
        record = await pool.fetchrow(statement, workflow_id, owner)
    return None if record is None else HookInfo(*record)


async def renew_secret(
    pool: Pool, owner: UUID, workflow_id: UUID, *, secret: bytes, key_id: str, key: str | None
) -> bool:
    """Sign with another secret from now on. False where there is no hook, or the request with this idempotency ``key``
    did so already.
    """
    with for_a_client():
        return await pool.fetchval(_RENEW, workflow_id, owner, secret, key_id, key) is not None


async def secret(pool: Pool, owner: UUID, workflow_id: UUID) -> bytes | None:
    """What the hook signs with now, encrypted; None where there is no hook."""
    statement = "SELECT secret FROM hook WHERE workflow_id = $1 AND owner_id = $2"
    with for_a_client():
        found: bytes | None = await pool.fetchval(statement, workflow_id, owner)
    return found


async def delete(pool: Pool, owner: UUID, workflow_id: UUID) -> bool:
    """Delete a hook, and send nothing more; False where there is none."""
    with for_a_client():
        return await pool.fetchval(_DELETE, workflow_id, owner) is not None


async def has_workflow(pool: Pool, owner: UUID, workflow_id: UUID) -> bool:
    """Whether the owner has such a workflow, which may have a hook."""
    with for_a_client():
        return bool(await pool.fetchval(_HAS_WORKFLOW, workflow_id, owner))
