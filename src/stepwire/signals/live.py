"""Say which events a run has got, and hear it: one channel per run, one subscription per channel and process.

A message may be lost, doubled or late. Whoever listens looks at the sequence numbers and reads what is missing from
the journal.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from stepwire.engine.events import RunQueued
from stepwire.signals.connection import Lost, next_message

log = logging.getLogger(__name__)
MAX_MESSAGE_BYTES = 256 << 10
RECONNECT_SECONDS = 0.3
CONFIRM_SECONDS = 2

Hear = Callable[[bytes | None], None]


class EventFrame(msgspec.Struct, frozen=True, tag_field="type", tag="event"):
    """One event; ``seq`` is the last one's plus 1."""

    seq: int
    event: str
    run_id: UUID
    step_id: str | None
    data: msgspec.Raw
    at: Annotated[datetime, msgspec.Meta(tz=True)]


def event_frame(run_id: UUID, seq: int, event: str, step_id: str | None, data: str, at: datetime) -> bytes:
    """An event as watchers are sent it, from what a row of the journal holds; ``data`` is JSON text."""
    return msgspec.json.encode(EventFrame(seq, event, run_id, step_id, msgspec.Raw(data.encode()), at))


class Announcement(msgspec.Struct, frozen=True):
    """The events ``first`` … ``last`` of a run; ``frames`` are encoded and ready to send, or empty where too
    large. ``is_final`` where the last one ends the run.
    """

    first: int
    last: int
    is_final: bool = False
    frames: list[msgspec.Raw] = []

    def bare(self) -> "Announcement":
        """The same without what is large."""
        return Announcement(self.first, self.last, self.is_final)


class Head(msgspec.Struct, frozen=True):
    """What has to be known of an event frame to pass it on."""

    seq: int
    event: str


class RunChange(msgspec.Struct, frozen=True):
    """Events about a whole run, for its owner's channel: all such after event ``since``, up to ``last``.

    Without ``frames`` they have to be read. Where ``last`` is 0, the writer does not know it.
    """

    run_id: UUID
    workflow_id: UUID
    since: int = 0
    last: int = 0
    frames: list[msgspec.Raw] = []

    def bare(self) -> "RunChange":
        """The same without what is large."""
        return RunChange(self.run_id, self.workflow_id)

    def heads(self) -> list[Head]:
        return [msgspec.json.decode(frame, type=Head) for frame in self.frames]


def queued_change(run_id: UUID, workflow_id: UUID, queued: str, at: datetime) -> RunChange:
    """That a run was accepted; ``queued`` is the data of its event 1, as JSON text."""
    frame = event_frame(run_id, 1, RunQueued.name, None, queued, at)
    return RunChange(run_id, workflow_id, 0, 1, [msgspec.Raw(frame)])


def channel(run_id: UUID) -> str:
    return f"run:{run_id}"


def owner_channel(owner: UUID) -> str:
    return f"runs:{owner}"


async def announce(redis: Redis, announcements: Iterable[tuple[str, Announcement | RunChange]]) -> None:
    """Tell everybody who listens to these channels, in one round trip."""
    pipeline = redis.pipeline(transaction=False)
    for name, announcement in announcements:
        message = msgspec.json.encode(announcement)
        if len(message) > MAX_MESSAGE_BYTES:
            message = msgspec.json.encode(announcement.bare())
        pipeline.publish(name, message)
    try:
        await pipeline.execute()
    except Lost as error:
        log.warning("Announcements were lost, watchers read the journal instead: %s", error)


class Announcer:
    """Announces without anybody waiting for it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._announcing: set[asyncio.Task[None]] = set()

    def soon(self, changes: Iterable[tuple[UUID, RunChange]]) -> None:
        """Tell owners' channels. Call after the commit of what is told."""
        named = [(owner_channel(owner), change) for owner, change in changes]
        task = asyncio.create_task(announce(self._redis, named))
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)


class _Channel:
    """A channel that somebody listens to, and whether Redis has confirmed that it sends."""

    def __init__(self, hear: Hear) -> None:
        self.hear = hear
        self.is_confirmed = asyncio.Event()


class LiveHub:
    """The process's one connection for listening, shared by all that it listens for."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pubsub: PubSub | None = None
        self._channels: dict[str, _Channel] = {}
        self._has_channels = asyncio.Event()

    @property
    def channels(self) -> frozenset[str]:
        """What is listened to."""
        return frozenset(self._channels)

    async def add(self, name: str, hear: Hear) -> None:
        """Have ``hear`` called with what a channel says, and with None whenever something may have been missed.

        One listener per channel; adding it again waits as the first time did: until Redis has confirmed that it sends,
        or for 2 s. While Redis is away nothing is heard, and the journal has to do.
        """
        found = self._channels.get(name)
        if found is None:
            found = self._channels[name] = _Channel(hear)
            self._has_channels.set()
            await self._send("subscribe", name)
        with suppress(TimeoutError):
            async with asyncio.timeout(CONFIRM_SECONDS):
                await found.is_confirmed.wait()

    async def remove(self, name: str) -> None:
        """Listen to a channel no more; from the call on, not only when this returns."""
        if self._channels.pop(name, None) is not None:
            await self._send("unsubscribe", name)

    async def listen(self) -> None:
        """Hand messages to the listeners until cancelled, over as many connections as it takes."""
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
            known: set[str] = set()
            while missing := self._channels.keys() - known:  # others may have been added meanwhile
                known |= missing
                await pubsub.subscribe(*missing)
            self._pubsub = pubsub
            while True:
                message = await next_message(pubsub)
                if message is not None:
                    self._hand_out(message)
                elif not pubsub.channels:
                    return
        finally:
            self._pubsub = None
            for found in self._channels.values():
                found.is_confirmed.clear()
            with suppress(*Lost):
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    def _hand_out(self, message: dict[str, Any]) -> None:
        found = self._channels.get(message["channel"].decode())
        if found is None:
            return
        if message["type"] == "subscribe":
            found.is_confirmed.set()
        found.hear(message["data"] if message["type"] == "message" else None)

    async def _send(self, command: str, name: str) -> None:
        """Change the subscriptions of the connection that there is; a new one begins with all of them anyway."""
        if self._pubsub is not None:
            with suppress(*Lost):
                await getattr(self._pubsub, command)(name)
