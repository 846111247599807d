"""Which runs a schedule that is due starts now, and when it is due next: pure."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from stepwire.definition.cron import dues, next_due

Overlap = Literal["skip", "allow", "queue"]
CatchUp = Literal["none", "last", "all"]
LATE = timedelta(seconds=60)  # what is later than that was missed, and is for `catch_up` to say
MOST = 1000  # missed instants that are made up for
WINDOWS = [timedelta(hours=2), timedelta(days=2), timedelta(days=60), timedelta(days=36_500)]


@dataclass(frozen=True, slots=True)
class Firing:
    """The instants to start a run for, oldest first; ``next_at`` is the next one, None where there is none.

    ``waits``: that instant has come, and a run of the schedule goes on, so that it is to be looked at again soon.
    ``goes_on``: that instant has come, and is one more to start a run for than were wanted at once.
    ``skipped``: the last instant that no run is started for because one goes on.
    """

    instants: list[datetime]
    next_at: datetime | None
    waits: bool = False
    goes_on: bool = False
    skipped: datetime | None = None


def fire(
    cron: str, tz: ZoneInfo, *, due: datetime, looked_for_at: datetime, now: datetime, overlap: Overlap, catch_up: CatchUp,
    is_running: bool, at_once: int = MOST,
) -> Firing:  # fmt: skip
    """What is to happen at ``now`` to a schedule whose instant ``due`` has come, and was to be looked at ``looked_for_at``.
    No more than ``at_once`` runs are started now.

    Where somebody has looked in time, nothing was missed, however long the instant has waited for a run to end.
    """
    is_late = now - looked_for_at > LATE
    come, following = _come(cron, tz, due, now, MOST if catch_up == "all" or not is_late else 1)
    wanted = come
    if is_late:
        wanted = {"none": [each for each in come if now - each < LATE], "last": come[-1:], "all": come}[catch_up]
    if overlap == "allow":
        if len(wanted) > at_once:
            return Firing(wanted[:at_once], wanted[at_once], goes_on=True)
        return Firing(wanted, following)
    if overlap == "skip":
        if wanted and is_running:
            return Firing([], following, skipped=wanted[-1])
        return Firing(wanted[-1:], following)
    if wanted and is_running:
        return Firing([], wanted[0], waits=True)
    if catch_up == "all" and len(wanted) > 1:
        return Firing(wanted[:1], wanted[1], waits=True)
    return Firing(wanted[:1], following)


def due_at(schedule_id: UUID, instant: datetime, jitter: int, *, cron: str, tz: ZoneInfo) -> datetime:
    """When an instant is looked at: up to ``jitter`` seconds later, always as much for the same instant, and before the
    next one comes: two that were looked at together would be one where runs do not overlap.
    """
    following = next_due(cron, tz, instant) if jitter else None
    if following is not None:
        jitter = min(jitter, int((following - instant).total_seconds()) - 1)
    digest = hashlib.sha256(schedule_id.bytes + instant.isoformat().encode()).digest()
    return instant + timedelta(seconds=int.from_bytes(digest[:8]) % (jitter + 1))


def _come(
    cron: str, tz: ZoneInfo, due: datetime, until: datetime, count: int
) -> tuple[list[datetime], datetime | None]:
    """The last ``count`` from ``due`` on and up to ``until``, without going through a downtime of years; and the one after."""
    found, following = [due], None
    for window in WINDOWS:
        start = max(due, until - window)
        later: list[datetime] = []
        for each in dues(cron, tz, start):
            if each.at > until:
                following = each.at
                break
            later.append(each.at)
        found = [due, *later]
        if len(later) >= count or start == due:
            break
    return found[-count:], following
