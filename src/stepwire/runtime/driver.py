"""Drives one claimed run until it rests: finished, or waiting for a time or for something from outside.

The order is the guarantee: journal, then act, then tell. A crash between any two lines is made good by the next claim.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from stepwire.db.group_commit import Refused
from stepwire.db.journal import ClaimedRun, Entry, JournalEvent, JournalStep
from stepwire.definition.plan import Plan
from stepwire.engine.commands import Execute
from stepwire.engine.events import AnyEvent, data_of, step_id_of
from stepwire.engine.facts import Abandoned, AnyFact, Begin, CancelRequested, TakenUp, TimePassed, WorkerLost
from stepwire.engine.model import RunState
from stepwire.engine.transition import advance
from stepwire.errors import LeaseLost
from stepwire.runtime.clock import jitter, now
from stepwire.runtime.executor import Executor, Prepared
from stepwire.signals.live import Announcement

log = logging.getLogger(__name__)
HOLD = timedelta(seconds=2)  # a run that goes on so soon is kept: giving it back and claiming it costs more
INLINE_STEPS_AT_ONCE = 100  # then other runs have a turn

Append = Callable[[Entry], Awaitable[bool | None]]
Announce = Callable[[UUID, Announcement], None]


class Driver:
    """One run in this worker's hands. ``append`` says None where the lease is lost, else whether to cancel."""

    def __init__(
        self, run: ClaimedRun, plan: Plan, state: RunState, executor: Executor, append: Append, announce: Announce
    ) -> None:
        self.run = run
        self.plan = plan
        self.state = state
        self.seq = run.seq
        self._executor = executor
        self._append = append
        self._announce = announce
        self._inbox: asyncio.Queue[AnyFact] = asyncio.Queue()
        self._in_flight: dict[str, asyncio.Task[None]] = {}
        self._facts = self._first_facts()

    @property
    def wake_at(self) -> datetime | None:
        """When the run, at rest, goes on by itself."""
        return None if self.state.is_finished else self.state.next_due_at()

    def begin_with(self, fact: AnyFact) -> None:
        """Begin with this fact alone, instead of what the stored run says."""
        self._facts = [fact]

    def tell(self, fact: AnyFact) -> None:
        """Hand the run a fact from outside."""
        self._inbox.put_nowait(fact)

    async def drive(self) -> None:
        """Drive until the run rests; its lease is given back by then.

        Raises:
            LeaseLost: another driver has the run; nothing was changed.
        """
        try:
            while not await self._take(self._facts):
                self._facts = await self._next_facts()
        finally:
            await self._stop_attempts()

    def _first_facts(self) -> list[AnyFact]:
        at = now()
        if self.run.is_cancel_requested:
            return [CancelRequested(at=at)]
        if self.state.status == "queued":
            return [Begin(at=at, trigger_type=self.run.trigger_type)]
        return [
            WorkerLost(at=at, jitter=jitter()),
            TakenUp(at=at, trigger_type=self.run.trigger_type),
            TimePassed(at=at),
        ]

    async def _take(self, facts: Sequence[AnyFact]) -> bool:
        """Take facts in, journal what follows, begin the effects that it orders; True when the run rests."""
        before = self.state
        events, effects = await self._settle(facts)
        rests = self._rests(effects)
        try:
            is_cancelled = await self._journal(before, events, rests)
        except Refused as error:
            self.state, effects = before, []
            events, _ = await self._settle([Abandoned(at=now(), code="not-storable", message=str(error)[:500])])
            rests = True
            is_cancelled = await self._journal(before, events, rests)
        if self.state.is_finished:
            return True
        if is_cancelled:
            self.tell(CancelRequested(at=now()))
            return False
        for effect in effects:
            self._begin(effect)
        return rests

    async def _settle(self, facts: Sequence[AnyFact]) -> tuple[list[AnyEvent], list[Prepared]]:
        """Follow facts and the inline steps that they lead to, until only effects and waits are left."""
        events: list[AnyEvent] = []
        effects: list[Prepared] = []
        pending = list(facts)
        done = 0
        while pending:
            result = advance(self.plan, self.state, pending)
            self.state = result.state
            events.extend(result.events)
            pending = []
            for command in result.commands:
                if not isinstance(command, Execute):
                    effects.clear()
                    return events, effects
                begun = self._executor.begin(self.run, self.plan, self.state, command.step_id, command.attempt)
                if isinstance(begun, Prepared):
                    effects.append(begun)
                    pending.append(begun.started)
                else:
                    pending.extend(begun)
                done += 1
                if done % INLINE_STEPS_AT_ONCE == 0:
                    await asyncio.sleep(0)
        return events, effects

    def _rests(self, effects: Sequence[Prepared]) -> bool:
        if self.state.is_finished:
            return True
        if effects or self._in_flight or not self._inbox.empty():
            return False
        due_at = self.state.next_due_at()
        return due_at is None or due_at > now() + HOLD

    async def _journal(self, before: RunState, events: Sequence[AnyEvent], rests: bool) -> bool:
        """Make events durable, then tell the watchers; True when the run's cancellation was asked for."""
        if not events and not rests:
            return False
        stored = [
            JournalEvent(self.seq + number, event.name, step_id_of(event), _encode(data_of(event)), event.at)
            for number, event in enumerate(events, 1)
        ]
        changed = dict.fromkeys(step_id for event in events if (step_id := step_id_of(event)) is not None)
        entry = Entry(
            run_id=self.run.id,
            fence=self.run.fence,
            known_seq=self.seq,
            state=self.state,
            events=stored,
            steps=[JournalStep(step_id, self._step_type(step_id), self.state.step(step_id)) for step_id in changed],
            is_released=rests,
            wake_at=self.wake_at,
        )
        is_cancelled = await self._append(entry)
        if is_cancelled is None:
            raise LeaseLost(f"Run {self.run.id} is driven by another worker, or has ended.")
        self.seq += len(stored)
        if stored:
            self._announce(self.run.id, _announcement(self.run.id, stored, self.state.is_finished))
        return is_cancelled

    def _step_type(self, step_id: str) -> str:
        step = self.plan.steps.get(step_id)
        return step.type if step is not None else "unknown"

    def _begin(self, effect: Prepared) -> None:
        async def attempt() -> None:
            fact = await self._executor.execute(self.run.id, effect)
            del self._in_flight[effect.step.id]
            self.tell(fact)

        self._in_flight[effect.step.id] = asyncio.create_task(attempt())

    async def _next_facts(self) -> list[AnyFact]:
        """What is reported next, with all that is reported by then; or that the next instant has come."""
        due_at = self.state.next_due_at()
        try:
            async with asyncio.timeout(None if due_at is None else max((due_at - now()).total_seconds(), 0)):
                facts = [await self._inbox.get()]
        except TimeoutError:
            return [TimePassed(at=_not_before(due_at))]
        while not self._inbox.empty():
            facts.append(self._inbox.get_nowait())
        return facts

    async def _stop_attempts(self) -> None:
        attempts = list(self._in_flight.values())
        for attempt in attempts:
            attempt.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)


def _not_before(due_at: datetime | None) -> datetime:
    """Now, or the instant waited for: the two clocks that a wait involves may differ by a little."""
    at = now()
    return at if due_at is None else max(at, due_at)


class _Frame(msgspec.Struct, frozen=True):
    """An event as the socket sends it."""

    type: str
    seq: int
    event: str
    run_id: UUID
    step_id: str | None
    data: msgspec.Raw
    at: datetime


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _announcement(run_id: UUID, events: Sequence[JournalEvent], is_final: bool) -> Announcement:
    frames = [
        msgspec.Raw(
            msgspec.json.encode(
                _Frame("event", each.seq, each.event, run_id, each.step_id, msgspec.Raw(each.data.encode()), each.at)
            )
        )
        for each in events
    ]
    return Announcement(events[0].seq, events[-1].seq, is_final, frames)
