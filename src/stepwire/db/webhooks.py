"""What is known of a workflow that a webhook's request names, whoever's it is; and its signing secrets."""

from uuid import UUID

import msgspec

from stepwire.db.pool import Pool, for_a_client

OVERLAP_HOURS = 24  # that a secret goes on working after it was changed

_TARGET = """
SELECT owner_id, status, webhook_secret AS secret,
       CASE WHEN webhook_secret_changed_at > now() - make_interval(hours => $2) THEN previous_webhook_secret END AS previous,
       CASE WHEN status = 'draft' THEN definition END AS drawn
FROM workflow WHERE id = $1
"""

_RENEW = """
UPDATE workflow SET previous_webhook_secret = webhook_secret, webhook_secret = $3, webhook_secret_changed_at = now(),
    secret_idempotency_key = $4
WHERE id = $1 AND owner_id = $2 AND ($4::text IS NULL OR secret_idempotency_key IS DISTINCT FROM $4)
RETURNING id
"""

_ANSWER = """
SELECT output FROM step_run WHERE run_id = $1 AND step_type = 'webhook.respond' AND status = 'completed'
ORDER BY completed_at, position LIMIT 1
"""


class Target(msgspec.Struct, frozen=True):
    """A workflow that a request names; the secrets are encrypted. ``drawn`` is a draft's definition, as JSON text."""

    owner_id: UUID
    status: str
    secret: bytes | None
    previous: bytes | None
    drawn: str | None


async def target(pool: Pool, workflow_id: UUID) -> Target | None:
    with for_a_client():
        record = await pool.fetchrow(_TARGET, workflow_id, OVERLAP_HOURS)
    return None if record is None else Target(*record)


async def renew_secret(pool: Pool, owner: UUID, workflow_id: UUID, sealed: bytes, key: str | None) -> bool:
    """Put a secret in place of the one that there is, which works on for a day. False where the request with this
    idempotency key did so already, or the owner has no such workflow.
    """
    with for_a_client():
        return await pool.fetchval(_RENEW, workflow_id, owner, sealed, key) is not None


async def answer(pool: Pool, run_id: UUID) -> str | None:
    """What the run has to say to the sender, as JSON text; None where it has not said it yet."""
    with for_a_client():
        found: str | None = await pool.fetchval(_ANSWER, run_id)
    return found
