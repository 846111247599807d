"""Tickets that open the socket in place of a token."""

from uuid import UUID

from redis.asyncio import Redis

from stepwire.auth.tokens import InvalidToken, Session
from stepwire.db.pool import Pool
from stepwire.db.runs import status_of
from stepwire.errors import RunNotFound, Unavailable
from stepwire.signals.connection import Lost
from stepwire.signals.tickets import Ticket, issue_ticket, redeem_ticket


class TicketService:
    """Gives tickets out and takes them back."""

    def __init__(self, pool: Pool, redis: Redis) -> None:
        self._pool = pool
        self._redis = redis

    async def issue(self, session: Session, run_id: UUID) -> str:
        """A ticket for one of the owner's runs, good once and for 30 s. Raises: RunNotFound, Unavailable."""
        if await status_of(self._pool, session.owner, run_id) is None:
            raise RunNotFound(f"There is no run {run_id}.")
        try:
            return await issue_ticket(self._redis, Ticket(run_id, session.owner, session.expires_at))
        except Lost:
            raise Unavailable("No ticket can be given out just now; try again.") from None

    async def redeem(self, name: str, run_id: UUID) -> Session:
        """The session that a ticket for this run stands for. Raises: InvalidToken, Unavailable."""
        try:
            ticket = await redeem_ticket(self._redis, name)
        except Lost:
            raise Unavailable("The ticket cannot be looked up just now; try again.") from None
        if ticket is None or ticket.run_id != run_id:
            raise InvalidToken("The ticket is used, expired, or for another run; get a new one.")
        return Session(ticket.owner, ticket.expires_at)
