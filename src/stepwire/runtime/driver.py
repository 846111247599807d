"""Drives one claimed run until it rests: finished, or waiting for a time or for something from outside.

The order is the guarantee: journal, then act, then tell. A crash between any two lines is made good by the next claim.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec

from stepwire.db.claims import ClaimedRun
from stepwire.db.control import EndedChild, Outside
from stepwire.db.entries import Entry
from stepwire.db.group_commit import Refused
from stepwire.definition.plan import Plan
from stepwire.engine.commands import Execute
from stepwire.engine.events import AnyEvent
from stepwire.engine.facts import (
    Abandoned,
    Answered,
    AnyFact,
    AttemptWaits,
    Begin,
    CancelRequested,
    ChildEnded,
    Expired,
    TakenUp,
    TimePassed,
    WorkerLost,
)
from stepwire.engine.model import RunState, StepError
from stepwire.engine.rest import rested_until
from stepwire.engine.transition import advance
from stepwire.errors import LeaseLost
from stepwire.runtime.clock import jitter, now
from stepwire.runtime.entries import cut_child_runs, journal_events, journal_steps
from stepwire.runtime.executor import Prepared
from stepwire.runtime.telling import Announce, Telling

HOLD = timedelta(seconds=2)  # a run that goes on so soon is kept: giving it back and claiming it costs more
INLINE_STEPS_AT_ONCE = 34  # then what they came to is handed to the journal, while the next ones are computed
TURN_STEPS = 3  # then other runs have a turn, and the journal

Append = Callable[[Entry], Awaitable[int | None]]
Hold = Callable[[ClaimedRun], Awaitable[None]]
Waits = Callable[[int], None]
LookOutside = Callable[[UUID, Sequence[str], Sequence[str]], Awaitable[Outside]]
CancelChildren = Callable[[UUID], Awaitable[bool]]
RetriedAt = Callable[[UUID], Awaitable[datetime | None]]


class Attempts(Protocol):
    """What begins attempts and carries them out; `Executor` has them."""

    def begin(
        self, run: ClaimedRun, plan: Plan, state: RunState, step_id: str, attempt: int
    ) -> list[AnyFact] | Prepared: ...
    async def execute(self, run: ClaimedRun, prepared: Prepared) -> AnyFact: ...


@dataclass(frozen=True, slots=True)
class Hands:
    """What drivers work with. ``append`` says None where the lease is lost, else the run's nudges; ``hold`` returns while
    the run is this worker's, and raises LeaseLost else; ``waits`` hears 1 when a run begins to wait for a report, and -1
    when it goes on; ``cancel_children`` says whether there are child runs left that have not ended, ``retried_at`` when
    the run was last taken up again.
    """

    executor: Attempts
    append: Append
    hold: Hold
    announce: Announce
    waits: Waits
    look_outside: LookOutside
    cancel_children: CancelChildren
    retried_at: RetriedAt
    longest_run: timedelta
    max_context_bytes: int


class Driver:
    """One run in this worker's hands."""

    def __init__(self, run: ClaimedRun, plan: Plan, state: RunState, hands: Hands) -> None:
        self.run = run
        self.plan = plan
        self.state = state
        self.seq = run.seq  # of the last event that is durable, as `_durable` is the state of then
        self._durable = state
        self._writing: asyncio.Task[None] | None = None  # a stretch of inline steps
        self._telling = Telling(run, hands.announce)
        self.expires_at = run.created_at + hands.longest_run
        self._hands = hands
        self._nudges = run.nudges
        self._is_nudged = False
        self._is_ending = False  # it ends when its child runs have
        self._inbox: asyncio.Queue[AnyFact | None] = asyncio.Queue()  # None: look outside
        self._in_flight: dict[str, asyncio.Task[None]] = {}

    @property
    def wake_at(self) -> datetime | None:
        """When the run, at rest, goes on by itself."""
        if self.state.is_finished:
            return None
        if self._is_nudged:
            return now()
        if self._is_ending:
            return None
        return self.state.next_due_at() or self.expires_at

    def nudge(self) -> None:
        """Have the driver look at what has happened outside of the run."""
        self._inbox.put_nowait(None)

    def has_missed(self, nudges: int) -> bool:
        """Whether something has happened that it has not looked at."""
        return nudges != self._nudges

    async def drive(self, first: AnyFact | None = None) -> None:
        """Drive until the run rests; its lease is given back by then. ``first``: instead of what the stored run says.

        Raises:
            LeaseLost: another driver has the run; nothing was changed.
        """
        facts = await self._first_facts() if first is None else await self._unless_cancelled(first)
        try:
            while not await self._take(facts):
                facts = await self._next_facts()
        finally:
            await self._stop()

    async def _unless_cancelled(self, first: AnyFact) -> list[AnyFact]:
        """What is to be cancelled ends in no other way."""
        seen = await self._look() if self._nudges else []
        return seen if any(isinstance(fact, CancelRequested) for fact in seen) else [first]

    async def _first_facts(self) -> list[AnyFact]:
        at = now()
        taken: list[AnyFact] = []
        if self.state.status == "queued":
            taken = [Begin(at=at, trigger_type=self.run.trigger_type)]
        else:
            taken = [WorkerLost(at=at, jitter=jitter()), TakenUp(at=at, trigger_type=self.run.trigger_type)]
        if self._nudges or self.state.asking or self.state.awaiting:
            seen = await self._look()
            if any(isinstance(fact, CancelRequested) for fact in seen):
                return seen
            taken += seen
        return [*taken, await self._time_passed(at)]

    async def _look(self, *also_awaiting: str) -> list[AnyFact]:
        """What has happened outside; the engine passes over what it knows already."""
        awaiting = [*self.state.awaiting, *also_awaiting]
        seen = await self._hands.look_outside(self.run.id, list(self.state.asking), awaiting)
        self._nudges = max(self._nudges, seen.nudges)
        at = now()
        if seen.is_cancel_requested:
            return [CancelRequested(at=at)]
        answers = (each for each in seen.answers if each.attempt == self.state.step(each.step_id).attempt)
        return [
            *(Answered(at=at, step_id=each.step_id, data=each.data) for each in answers),
            *(_child_ended(child, at) for child in seen.children),
        ]

    async def _time_passed(self, at: datetime) -> AnyFact:
        if at >= self.expires_at:
            since = [rested_until(self.plan, self.state, at), await self._hands.retried_at(self.run.id)]
            self.expires_at = max(self.expires_at, *(each + self._hands.longest_run for each in since if each))
        if at >= self.expires_at:
            return Expired(at=at, seconds=self._hands.longest_run.total_seconds())
        return TimePassed(at=at, jitter=jitter())

    async def _take(self, facts: Sequence[AnyFact]) -> bool:
        """Take facts in, journal what follows, begin the effects that it orders; True when the run rests."""
        if any(isinstance(fact, CancelRequested) for fact in facts) and await self._ends_later():
            return True
        try:
            rests, effects = await self._follow(facts)
        except Refused as error:
            self.state = self._durable
            rests, effects = await self._follow([Abandoned(at=now(), code="not-storable", message=str(error)[:500])])
        if rests:
            return True
        if effects:  # the process may have been asleep since the journal was written
            await self._hands.hold(self.run)
        for effect in effects:
            self._begin(effect)
        return False

    async def _follow(self, facts: Sequence[AnyFact]) -> tuple[bool, list[Prepared]]:
        """Settle facts and journal what follows; whether the run rests now, and the effects to begin."""
        events, effects = await self._settle(facts)
        if self.state.is_finished:  # whoever reads that it is over can rely on nothing being begun any more
            self._cut_attempts()
        await self._written()
        rests = self._rests(effects)
        await self._journal(events, rests)
        return rests, effects

    async def _ends_later(self) -> bool:
        """Stop what is in flight here and in child runs. Where some of those have not ended, give the run back: the last
        one's end nudges it. So whoever reads that a run is cancelled can rely on it for all the runs that it waited for.
        """
        self._cut_attempts()
        if not await self._hands.cancel_children(self.run.id):
            return False
        self._is_ending = True
        await self._journal([], rests=True)
        return True

    async def _settle(self, facts: Sequence[AnyFact]) -> tuple[list[AnyEvent], list[Prepared]]:
        """Follow facts and the inline steps that they lead to, until only effects and waits are left.

        Gives the events that are not journalled yet. A long stretch of inline steps is handed over as it goes, so that the
        database works while the next steps are computed; after a crash the run goes on from there.
        """
        events: list[AnyEvent] = []
        effects: list[Prepared] = []
        pending = list(facts)
        done = 0
        while pending:
            result = advance(self.plan, self.state, pending, self._hands.max_context_bytes)
            self.state = result.state
            events.extend(result.events)
            pending = []
            for command in result.commands:
                if not isinstance(command, Execute):
                    effects.clear()
                    return events, effects
                begun = self._hands.executor.begin(self.run, self.plan, self.state, command.step_id, command.attempt)
                if isinstance(begun, Prepared):
                    effects.append(begun)
                    pending.append(begun.started)
                else:
                    pending.extend(begun)
                done += 1
                if done % INLINE_STEPS_AT_ONCE == 0:
                    await self._write_behind(events)
                    events = []
                if done % TURN_STEPS == 0:
                    await asyncio.sleep(0)
        return events, effects

    def _rests(self, effects: Sequence[Prepared]) -> bool:
        if self.state.is_finished:
            return True
        if effects or self._in_flight or not self._inbox.empty():
            return False
        due_at = self.wake_at
        return due_at is None or due_at > now() + HOLD

    async def _write_behind(self, events: Sequence[AnyEvent]) -> None:
        """Journal events while the run is followed further; one write at a time, so that they come in order."""
        if events:
            await self._written()
            self._writing = asyncio.create_task(self._store(self._entry(events, rests=False)))

    async def _written(self) -> None:
        """Return when what was handed over is durable. Raises: as `_store`."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def _journal(self, events: Sequence[AnyEvent], rests: bool) -> None:
        """Make events durable, then tell the watchers."""
        if events or rests:
            await self._store(self._entry(events, rests))

    def _entry(self, events: Sequence[AnyEvent], rests: bool) -> Entry:
        """What is to be written of the run as it is now; all before ``events`` has been."""
        stored = journal_events(events, self.seq + 1)
        steps = journal_steps(self.plan, self.state, stored)
        return Entry(
            run_id=self.run.id,
            fence=self.run.fence,
            known_seq=self.seq,
            state=self.state,
            events=stored,
            steps=steps,
            is_released=rests,
            wake_at=self.wake_at,
            nudges=self._nudges,
            is_quiet=any(step.step_id in self._durable.asking for step in steps),
            parent_run_id=self.run.parent_run_id if self.state.is_finished else None,
            limited_workflow_id=self.run.workflow_id if self.state.is_finished and self.run.is_limited else None,
            cut_steps=cut_child_runs(self.plan, events),
        )

    async def _store(self, entry: Entry) -> None:
        """Write an entry, then tell the watchers. A run that was nudged meanwhile is looked at again.

        Raises:
            LeaseLost, Refused: nothing was written.
        """
        nudges = await self._hands.append(entry)
        if nudges is None:
            raise LeaseLost(
                f"Run {self.run.id} is driven by another worker, has ended, was nudged, or is to be cancelled."
            )
        self.seq += len(entry.events)
        self._durable = entry.state
        if nudges != self._nudges:
            self._is_nudged = True
            self.nudge()
        if entry.events:
            self._telling.tell(entry)

    def _begin(self, effect: Prepared) -> None:
        async def attempt() -> None:
            fact = await self._hands.executor.execute(self.run, effect)
            del self._in_flight[effect.path]
            self._inbox.put_nowait(fact)

        self._in_flight[effect.path] = asyncio.create_task(attempt())

    async def _next_facts(self) -> list[AnyFact]:
        """What is reported next, with all that is reported by then; or that the next instant has come."""
        due_at = self.wake_at
        self._hands.waits(1)
        try:
            async with asyncio.timeout(None if due_at is None else max((due_at - now()).total_seconds(), 0)):
                reports = [await self._inbox.get()]
        except TimeoutError:
            reports = []
        finally:
            self._hands.waits(-1)
        if not reports:
            return [await self._time_passed(_not_before(due_at))]
        while not self._inbox.empty():
            reports.append(self._inbox.get_nowait())
        facts = [report for report in reports if report is not None]
        # A child run may be over before anybody waits for it: then its nudge was looked at too early, or by another worker.
        begun = [fact.step_id for fact in facts if isinstance(fact, AttemptWaits) and fact.waits_for == "run"]
        if begun or None in reports:
            self._is_nudged = False
            facts += await self._look(*begun)
        return facts

    async def _stop(self) -> None:
        """Leave nothing of the run behind."""
        self._cut_attempts()
        left = [*self._in_flight.values()]
        if self._writing is not None:  # only where following it broke off
            self._writing.cancel()
            left.append(self._writing)
        await asyncio.gather(*left, return_exceptions=True)

    def _cut_attempts(self) -> None:
        for attempt in self._in_flight.values():
            attempt.cancel()


def _not_before(due_at: datetime | None) -> datetime:
    """Now, or the instant waited for: the two clocks that a wait involves may differ by a little."""
    at = now()
    return at if due_at is None else max(at, due_at)


def _child_ended(child: EndedChild, at: datetime) -> ChildEnded:
    error = None if child.error is None else msgspec.convert(child.error, StepError)
    return ChildEnded(
        at=at, step_id=child.step_id, run_id=str(child.id), status=child.status, output=child.output, error=error,
        jitter=jitter(),
    )  # fmt: skip
