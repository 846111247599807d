"""What is known of a workflow that a webhook's request names, whoever's it is; and its signing secrets."""

from uuid import UUID

import msgspec

from stepwire.db.pool import Pool, for_a_client

OVERLAP_HOURS = 24  # that a secret goes on working after it was changed

_TARGET = """
SELECT owner_id, status, revision, webhook_secret AS secret,
       CASE WHEN webhook_secret_changed_at > now() - make_interval(hours => $2) THEN previous_webhook_secret END AS previous,
       secret_idempotency_key AS key
FROM workflow WHERE id = $1
"""

_DRAWN = "SELECT definition FROM workflow WHERE id = $1"

_RENEW = """
UPDATE workflow SET previous_webhook_secret = webhook_secret, webhook_secret = $3, webhook_secret_changed_at = now(),
    secret_idempotency_key = $4
WHERE id = $1 AND owner_id = $2 AND webhook_secret IS NOT DISTINCT FROM $5
RETURNING id
"""

_ANSWER = """
SELECT output FROM step_run WHERE run_id = $1 AND step_type = 'webhook.respond' AND status = 'completed'
ORDER BY completed_at, position LIMIT 1
"""


class Target(msgspec.Struct, frozen=True):
    """A workflow that a request names; the secrets are encrypted. ``key`` is the idempotency key of the request that made
    the current one.
    """

    owner_id: UUID
    status: str
    revision: int
    secret: bytes | None
    previous: bytes | None
    key: str | None


async def target(pool: Pool, workflow_id: UUID) -> Target | None:
    with for_a_client():
        record = await pool.fetchrow(_TARGET, workflow_id, OVERLAP_HOURS)
    return None if record is None else Target(*record)


async def drawn(pool: Pool, workflow_id: UUID) -> str | None:
    """The workflow's definition, as JSON text; None where it is gone by now."""
    with for_a_client():
        found: str | None = await pool.fetchval(_DRAWN, workflow_id)
    return found


async def renew_secret(
    pool: Pool, owner: UUID, workflow_id: UUID, sealed: bytes, key: str | None, *, instead_of: bytes | None
) -> bool:
    """Put a secret in place of the one that there is, which works on for a day. False where there is another one by now."""
    with for_a_client():
        return await pool.fetchval(_RENEW, workflow_id, owner, sealed, key, instead_of) is not None


async def answer(pool: Pool, run_id: UUID) -> str | None:
    """What the run has to say to the sender, as JSON text; None where it has not said it yet."""
    with for_a_client():
        found: str | None = await pool.fetchval(_ANSWER, run_id)
    return found
