"""Tell the workers that something has happened outside of runs that they drive: a cancellation, an answer, a child's end.

A message may be lost: what happened is stored, and whoever drives the run sees it when the lease is renewed at the
latest.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from redis.asyncio import Redis

from stepwire.points import reach
from stepwire.signals.connection import Lost, next_message

log = logging.getLogger(__name__)
_CHANNEL = "stepwire:nudge"
RECONNECT_SECONDS = 0.3


async def announce_nudges(redis: Redis, run_ids: Sequence[UUID]) -> None:
    """Call after the commit of what happened."""
    reach("nudge.before")
    try:
        await redis.publish(_CHANNEL, b"".join(run_id.bytes for run_id in run_ids))
    except Lost as error:
        log.warning("The workers were not told of what happened, they will see it themselves: %s", error)
    reach("nudge.after")


async def hear_nudges(redis: Redis, nudge: Callable[[UUID], None]) -> None:
    """Call ``nudge`` for every run that is announced, until cancelled."""
    while True:
        pubsub = redis.pubsub()
        try:
            await pubsub.subscribe(_CHANNEL)
            while True:
                message = await next_message(pubsub)
                data: bytes = message["data"] if message is not None and message["type"] == "message" else b""
                for start in range(0, len(data), 16):
                    nudge(UUID(bytes=data[start : start + 16]))
        except Lost as error:
            log.warning("The connection for nudges is lost and made anew: %s", error)
            await asyncio.sleep(RECONNECT_SECONDS)
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]
