"""Many runs' entries in one transaction: the next flush begins when the last one has returned.

Nothing waits for a timer: an idle worker flushes at once, a busy one in batches as large as they happen to be.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import asyncpg

from stepwire.db.pool import AWAY

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Answer = TypeVar("Answer")
MAX_BATCH = 200
MAX_BATCH_BYTES = 8 << 20
RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)

# Faults of the connection or of the server as a whole, not of what is written: the same write is tried again.
_PASSING = (
    *AWAY,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)


class Refused(Exception):
    """The database will not have this item, whoever's company it is in."""


class GroupCommit(Generic[Item, Answer]):
    """Hands gathered items to ``write``, which stores them in one transaction and answers for each, in order.

    ``weigh`` says about how many bytes an item has. ``write`` has to be safe to repeat: when a connection breaks, nobody
    knows whether the transaction was committed. ``trouble`` says why nothing can be written just now.
    """

    def __init__(
        self, write: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], weigh: Callable[[Item], int]
    ) -> None:
        self._write = write
        self._weigh = weigh
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._has_items = asyncio.Event()
        self.trouble: str | None = None

    async def submit(self, item: Item) -> Answer:
        """Have an item stored; it is durable when this returns.

        Raises:
            Refused: it cannot be stored.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        self._has_items.set()
        return await answer

    async def run(self) -> None:
        """Flush until cancelled. The process is useless without this task: whoever starts it must watch it."""
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        try:
            while True:
                await self._has_items.wait()
                count = self._next_count()
                batch, self._waiting = self._waiting[:count], self._waiting[count:]
                if not self._waiting:
                    self._has_items.clear()
                await self._flush(batch)
        finally:
            for _, answer in (*batch, *self._waiting):  # those that have their answer keep it
                answer.cancel()

    def _next_count(self) -> int:
        """How many items go into the next transaction: at least one, whatever it weighs."""
        weight = 0
        for count, (item, _) in enumerate(self._waiting[:MAX_BATCH]):
            weight += self._weigh(item)
            if weight > MAX_BATCH_BYTES and count > 0:
                return count
        return min(len(self._waiting), MAX_BATCH)

    async def _flush(self, batch: list[tuple[Item, "asyncio.Future[Answer]"]]) -> None:
        """Store a batch; one that the database refuses is halved until the bad item is alone."""
        try:
            answers = await self._write_until_it_works([item for item, _ in batch])
        except Exception as error:
            if len(batch) == 1:
                log.exception("An item cannot be stored")
                _settle(batch[0][1], Refused(str(error)))
                return
            await self._flush(batch[: len(batch) // 2])
            await self._flush(batch[len(batch) // 2 :])
            return
        for (_, future), outcome in zip(batch, answers, strict=True):
            _settle(future, outcome)

    async def _write_until_it_works(self, items: list[Item]) -> Sequence[Answer]:
        tries = 0
        while True:
            try:
                written = await self._write(items)
            except _PASSING as error:
                if isinstance(error, ValueError):  # asyncpg's of a value that does not fit its column
                    raise
                self.trouble = type(error).__name__
                wait = RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)]
                log.warning("Writing %d items again in %s s: %r", len(items), wait, error)
                await asyncio.sleep(wait)
                tries += 1
            else:
                self.trouble = None
                return written


def _settle(future: "asyncio.Future[Answer]", outcome: "Answer | Refused") -> None:
    if future.done():
        return  # whoever asked was cancelled meanwhile
    if isinstance(outcome, Refused):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
