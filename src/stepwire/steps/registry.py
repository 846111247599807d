"""The step types there are: the built-in ones, and those of installed packages (entry points ``stepwire.steps``)."""

import logging
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from typing import cast

from stepwire.steps.approval import Approval
from stepwire.steps.base import EffectStep, InlineStep, StepType
from stepwire.steps.branch import Condition, Switch
from stepwire.steps.flow import Delay, Fail, Log, Merge
from stepwire.steps.http import HttpRequest
from stepwire.steps.nested import ChildWorkflow, Map
from stepwire.steps.respond import Respond
from stepwire.steps.transform import Transform
from stepwire.steps.triggers import ManualTrigger, ScheduleTrigger, WebhookTrigger

ENTRY_POINT_GROUP = "stepwire.steps"
log = logging.getLogger(__name__)

BUILT_IN: tuple[Callable[[], StepType], ...] = (
    ManualTrigger,
    WebhookTrigger,
    ScheduleTrigger,
    Transform,
    Condition,
    Switch,
    Merge,
    Delay,
    Fail,
    Log,
    HttpRequest,
    Approval,
    Map,
    ChildWorkflow,
    Respond,
)


class StepRegistry:
    """Step types by name."""

    def __init__(self, types: Iterable[StepType]) -> None:
        self._types = {step_type.type: step_type for step_type in types}

    def get(self, step_type: str) -> StepType | None:
        return self._types.get(step_type)

    def __getitem__(self, step_type: str) -> StepType:
        return self._types[step_type]

    def __iter__(self) -> Iterator[StepType]:
        return iter(self._types.values())


def load_registry() -> StepRegistry:
    """Every step type of this installation; a plug-in that cannot be loaded is logged and left out."""
    built_in = [step_type() for step_type in BUILT_IN]
    return StepRegistry([*built_in, *_plugins({step.type for step in built_in})])


def _plugins(taken: set[str]) -> Iterator[StepType]:
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            step = point.load()()
        except Exception:
            log.exception("Step plug-in %s cannot be loaded; its step type is missing", point.value)
            continue
        if isinstance(step, InlineStep | EffectStep) and getattr(step, "type", None) not in {None, *taken}:
            yield cast("StepType", step)
        else:
            log.error("Step plug-in %s is not a step type, or takes a built-in name; it is left out", point.value)
