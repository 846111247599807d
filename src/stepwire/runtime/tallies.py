"""Keeps the numbers of runs added up; see `db/tallies.py`."""

import asyncio
import logging

from stepwire.db.pool import Pool
from stepwire.db.tallies import take_in

log = logging.getLogger(__name__)
TAKE_IN_SECONDS = 2.0  # a reader looks at the changes of that long


async def keep_tallies(pool: Pool) -> None:
    """Take changes in until cancelled. Late is fine: only lists that say a total get slower."""
    while True:
        await asyncio.sleep(TAKE_IN_SECONDS)
        try:
            await take_in(pool)
        except Exception:
            log.exception("Changes in the numbers of runs could not be taken in, trying again")
