"""What the runs that are watched in this process have got: the latest events of each, encoded once for all its watchers.

A feed hears the run's channel; what it does not hear is in the journal. So a message that is lost, doubled, late or out
of turn costs a read, and those who need the same events at the same time share it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from stepwire.db.pool import AWAY, Pool, is_away
from stepwire.db.runs import events_after, sequences
from stepwire.engine.model import FINISHED
from stepwire.services.shared import LOOK_SECONDS, RETRY_SECONDS, SharedFeeds
from stepwire.signals.live import Announcement, LiveHub, channel, event_frame

log = logging.getLogger(__name__)
TAIL_BYTES = 128 << 10  # of the latest events of a run, for those who are nearly up to date
PAGE, PAGE_BYTES = 500, 64 << 10  # what is read at once for those who are not
PATIENCE_SECONDS = 10.0  # with a database that is away
_FINAL = {f"run.{status}" for status in FINISHED}
_decode = msgspec.json.Decoder(Announcement).decode


class Framed(msgspec.Struct, frozen=True):
    """What watchers are sent: JSON text. Who has got it has seen the run up to event ``seq``."""

    seq: int
    text: str
    is_final: bool = False


class RunFeed:
    """A run that is watched. ``last`` is the number of the last event that is known of."""

    def __init__(self, pool: Pool, run_id: UUID, doubt: Callable[[], None]) -> None:
        self.run_id = run_id
        self.last = 0
        self.is_doubtful = False
        self._pool = pool
        self._doubt = doubt
        self._tail: dict[int, Framed] = {}
        self._tail_bytes = 0
        self._news = asyncio.Event()
        self._reads: dict[int, asyncio.Task[list[Framed]]] = {}

    def hear(self, message: bytes | None) -> None:
        """Take in what the channel says; a message without its events, or none at all, has the journal looked at."""
        try:
            announcement = None if message is None else _decode(message)
        except msgspec.MsgspecError as error:
            log.warning("What the channel of run %s says cannot be read: %s", self.run_id, error)
            announcement = None
        if announcement is None or (announcement.last > self.last and not announcement.frames):
            self.is_doubtful = True
            self._doubt()
        elif announcement.last > self.last:
            for seq, raw in enumerate(announcement.frames, announcement.first):
                if seq > self.last:
                    self._keep(Framed(seq, bytes(raw).decode(), announcement.is_final and seq == announcement.last))
            self.learn(announcement.last)

    def learn(self, last: int) -> None:
        """The journal has the events up to this one."""
        if last > self.last:
            self.last = last
            self._news.set()
            self._news = asyncio.Event()

    async def after(self, seq: int) -> Sequence[Framed]:
        """What follows on event ``seq``, in order: one event or some, or none where there is nothing new yet.

        Raises:
            OSError, asyncpg errors: the database has been away for too long.
        """
        framed = self._tail.get(seq + 1)
        if framed is not None:
            return (framed,)
        return await self._read(seq) if seq < self.last else ()

    async def changed(self, timeout: float | None = None, *, since: int | None = None) -> None:
        """Wait for news, or for ``timeout`` seconds.

        Who waits for something to be seen elsewhere says the ``last`` that there was before looking: news that came
        during the look are none to wait for.
        """
        if since is not None and self.last != since:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._news.wait()

    def _keep(self, framed: Framed) -> None:
        self._tail[framed.seq] = framed
        self._tail_bytes += len(framed.text)
        while self._tail_bytes > TAIL_BYTES:
            self._tail_bytes -= len(self._tail.pop(next(iter(self._tail))).text)

    async def _read(self, seq: int) -> list[Framed]:
        reading = self._reads.get(seq)
        if reading is None:
            reading = self._reads[seq] = asyncio.create_task(self._read_page(seq))
            reading.add_done_callback(lambda _: self._reads.pop(seq))
        return await asyncio.shield(reading)

    async def _read_page(self, seq: int) -> list[Framed]:
        rows = await read_again(
            partial(events_after, self._pool, self.run_id, seq, limit=PAGE, max_bytes=PAGE_BYTES)
        )  # fmt: skip
        if not rows:
            self.last = seq  # what was announced is not there: the journal is right
        return [Framed(row["seq"], text_of(self.run_id, row), row["event"] in _FINAL) for row in rows]


def text_of(run_id: UUID, row: Any) -> str:
    """A row of the journal as its frame."""
    return event_frame(run_id, row["seq"], row["event"], row["step_id"], row["data"], row["at"]).decode()


async def read_again(read: Callable[[], Awaitable[list[Any]]]) -> list[Any]:
    """Read, for `PATIENCE_SECONDS` until it works: for a broken connection nobody has to connect again."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        try:
            return await read()
        except AWAY as error:
            if not is_away(error) or asyncio.get_running_loop().time() > deadline:
                raise
            log.warning("Events are read again in %s s: %s", RETRY_SECONDS, error)
            await asyncio.sleep(RETRY_SECONDS)


class Feeds(SharedFeeds[RunFeed]):
    """The process's feeds, one for each run that is watched."""

    def __init__(self, pool: Pool, hub: LiveHub, look_seconds: float = LOOK_SECONDS) -> None:
        super().__init__(hub, look_seconds)
        self._pool = pool

    def make(self, id_: UUID, doubt: Callable[[], None]) -> RunFeed:
        return RunFeed(self._pool, id_, doubt)

    def channel(self, id_: UUID) -> str:
        return channel(id_)

    async def look(self, feeds: Sequence[RunFeed], *, widely: bool) -> None:
        """Each feed is in doubt until it is known how far its run is."""
        for feed in feeds:
            feed.is_doubtful = False
        try:
            found = await sequences(self._pool, [feed.run_id for feed in feeds]) if feeds else {}
        except BaseException:
            for feed in feeds:
                feed.is_doubtful = True
            raise
        for feed in feeds:
            feed.learn(found.get(feed.run_id, 0))
