"""How long a run has rested as its definition wants it to: that does not count as time that it takes."""

from datetime import datetime

from stepwire.definition.plan import Plan
from stepwire.engine.model import RunState, StepState
from stepwire.engine.places import locate


def rested_until(plan: Plan, state: RunState, at: datetime) -> datetime | None:
    """``at`` while it waits for a time that the definition names or for a child run; else when the last wait ended.

    None where there was none. What is waited for until the next attempt is no rest.
    """
    if state.awaiting or any(_rests(state.step(path)) for path in state.due):
        return at
    ended = (step.completed_at for path, step in state.steps.items() if locate(plan, path).step.kind == "wait")
    return max(filter(None, ended), default=None)


def _rests(step: StepState) -> bool:
    return step.status == "waiting" and step.error is None
