"""What the expressions of a step see."""

from typing import Any

import msgspec

from stepwire.db.claims import ClaimedRun
from stepwire.definition.expressions import Variables
from stepwire.definition.plan import Plan
from stepwire.engine.model import RunState
from stepwire.engine.places import Place, item_of, locate


def variables(run: ClaimedRun, plan: Plan, state: RunState, place: Place) -> Variables:
    """Input, trigger, run and steps; in a container the item, and the steps beside it before those around it."""
    scopes = _scopes(plan, place) if place.scope else {}

    def named(name: str) -> Any:
        match name:
            case "input":
                return run.input
            case "trigger":
                return run.trigger or {"type": run.trigger_type}
            case "run":
                return _about(run)
            case "item":
                container, index = item_of(place.scope)
                return state.step(container).input["items"][index]
            case "index":
                return item_of(place.scope)[1]
            case "secrets":
                return {}
            case _:
                raise KeyError(name)

    def step(step_id: str) -> dict[str, Any]:
        known = state.step(scopes[step_id] + step_id if scopes else step_id)
        error = None if known.error is None else msgspec.structs.asdict(known.error)
        return {"status": known.status, "output": known.output, "error": error}

    return Variables(named, frozenset(scopes) if scopes else plan.step_ids, step)


def _about(run: ClaimedRun) -> dict[str, Any]:
    return {
        "id": str(run.id),
        "workflow_id": str(run.workflow_id),
        "workflow_version": run.workflow_version,
        "trigger_type": run.trigger_type,
        "created_at": run.created_at.isoformat().replace("+00:00", "Z"),
    }


def sources(place: Place, state: RunState) -> dict[str, Any]:
    """The outputs of the sources whose edges are live."""
    return {
        link.source: source.output
        for link in place.step.incoming
        if link.handle in (source := state.step(place.scope + link.source)).handles
    }


def _scopes(plan: Plan, place: Place) -> dict[str, str]:
    """Step id to the scope that it is seen in from a place."""
    seen: dict[str, str] = {}
    while True:
        seen = dict.fromkeys(place.plan.step_ids, place.scope) | seen
        if not place.scope:
            return seen
        place = locate(plan, item_of(place.scope)[0])
