"""A run's stream: a snapshot, then every later event, once, in order.

A watcher knows one number, the last ``seq`` it got: the next event is taken from the channel if it is that number's
successor, else read from the journal. A late, slow or returning watcher and a lost or doubled message are one case.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from stepwire.db.pool import Pool
from stepwire.db.runs import Snapshot, events_after, snapshot
from stepwire.engine.model import FINISHED
from stepwire.errors import Conflict, RunNotFound
from stepwire.services.runs import Workflows
from stepwire.signals.live import Announcement, LiveHub, Subscription

PAGE = 500
LOOK_SECONDS = 5.0  # how long a lost last message can go unnoticed
_FINAL = {f"run.{status}" for status in FINISHED}
_encode = msgspec.json.Encoder().encode


class AfterBeyondEnd(Conflict):
    """The client has seen more events than the run has."""

    kind, title = "after-beyond-end", "There is no such event"


class SnapshotFrame(msgspec.Struct, frozen=True, tag_field="type", tag="snapshot"):
    """A run as of event ``seq``, with every step of the definition."""

    run_id: UUID
    run_status: str
    seq: int
    step_statuses: dict[str, str]
    maps: dict[str, Any] = {}


class EventFrame(msgspec.Struct, frozen=True, tag_field="type", tag="event"):
    """One event; ``seq`` is the last one's plus 1."""

    seq: int
    event: str
    run_id: UUID
    step_id: str | None
    data: msgspec.Raw
    at: datetime


class RunStream:
    """Streams of an owner's runs."""

    def __init__(self, pool: Pool, hub: LiveHub, workflows: Workflows) -> None:
        self._pool = pool
        self._hub = hub
        self._workflows = workflows

    async def open(self, stack: AsyncExitStack, owner: UUID, run_id: UUID, after: int | None) -> AsyncIterator[bytes]:
        """The run's frames, encoded; they end with the run. The subscription lasts as long as ``stack``.

        Raises:
            RunNotFound: missing, or another owner's.
            AfterBeyondEnd: ``after`` is more than the run's last event.
        """
        subscription = await stack.enter_async_context(self._hub.subscribe(run_id))
        seen = await snapshot(self._pool, owner, run_id)
        if seen is None:
            raise RunNotFound(f"There is no run {run_id}.")
        if after is not None and after > seen.seq:
            raise AfterBeyondEnd(f"The run has {seen.seq} events, fewer than {after}.")
        workflow = await self._workflows.get(owner, seen.workflow_id)
        statuses = {step_id: seen.step_statuses.get(step_id, "pending") for step_id, _ in workflow.steps}
        first = _encode(SnapshotFrame(run_id, seen.status, seen.seq, statuses, seen.maps))
        return self._frames(first, seen, subscription, run_id, seen.seq if after is None else after)

    async def _frames(
        self, first: bytes, seen: Snapshot, subscription: Subscription, run_id: UUID, last: int
    ) -> AsyncIterator[bytes]:
        yield first
        end = seen.seq if seen.status in FINISHED else None
        while end is None or last < end:
            if last < seen.seq:
                announcement = None
            else:
                announcement = await subscription.next(LOOK_SECONDS)
            if announcement is not None and announcement.last <= last:
                continue  # a repeat
            for seq, frame, is_final in await self._next(announcement, run_id, last):
                yield frame
                last = seq
                if is_final and seq >= seen.seq:
                    end = seq
                    break

    async def _next(self, announcement: Announcement | None, run_id: UUID, last: int) -> list[tuple[int, bytes, bool]]:
        """The events after ``last``: of the announcement where it goes on from there, else of the journal."""
        if announcement is not None and announcement.frames and announcement.first <= last + 1:
            numbered = enumerate(announcement.frames, announcement.first)
            return [
                (seq, bytes(frame), announcement.is_final and seq == announcement.last)
                for seq, frame in numbered
                if seq > last
            ]
        return [
            (row["seq"], _encode(_frame(run_id, row)), row["event"] in _FINAL)
            for row in await events_after(self._pool, run_id, last, PAGE)
        ]


def _frame(run_id: UUID, row: Any) -> EventFrame:
    return EventFrame(row["seq"], row["event"], run_id, row["step_id"], msgspec.Raw(row["data"].encode()), row["at"])
