"""Deliveries: what hooks are told, who sends it, and what came of it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec

from stepwire.db.entries import from_json
from stepwire.db.pool import Pool, for_a_client
from stepwire.points import reach

Status = Literal["pending", "delivered", "failed"]
NOBODY = UUID(int=0)
LOGGED = 20  # attempts that are remembered of a delivery

# Workflows have their turns, as owners have in `claims.py`: from the one behind $1 on. So a receiver that is slow, or has
# very much to take, holds up nobody else's.
_CLAIM = """
WITH RECURSIVE turn AS (
    SELECT (
        SELECT workflow_id FROM delivery WHERE next_at IS NOT NULL AND workflow_id > $1 ORDER BY workflow_id LIMIT 1
    ) AS workflow_id
    UNION ALL
    SELECT (
        SELECT workflow_id FROM delivery WHERE next_at IS NOT NULL AND workflow_id > turn.workflow_id
        ORDER BY workflow_id LIMIT 1
    ) FROM turn WHERE turn.workflow_id IS NOT NULL
), due AS MATERIALIZED (
    SELECT own.id FROM turn CROSS JOIN LATERAL (
        SELECT id FROM delivery WHERE delivery.workflow_id = turn.workflow_id AND next_at <= now()
        ORDER BY next_at LIMIT greatest(0, $3 - coalesce((
            SELECT number FROM unnest($4::uuid[], $5::int[]) AS held(workflow_id, number)
            WHERE held.workflow_id = turn.workflow_id
        ), 0)) FOR UPDATE SKIP LOCKED
    ) AS own LIMIT $2
)
UPDATE delivery SET attempts = attempts + 1, tries = tries + 1, next_at = now() + $6
WHERE id = ANY(ARRAY(SELECT id FROM due))
RETURNING id, workflow_id, attempts, tries
"""

_MESSAGES = """
SELECT delivery.id, delivery.owner_id, delivery.workflow_id, delivery.event, delivery.attempts, delivery.tries,
       run_event.at, run_event.data, run.id AS run_id, run.workflow_version, run.trigger_type, run.parent_run_id,
       run.created_at, run.started_at, hook.url, hook.secret,
       CASE WHEN hook.secret_changed_at > now() - $2::interval THEN hook.previous_secret END AS previous_secret
FROM delivery JOIN hook ON hook.workflow_id = delivery.workflow_id JOIN run ON run.id = delivery.run_id
JOIN run_event ON run_event.run_id = delivery.run_id AND run_event.seq = delivery.seq
WHERE delivery.id = ANY($1::uuid[])
"""

# Who claimed it since, or had it sent anew, knows better.
_RECORD = """
UPDATE delivery SET status = $3, next_at = now() + $5::interval, delivered_at = CASE WHEN $3 = 'delivered' THEN now() END,
    log = (CASE WHEN json_array_length(log) < $6 THEN log::jsonb ELSE log::jsonb - 0 END || $4::jsonb)::json
WHERE id = $1 AND attempts = $2 AND next_at IS NOT NULL
"""

_LIST = """
SELECT id, run_id, seq, event, status, attempts, next_at, log, created_at, delivered_at FROM delivery
WHERE workflow_id = $1 AND owner_id = $2 {filter} AND (created_at, id) < ($3, $4)
ORDER BY created_at DESC, id DESC LIMIT $5
"""

_AGAIN = """
UPDATE delivery SET status = 'pending', tries = 0, attempts = attempts + 1, next_at = now()
WHERE id = $1 AND workflow_id = $2 AND owner_id = $3 AND EXISTS (SELECT FROM hook WHERE hook.workflow_id = $2)
RETURNING id, run_id, seq, event, status, attempts, next_at, log, created_at, delivered_at
"""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery in hand, with all that is to be sent. ``data`` is the event's, as JSON text; secrets are encrypted."""

    id: UUID
    owner_id: UUID
    workflow_id: UUID
    event: str
    attempts: int
    tries: int
    at: datetime
    data: str
    run_id: UUID
    workflow_version: int
    trigger_type: str
    parent_run_id: UUID | None
    created_at: datetime
    started_at: datetime | None
    url: str
    secret: bytes
    previous_secret: bytes | None


class Attempt(msgspec.Struct, frozen=True):
    """What came of sending it once: the answer's status, or why there was none."""

    at: datetime
    milliseconds: int
    status: int | None = None
    error: str | None = None


class DeliveryInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as its owner sees it; ``log`` has the last attempts, oldest first."""

    id: UUID
    run_id: UUID
    seq: int
    event: str
    status: Status
    attempts: int
    next_at: datetime | None
    log: list[Attempt]
    created_at: datetime
    delivered_at: datetime | None


async def claim(
    pool: Pool, *, limit: int, after: UUID, most: int, held: Mapping[UUID, int], lease: timedelta, overlap: timedelta
) -> list[Message]:
    """Take up to ``limit`` deliveries that are due, at most ``most`` of a workflow, those ``held`` included.

    Nobody else takes them for the time of ``lease``. ``overlap`` is how long a secret that was changed goes on signing.
    """
    reach("deliver.before")
    claimed = await pool.fetch(_CLAIM, after, limit, most, list(held), list(held.values()), lease)
    if not claimed:
        return []
    reach("deliver.after")
    messages = await pool.fetch(_MESSAGES, [record["id"] for record in claimed], overlap)
    return [Message(**record) for record in messages]


async def record(pool: Pool, message: Message, status: Status, attempt: Attempt, *, again_in: timedelta | None) -> None:
    """Keep what came of an attempt, and when to try again."""
    log = msgspec.json.encode([attempt]).decode()
    reach("record.before")
    await pool.execute(_RECORD, message.id, message.attempts, status, log, again_in, LOGGED)
    reach("record.after")


async def of_workflow(
    pool: Pool, owner: UUID, workflow_id: UUID, *, status: Status | None, after: tuple[datetime, UUID], limit: int
) -> list[DeliveryInfo]:
    """Newest first, those that come behind ``after``."""
    statement = _LIST.format(filter="" if status is None else "AND status = $6")
    with for_a_client():
        records = await pool.fetch(statement, workflow_id, owner, *after, limit, *([] if status is None else [status]))
    return [_info(each) for each in records]


async def send_again(pool: Pool, owner: UUID, workflow_id: UUID, delivery_id: UUID) -> DeliveryInfo | None:
    """Have it sent at once, and tried as often as a new one; None where there is none, or no hook any more."""
    with for_a_client():
        found = await pool.fetchrow(_AGAIN, delivery_id, workflow_id, owner)
    return None if found is None else _info(found)


def _info(record: Any) -> DeliveryInfo:
    log = msgspec.convert(from_json(record["log"]), list[Attempt])
    return DeliveryInfo(**{**record, "log": log})
