"""The stream behind a list of runs: a snapshot of the newest, then every event about a whole run of the owner's, once
and, for each run, in order.

Writers tell the owner's channel what they wrote, and up to where they had told it before. Where that does not follow on
what was heard, and every few seconds for the runs that are not over, the journal says what was missed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import msgspec

from stepwire.db.overview import Moved, Span, moving_runs, named_runs, run_events
from stepwire.db.pool import Pool
from stepwire.definition.plan import TriggerType
from stepwire.engine.model import FINISHED, RunStatus
from stepwire.services.feeds import Framed, read_again, text_of
from stepwire.services.paging import Paging
from stepwire.services.runs import RunService
from stepwire.services.shared import LOOK_SECONDS, SharedFeeds
from stepwire.signals.live import LiveHub, RunChange, owner_channel

log = logging.getLogger(__name__)
SHOWN = 100  # runs in the snapshot
QUEUED_BYTES = 256 << 10  # for a watcher; then only which runs it has to read about is remembered
MAX_BEHIND = 10_000  # such runs
AT_ONCE = 50  # runs whose events are read together
MARGIN = timedelta(seconds=60)  # for transactions that began before we looked, and for clocks
FORGET_SECONDS = 180.0  # after a run's end
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATUSES = {"run.started": "running", "run.resumed": "running", "run.retried": "running"}
_decode = msgspec.json.Decoder(RunChange).decode

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


def status_after(event: str) -> str:
    """A run's status after an event about the whole run."""
    return _STATUSES.get(event, event.removeprefix("run."))


class TooSlow(Exception):
    """The watcher is so far behind that it had better begin anew."""


class RunSummary(msgspec.Struct, frozen=True):
    """A run as of its event ``seq``."""

    run_id: UUID
    workflow_id: UUID
    workflow_version: int
    run_status: RunStatus
    trigger_type: TriggerType
    seq: int
    created_at: Instant
    started_at: Instant | None
    completed_at: Instant | None


class RunsFrame(msgspec.Struct, frozen=True, tag_field="type", tag="snapshot"):
    """The newest runs, newest first."""

    runs: list[RunSummary]


class Wanted(msgspec.Struct, frozen=True):
    """Which runs a watcher wants to hear of; those that come into a status or leave it are of it."""

    workflow_id: UUID | None = None
    statuses: frozenset[RunStatus] = frozenset()

    def has(self, change: "Change") -> bool:
        return self.workflow_id in (None, change.workflow_id) and self.has_move(change.before, change.after)

    def has_move(self, before: str | None, after: str) -> bool:
        return not self.statuses or before is None or bool({before, after} & self.statuses)


class Change(msgspec.Struct, frozen=True):
    """An event about a whole run, and the statuses around it; ``before`` is None where nobody knows."""

    run_id: UUID
    workflow_id: UUID
    seq: int
    text: str
    before: str | None
    after: str


class Behind(msgspec.Struct):
    """What a watcher has to read about a run, and the run's status before that."""

    span: Span
    before: str | None


class Watcher:
    """What one socket has yet to be told; past its buffer, only of which runs and from where on."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.queue: deque[Change] = deque()
        self.behind: dict[UUID, Behind] = {}
        self.news = asyncio.Event()
        self._queued_bytes = 0

    def put(self, change: Change) -> None:
        if not self.wanted.has(change):
            return
        if self.behind or self._queued_bytes > QUEUED_BYTES:
            first = self.behind.get(change.run_id)
            after, before = (change.seq - 1, change.before) if first is None else (first.span.after, first.before)
            self.behind[change.run_id] = Behind(Span(change.run_id, after, change.seq, _EPOCH), before)
        else:
            self.queue.append(change)
            self._queued_bytes += len(change.text)
        self.news.set()

    def take(self) -> Change | None:
        if not self.queue:
            return None
        change = self.queue.popleft()
        self._queued_bytes -= len(change.text)
        return change

    def take_behind(self) -> dict[UUID, Behind]:
        """What to read about next. Raises: TooSlow."""
        if len(self.behind) > MAX_BEHIND:
            raise TooSlow
        taken = {run_id: self.behind[run_id] for run_id, _ in zip(self.behind, range(AT_ONCE), strict=False)}
        for run_id in taken:
            del self.behind[run_id]
        return taken


class OwnerFeed:
    """What is known of an owner's runs: up to which event their watchers have been told, and the status then."""

    def __init__(self, pool: Pool, owner: UUID, doubt: Callable[[], None]) -> None:
        self.owner = owner
        self.watchers: set[Watcher] = set()
        self._has_missed = False  # something, nobody knows about which runs
        self._doubtful: set[UUID] = set()
        self._pool = pool
        self._doubt = doubt
        self._known: dict[UUID, tuple[int, str]] = {}
        self._ended: deque[tuple[float, UUID]] = deque()
        self._looked_at = _EPOCH  # the database's time
        self._looking = asyncio.Lock()

    @property
    def is_doubtful(self) -> bool:
        return self._has_missed or bool(self._doubtful)

    def hear(self, message: bytes | None) -> None:
        """Take in what the channel says; what does not follow on what is known has the journal looked at."""
        try:
            change = None if message is None else _decode(message)
        except msgspec.MsgspecError as error:
            log.warning("What the channel of owner %s says cannot be read: %s", self.owner, error)
            change = None
        if change is None:
            self._has_missed = True
            self._doubt()
            return
        told, _ = self._known.get(change.run_id, (0, ""))
        if change.last and change.last <= told:
            return
        if change.frames and change.since <= told:
            for frame, raw in zip(change.heads(), change.frames, strict=True):
                self._tell(change.run_id, change.workflow_id, frame.seq, frame.event, bytes(raw).decode())
            self._advance(change.run_id, change.last)
        else:
            self._doubtful.add(change.run_id)
            self._doubt()

    async def look(self, *, widely: bool) -> None:
        """Read what was missed: about the runs in doubt or, ``widely``, about all that may have moved on."""
        async with self._looking:
            doubtful, self._doubtful = self._doubtful, set()
            widely, self._has_missed = widely or self._has_missed, False
            try:
                if widely:
                    active = [run_id for run_id, (_, status) in self._known.items() if status not in FINISHED]
                    since = self._looked_at - MARGIN if self._looked_at > _EPOCH else datetime.now(UTC)
                    moved = await moving_runs(self._pool, self.owner, since, [*active, *doubtful])
                else:
                    moved = await named_runs(self._pool, self.owner, list(doubtful))
                await self._catch_up(moved)
                if widely:
                    self._looked_at = moved[0].at if moved else datetime.now(UTC)
                    self._forget()
            except BaseException:
                self._doubtful |= doubtful
                self._has_missed |= widely
                raise

    async def begin(self) -> None:
        """Learn where the runs are that are not over: nobody is told of what was before."""
        async with self._looking:
            if self._looked_at == _EPOCH:
                moved = await moving_runs(self._pool, self.owner, datetime.now(UTC) - MARGIN, [])
                for run in moved:
                    if run.seq > self._known.get(run.id, (0, ""))[0]:
                        self._known[run.id] = (run.seq, run.status)
                self._looked_at = moved[0].at if moved else datetime.now(UTC)

    async def _catch_up(self, moved: Sequence[Moved]) -> None:
        behind = [run for run in moved if run.seq > self._known.get(run.id, (0, ""))[0]]
        for start in range(0, len(behind), AT_ONCE):
            part = {run.id: run for run in behind[start : start + AT_ONCE]}
            spans = [self._span(run) for run in part.values()]
            for row in await read_again(partial(run_events, self._pool, spans)):
                run = part[row["run_id"]]
                self._tell(run.id, run.workflow_id, row["seq"], row["event"], text_of(row["run_id"], row))
            for run in part.values():
                self._advance(run.id, run.seq, run.status)

    def _span(self, run: Moved) -> Span:
        """Of a run that nobody has heard of, only what is new: it ended before we began, or began since."""
        known = self._known.get(run.id)
        if known is None:
            return Span(run.id, 0, run.seq, self._looked_at - MARGIN)
        return Span(run.id, known[0], run.seq, _EPOCH)

    def _tell(self, run_id: UUID, workflow_id: UUID, seq: int, event: str, text: str) -> None:
        told, before = self._known.get(run_id, (0, None))
        if seq <= told:
            return
        before = "" if seq == 1 else before  # it was in no status
        after = status_after(event)
        self._known[run_id] = (seq, after)
        change = Change(run_id, workflow_id, seq, text, before, after)
        for watcher in self.watchers:
            watcher.put(change)

    def _advance(self, run_id: UUID, seq: int, status: str | None = None) -> None:
        """All up to this event has been told."""
        told, known = self._known.get(run_id, (0, status or "running"))
        self._known[run_id] = (max(told, seq), known)
        if known in FINISHED:
            self._ended.append((asyncio.get_running_loop().time(), run_id))

    def _forget(self) -> None:
        """Runs that ended a while ago: they are known again when they are taken up."""
        now = asyncio.get_running_loop().time()
        while self._ended and self._ended[0][0] < now - FORGET_SECONDS:
            _, run_id = self._ended.popleft()
            if self._known.get(run_id, (0, ""))[1] in FINISHED:
                del self._known[run_id]


class Overviews(SharedFeeds[OwnerFeed]):
    """The process's owner feeds, one for each owner who watches a list."""

    def __init__(self, pool: Pool, hub: LiveHub, runs: RunService, look_seconds: float = LOOK_SECONDS) -> None:
        super().__init__(hub, look_seconds)
        self._pool = pool
        self._runs = runs

    async def open(self, stack: AsyncExitStack, owner: UUID, wanted: Wanted) -> AsyncIterator[Framed]:
        """The newest runs, then what happens to the owner's runs, for as long as ``stack`` lasts.

        The iterator raises `TooSlow` when it is read much slower than runs go on.
        """
        feed = await stack.enter_async_context(self.watch(owner))
        watcher = Watcher(wanted)
        feed.watchers.add(watcher)
        stack.callback(feed.watchers.discard, watcher)
        await feed.begin()
        part = await self._runs.of_owner(
            owner, Paging(per_page=SHOWN, by_cursor=True), with_steps=False, workflow_id=wanted.workflow_id,
            statuses=sorted(wanted.statuses), trigger_type=None, since=None, until=None,
        )  # fmt: skip
        runs = [_summary(run) for run, _ in part.items]
        return self._frames(runs, watcher)

    async def _frames(self, runs: Sequence[RunSummary], watcher: Watcher) -> AsyncIterator[Framed]:
        yield Framed(0, msgspec.json.encode(RunsFrame(list(runs))).decode())
        shown = {run.run_id: run.seq for run in runs}
        while True:
            watcher.news.clear()
            while (change := watcher.take()) is not None:
                if change.seq > shown.get(change.run_id, 0):
                    yield Framed(change.seq, change.text)
            if behind := watcher.take_behind():
                spans = [each.span for each in behind.values()]
                for row in await read_again(partial(run_events, self._pool, spans)):
                    run_id, seq, after = row["run_id"], row["seq"], status_after(row["event"])
                    before, behind[run_id].before = behind[run_id].before, after
                    if seq > shown.get(run_id, 0) and watcher.wanted.has_move(before, after):
                        yield Framed(seq, text_of(run_id, row))
            elif not watcher.queue:
                await watcher.news.wait()

    def make(self, id_: UUID, doubt: Callable[[], None]) -> OwnerFeed:
        return OwnerFeed(self._pool, id_, doubt)

    def channel(self, id_: UUID) -> str:
        return owner_channel(id_)

    async def look(self, feeds: Sequence[OwnerFeed], *, widely: bool) -> None:
        for feed in feeds:
            await feed.look(widely=widely)


def _summary(run: Any) -> RunSummary:
    return RunSummary(
        run.id, run.workflow_id, run.workflow_version, run.status, run.trigger_type, run.seq, run.created_at, run.started_at,
        run.completed_at,
    )  # fmt: skip
