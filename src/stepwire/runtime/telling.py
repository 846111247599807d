"""Tells the watchers of one run what has been journalled."""

from collections.abc import Callable
from uuid import UUID

import msgspec

from stepwire.db.claims import ClaimedRun
from stepwire.db.entries import Entry, JournalEvent
from stepwire.signals.live import Announcement, RunChange, channel, event_frame, owner_channel

Announce = Callable[[str, Announcement | RunChange], None]


class Telling:
    """Whoever watches the run gets all of it, whoever watches the owner's list what is about the whole run."""

    def __init__(self, run: ClaimedRun, announce: Announce) -> None:
        self._run = run
        self._announce = announce
        self._told_owner = run.seq  # of all up to here that is about the whole run

    def tell(self, entry: Entry) -> None:
        """Tell the events of an entry, which are durable by now."""
        run, stored = self._run, entry.events
        first, last = stored[0].seq, stored[-1].seq
        frames = [_frame(run.id, each) for each in stored]
        self._announce(channel(run.id), Announcement(first, last, entry.state.is_finished, frames))
        whole = [frame for frame, each in zip(frames, stored, strict=True) if each.step_id is None]
        if whole:
            change = RunChange(run.id, run.workflow_id, self._told_owner, last, whole)
            self._announce(owner_channel(run.owner_id), change)
            self._told_owner = last


def _frame(run_id: UUID, event: JournalEvent) -> msgspec.Raw:
    return msgspec.Raw(event_frame(run_id, event.seq, event.event, event.step_id, event.data, event.at))
