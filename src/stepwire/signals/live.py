"""Say which events a run has got, and hear it: one channel per run, one subscription per watched run and process.

A message may be lost, doubled or late. Whoever listens looks at the sequence numbers and reads what is missing from
the journal.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from stepwire.points import reach
from stepwire.signals.connection import Lost, next_message

log = logging.getLogger(__name__)
MAX_MESSAGE_BYTES = 256 << 10
BUFFERED_MESSAGES = 256
RECONNECT_SECONDS = 0.3
CONFIRM_SECONDS = 2


class Announcement(msgspec.Struct, frozen=True):
    """The events ``first`` … ``last`` of a run; ``frames`` are encoded and ready to send, or empty where too
    large. ``is_final`` where the last one ends the run.
    """

    first: int
    last: int
    is_final: bool = False
    frames: list[msgspec.Raw] = []


_decode = msgspec.json.Decoder(Announcement).decode


def channel(run_id: UUID) -> str:
    return f"run:{run_id}"


async def announce(redis: Redis, announcements: Iterable[tuple[UUID, Announcement]]) -> None:
    """Tell everybody who watches these runs, in one round trip."""
    pipeline = redis.pipeline(transaction=False)
    for run_id, announcement in announcements:
        message = msgspec.json.encode(announcement)
        if len(message) > MAX_MESSAGE_BYTES:
            message = msgspec.json.encode(Announcement(announcement.first, announcement.last, announcement.is_final))
        pipeline.publish(channel(run_id), message)
    reach("tell.before")
    try:
        await pipeline.execute()
    except Lost as error:
        log.warning("Announcements were lost, watchers read the journal instead: %s", error)
    reach("tell.after")


class Subscription:
    """What one watcher has yet to see. When it does not keep up, the oldest go: the journal has them."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Announcement | None] = asyncio.Queue(BUFFERED_MESSAGES)

    def put(self, announcement: Announcement | None) -> None:
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(announcement)

    async def next(self, timeout: float) -> Announcement | None:
        """The next announcement; None when there may have been some that were not heard, or after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                return await self._waiting.get()
        except TimeoutError:
            return None


class _Channel:
    """A watched run: who watches, and whether Redis has confirmed that it sends."""

    def __init__(self) -> None:
        self.watchers: set[Subscription] = set()
        self.is_confirmed = asyncio.Event()


class LiveHub:
    """The process's one connection for listening, shared by all its watchers."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pubsub: PubSub | None = None
        self._channels: dict[str, _Channel] = {}
        self._has_channels = asyncio.Event()

    @asynccontextmanager
    async def subscribe(self, run_id: UUID) -> AsyncIterator[Subscription]:
        """Hear of a run's events from now on; while Redis is away, of nothing, and the journal has to do."""
        name, subscription = channel(run_id), Subscription()
        watched = self._channels.get(name)
        if watched is None:
            watched = self._channels[name] = _Channel()
            await self._send("subscribe", name)
        watched.watchers.add(subscription)
        self._has_channels.set()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CONFIRM_SECONDS):
                    await watched.is_confirmed.wait()
            yield subscription
        finally:
            watched.watchers.discard(subscription)
            if not watched.watchers and self._channels.get(name) is watched:
                del self._channels[name]
                await self._send("unsubscribe", name)

    async def listen(self) -> None:
        """Hand messages to the watchers until cancelled, over as many connections as it takes."""
        while True:
            try:
                await self._listen_once()
            except Lost as error:
                log.warning("The live connection is lost and made anew: %s", error)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen_once(self) -> None:
        pubsub = self._redis.pubsub()
        try:
            while not self._channels:
                self._has_channels.clear()
                await self._has_channels.wait()
            await pubsub.subscribe(*self._channels)
            self._pubsub = pubsub
            while True:
                message = await next_message(pubsub)
                if message is not None:
                    self._hand_out(message)
                elif not pubsub.channels:
                    return
        finally:
            self._pubsub = None
            for watched in self._channels.values():
                watched.is_confirmed.clear()
            with suppress(*Lost):
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    def _hand_out(self, message: dict[str, Any]) -> None:
        watched = self._channels.get(message["channel"].decode())
        if watched is None:
            return
        if message["type"] == "subscribe":
            watched.is_confirmed.set()
        announcement = _decode(message["data"]) if message["type"] == "message" else None
        for subscription in watched.watchers:
            subscription.put(announcement)

    async def _send(self, command: str, name: str) -> None:
        """Change the subscriptions of the connection that there is; a new one begins with all of them anyway."""
        if self._pubsub is not None:
            with suppress(*Lost):
                await getattr(self._pubsub, command)(name)
