"""What the watchers of the same thing share in a process: a feed that is made when the first comes and ends when the last leaves."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from stepwire.db.pool import is_away
from stepwire.signals.live import LiveHub

log = logging.getLogger(__name__)
LOOK_SECONDS = 5.0  # how long a lost last message can go unnoticed
RETRY_SECONDS = 0.5


class Feed(Protocol):
    """What is heard of one thing; in doubt where something may have been missed."""

    @property
    def is_doubtful(self) -> bool: ...

    def hear(self, message: bytes | None) -> None: ...


F = TypeVar("F", bound=Feed)


class SharedFeeds(ABC, Generic[F]):
    """The process's feeds of one kind, by the id of what is watched: one subscription each, whatever the number of watchers."""

    def __init__(self, hub: LiveHub, look_seconds: float = LOOK_SECONDS) -> None:
        self._hub = hub
        self._look_seconds = look_seconds
        self._feeds: dict[UUID, F] = {}
        self._watchers: Counter[UUID] = Counter()
        self._doubts = asyncio.Event()

    @property
    def ids(self) -> frozenset[UUID]:
        """What is watched."""
        return frozenset(self._feeds)

    @asynccontextmanager
    async def watch(self, id_: UUID) -> AsyncIterator[F]:
        """The feed of one thing. What is announced from now on it hears; while Redis is away, the journal has to do."""
        feed = self._feeds.get(id_)
        if feed is None:
            feed = self._feeds[id_] = self.make(id_, self._doubts.set)
        self._watchers[id_] += 1
        try:
            await self._hub.add(self.channel(id_), feed.hear)
            yield feed
        finally:
            self._watchers[id_] -= 1
            if not self._watchers[id_]:
                del self._watchers[id_], self._feeds[id_]
                await self._hub.remove(self.channel(id_))

    async def run(self) -> None:
        """Have feeds that are in doubt looked after, and every few seconds all of them, until cancelled."""
        loop = asyncio.get_running_loop()
        due_at = loop.time() + self._look_seconds
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due_at):
                    await self._doubts.wait()
            self._doubts.clear()
            if is_due := loop.time() >= due_at:
                due_at = loop.time() + self._look_seconds
            try:
                await self.look([feed for feed in self._feeds.values() if is_due or feed.is_doubtful], widely=is_due)
            except Exception as error:
                what = type(self).__name__
                log.warning(
                    "%s cannot be looked after, trying again: %s", what, error, exc_info=not is_away(error)
                )  # fmt: skip
                await asyncio.sleep(RETRY_SECONDS)
                self._doubts.set()

    @abstractmethod
    def make(self, id_: UUID, doubt: Callable[[], None]) -> F:
        """A feed, which calls ``doubt`` when it comes to be in doubt."""

    @abstractmethod
    def channel(self, id_: UUID) -> str:
        """Where it hears."""

    @abstractmethod
    async def look(self, feeds: Sequence[F], *, widely: bool) -> None:
        """Read what these have missed; ``widely``: whatever they know of. Those for which it fails stay in doubt."""
