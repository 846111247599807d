"""What a driver's entry in the journal says of events and steps."""

from collections.abc import Sequence
from typing import TypeGuard

import msgspec

from stepwire.db.entries import JournalEvent, JournalStep
from stepwire.definition.plan import Plan
from stepwire.engine.events import AnyEvent, StepCancelled, StepFailed, StepRetrying, data_of, step_id_of
from stepwire.engine.model import RunState
from stepwire.engine.places import item_of, locate, scope_of
from stepwire.runtime.executor import CHILD_RUN

UNKNOWN = "unknown"  # the type of a step whose plan is gone
MAY_WAIT = (CHILD_RUN, UNKNOWN)


def journal_events(events: Sequence[AnyEvent], first_seq: int) -> list[JournalEvent]:
    """Events as they are stored, numbered from ``first_seq``."""
    return [
        JournalEvent(seq, event.name, step_id_of(event), msgspec.json.encode(data_of(event)).decode(), event.at)
        for seq, event in enumerate(events, first_seq)
    ]


def journal_steps(plan: Plan, state: RunState, events: Sequence[JournalEvent]) -> list[JournalStep]:
    """The steps that events are about, as they are in ``state``; each once, in the events' order."""
    changed = dict.fromkeys(event.step_id for event in events if event.step_id is not None)
    return [_journal_step(plan, state, path) for path in changed]


def cut_child_runs(plan: Plan, events: Sequence[AnyEvent]) -> list[str]:
    """The steps that no longer wait for the child runs that they have started, or may have where the plan is gone."""
    return [event.step_id for event in events if _cuts_off(event) and _type_of(plan, event.step_id) in MAY_WAIT]


def _journal_step(plan: Plan, state: RunState, path: str) -> JournalStep:
    scope = scope_of(state, path)
    return JournalStep(path, _type_of(plan, path), state.step(path), item_of(scope)[0] if scope else None)


def _type_of(plan: Plan, path: str) -> str:
    try:
        return locate(plan, path).step.type
    except KeyError:
        return UNKNOWN


def _cuts_off(event: AnyEvent) -> TypeGuard[StepCancelled | StepFailed | StepRetrying]:
    if isinstance(event, StepFailed | StepRetrying):
        return event.error.code == "timeout"
    return isinstance(event, StepCancelled)
