"""Claims on time: a worker remembers when the runs that it gave back are due, so that the sweep's second does not show."""

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime, timedelta

from stepwire.runtime.clock import now

HORIZON = timedelta(hours=1)
LATE_SECONDS = 0.005  # the database, whose clock decides, must agree that it is time
MAX_INSTANTS = 10_000  # beyond that, and beyond the horizon, the sweep finds them, up to a second late


class Alarm:
    """Calls back at each instant that it was set to. Nothing depends on it: the instants are in the database."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._instants: list[datetime] = []
        self._timer: asyncio.TimerHandle | None = None

    def set(self, instant: datetime | None) -> None:
        """Ring at ``instant`` too."""
        if instant is None or instant > now() + HORIZON or len(self._instants) >= MAX_INSTANTS:
            return
        heapq.heappush(self._instants, instant)
        if self._instants[0] is instant:
            self._wind()

    def _wind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        seconds = (self._instants[0] - now()).total_seconds()
        self._timer = asyncio.get_running_loop().call_later(max(seconds, 0) + LATE_SECONDS, self._go_off)

    def _go_off(self) -> None:
        self._timer = None
        while self._instants and self._instants[0] <= now():
            heapq.heappop(self._instants)
        self._ring()
        if self._instants:
            self._wind()
