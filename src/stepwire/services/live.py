"""A run's stream: a snapshot, then every later event, once, in order.

A watcher knows one number, the last ``seq`` it got. A late, slow or returning watcher and a lost or doubled message are
one case: it is given what follows on that number.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

import msgspec

from stepwire.db.pool import Pool
from stepwire.db.runs import MapSummary, Snapshot, snapshot
from stepwire.engine.model import FINISHED, RunStatus, StepStatus
from stepwire.errors import Conflict, RunNotFound
from stepwire.services.feeds import Feeds, Framed, RunFeed
from stepwire.services.runs import Workflows


class AfterBeyondEnd(Conflict):
    """The client has seen more events than the run has."""

    kind, title = "after-beyond-end", "There is no such event"


class SnapshotFrame(msgspec.Struct, frozen=True, tag_field="type", tag="snapshot"):
    """A run as of event ``seq``, with every step of the definition."""

    run_id: UUID
    run_status: RunStatus
    seq: int
    step_statuses: dict[str, StepStatus]
    maps: dict[str, MapSummary] = {}


class Opened(msgspec.Struct, frozen=True):
    """A stream that begins; ``is_over`` where nothing comes after the snapshot."""

    frames: AsyncIterator[Framed]
    is_over: bool


class RunStream:
    """Streams of an owner's runs."""

    def __init__(self, pool: Pool, feeds: Feeds, workflows: Workflows) -> None:
        self._pool = pool
        self._feeds = feeds
        self._workflows = workflows

    async def open(self, stack: AsyncExitStack, owner: UUID, run_id: UUID, after: int | None) -> Opened:
        """The run's snapshot, which stands for all up to event ``after``, and its events; they end with the run.

        The run is watched as long as ``stack`` lasts.

        Raises:
            RunNotFound: missing, or another owner's.
            AfterBeyondEnd: ``after`` is more than the run's last event.
        """
        feed = await stack.enter_async_context(self._feeds.watch(run_id))
        seen = await snapshot(self._pool, owner, run_id)
        if seen is None:
            raise RunNotFound(f"There is no run {run_id}.")
        if after is not None and after > seen.seq:
            raise AfterBeyondEnd(f"The run has {seen.seq} events, fewer than {after}.")
        feed.learn(seen.seq)
        workflow = await self._workflows.get(owner, seen.workflow_id)
        statuses = {step_id: seen.step_statuses.get(step_id, "pending") for step_id, _ in workflow.steps}
        frame = SnapshotFrame(run_id, seen.status, seen.seq, statuses, seen.maps)
        first = Framed(seen.seq if after is None else after, msgspec.json.encode(frame).decode())
        return Opened(_frames(first, seen, feed), seen.status in FINISHED and first.seq == seen.seq)


async def _frames(first: Framed, seen: Snapshot, feed: RunFeed) -> AsyncIterator[Framed]:
    """Up to the first end of the run that the snapshot does not know, or to the one that it is about."""
    yield first
    last = first.seq
    end = seen.seq if seen.status in FINISHED else None
    while end is None or last < end:
        events = await feed.after(last)
        if not events:
            await feed.changed()
        for framed in events:
            yield framed
            last = framed.seq
            if framed.is_final and last >= seen.seq:
                return
