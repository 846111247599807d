"""The step types there are: the built-in ones, and those of installed packages (entry points ``stepwire.steps``)."""

import logging
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points

from stepwire.steps.approval import Approval
from stepwire.steps.base import StepType
from stepwire.steps.branch import Condition, Switch
from stepwire.steps.flow import Delay, Fail, Log, Merge
from stepwire.steps.http import HttpRequest
from stepwire.steps.nested import ChildWorkflow, Map
from stepwire.steps.plugin import Malformed, PluginStep
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
    """Every step type of this installation; a plug-in that cannot be used is logged and left out."""
    built_in = [step_type() for step_type in BUILT_IN]
    return StepRegistry([*built_in, *_plugins({step.type for step in built_in})])


def _plugins(taken: set[str]) -> Iterator[StepType]:
    """Those of installed packages, in an order that does not depend on where they are installed."""
    try:
        points = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: (point.name, point.value))
    except Exception:
        log.exception("The installed packages cannot be asked for step plug-ins; none is loaded")
        return
    for point in points:
        package = point.dist.name if point.dist is not None else "an unknown package"
        try:
            step = PluginStep(point.load()())
            if step.type in taken:
                raise Malformed(f"There is a step type {step.type!r} already.")
        except Malformed as error:
            log.error("Step plug-in %s (%s, of %s) is left out: %s", point.name, point.value, package, error.detail)
        except BaseException:  # a package may even ask the process to end
            log.exception(
                "Step plug-in %s (%s, of %s) is left out: it cannot be loaded", point.name, point.value, package
            )
        else:
            taken.add(step.type)
            yield step
