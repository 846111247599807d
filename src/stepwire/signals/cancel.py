"""Tell the workers that a run is to be cancelled, so that what it has in flight stops at once.

A message may be lost: the order is stored, and whoever drives the run sees it when the lease is renewed at the latest.
"""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from redis.asyncio import Redis

from stepwire.signals.connection import Lost

log = logging.getLogger(__name__)
_CHANNEL = "stepwire:cancel"
RECONNECT_SECONDS = 0.3


async def announce_cancel(redis: Redis, run_id: UUID) -> None:
    """Call after the commit of the order."""
    try:
        await redis.publish(_CHANNEL, run_id.bytes)
    except Lost as error:
        log.warning("The workers were not told of a cancellation, they will see it themselves: %s", error)


async def hear_cancels(redis: Redis, cancel: Callable[[UUID], None]) -> None:
    """Call ``cancel`` for every run that is announced, until cancelled."""
    while True:
        pubsub = redis.pubsub()
        try:
            await pubsub.subscribe(_CHANNEL)
            while True:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)
                if message is not None:
                    cancel(UUID(bytes=message["data"]))
        except Lost as error:
            log.warning("The connection for cancellations is lost and made anew: %s", error)
            await asyncio.sleep(RECONNECT_SECONDS)
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]
