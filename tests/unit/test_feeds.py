"""A run's feed: what it has heard is not waited for."""

import asyncio
from typing import Any, cast
from uuid import UUID

from stepwire.services.feeds import RunFeed


async def test_news_that_come_while_somebody_looks_elsewhere_are_not_waited_for() -> None:
    """As the end of a run does that `Prefer: wait` waits for: the look saw the run before, the news are there already."""
    feed = RunFeed(cast("Any", None), UUID(int=1), lambda: None)
    last = feed.last

    feed.learn(5)
    async with asyncio.timeout(10):
        await feed.changed(since=last)
    waiting = asyncio.create_task(feed.changed(since=feed.last))
    done, _ = await asyncio.wait([waiting], timeout=0)

    assert not done
    feed.learn(6)
    await waiting
