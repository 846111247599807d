"""The alarm rings at each instant, earliest first, and forgets what is too far away."""

import asyncio
from datetime import timedelta

from stepwire.runtime.alarm import HORIZON, Alarm
from stepwire.runtime.clock import now


async def test_it_rings_at_each_instant_whatever_the_order_they_were_set_in() -> None:
    rung: asyncio.Queue[None] = asyncio.Queue()
    alarm = Alarm(lambda: rung.put_nowait(None))
    instants = [now() + timedelta(seconds=seconds) for seconds in (0.2, 0.05, 0.1)]
    for instant in instants:
        alarm.set(instant)
    async with asyncio.timeout(30):
        for instant in sorted(instants):
            await rung.get()
            assert now() >= instant

    assert rung.empty()


async def test_what_is_past_rings_at_once_and_what_is_far_away_never() -> None:
    rung: asyncio.Queue[None] = asyncio.Queue()
    alarm = Alarm(lambda: rung.put_nowait(None))
    for instant in (None, now() + HORIZON * 2, now() - timedelta(days=1)):
        alarm.set(instant)
    async with asyncio.timeout(30):
        await rung.get()

    assert rung.empty()
