"""What a worker reads and writes beside the journal, while the database is away: it waits, the run is none the worse."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from stepwire.db.pool import for_a_client
from stepwire.errors import Unavailable

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")
PATIENCE_SECONDS = 0.5  # between two tries


async def patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """What the database says, asked again for as long as it is away; ``ask`` has to be safe to repeat."""
    while True:
        try:
            with for_a_client():
                return await ask()
        except Unavailable:
            await asyncio.sleep(PATIENCE_SECONDS)
