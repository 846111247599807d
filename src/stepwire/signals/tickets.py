"""Single-use tickets for the socket: an address is logged in many places, so no token goes into one."""

import secrets
from uuid import UUID

import msgspec
from redis.asyncio import Redis

TICKET_SECONDS = 30
MAX_TICKET_CHARACTERS = 64
_PREFIX = "stepwire:ticket:"


class Ticket(msgspec.Struct, frozen=True):
    """Whom a ticket admits to which run, and until when the session lasts (Unix time)."""

    run_id: UUID
    owner: UUID
    expires_at: float


async def issue_ticket(redis: Redis, ticket: Ticket) -> str:
    """Keep a ticket for 30 s and give what stands for it. Raises: signals.connection.Lost."""
    name = secrets.token_urlsafe(32)
    await redis.set(_PREFIX + name, msgspec.json.encode(ticket), ex=TICKET_SECONDS)
    return name


async def redeem_ticket(redis: Redis, name: str) -> Ticket | None:
    """Take a ticket, once; None where there is none. Raises: signals.connection.Lost."""
    if len(name) > MAX_TICKET_CHARACTERS:
        return None
    stored = await redis.getdel(_PREFIX + name)
    return None if stored is None else msgspec.json.decode(stored, type=Ticket)
