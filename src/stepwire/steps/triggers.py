"""The steps that a run begins with. Their output is the run's input."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from stepwire.definition.graph import Definition
from stepwire.definition.plan import Handles
from stepwire.steps.base import BuiltIn, InlineContext, NoConfig, Outcome


class _Trigger(BuiltIn):
    kind: ClassVar[Literal["trigger"]] = "trigger"
    category = "Triggers"

    def handles(self, config: object) -> Handles:
        return Handles(inputs=())

    def evaluate(self, config: object, context: InlineContext) -> Outcome:
        return Outcome(output=context.run_input)


class ManualTrigger(_Trigger):
    """Fired when a run is started through the API."""

    type = "trigger.manual"
    title = "Manual start"
    description = "Starts when somebody runs the workflow. Output: the run's input."
    icon = "play"
    config = NoConfig
    examples: ClassVar = [{}]


class WebhookConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    auth: Annotated[
        Literal["standard", "github", "stripe", "slack", "token", "none"],
        Meta(title="Authentication", description="How a sender proves itself; `none` takes anybody's requests"),
    ] = "standard"
    header: Annotated[
        str, Meta(title="Header", min_length=1, max_length=100, description="For `token`: the header that carries it")
    ] = "X-Webhook-Token"
    respond: Annotated[
        Literal["now", "when_finished"], Meta(title="Answer", description="At once, or when the run is finished")
    ] = "now"


class WebhookTrigger(_Trigger):
    """Fired by an HTTP request to the workflow's webhook address."""

    type = "trigger.webhook"
    title = "Webhook"
    description = "Starts when a request arrives at the workflow's webhook address. Output: the run's input."
    icon = "webhook"
    config = WebhookConfig
    examples: ClassVar = [{"auth": "github"}]


def webhook_of(definition: Definition) -> WebhookConfig | None:
    """The configuration of the first webhook trigger that is drawn, the default where there is none; None where it cannot be read."""
    for node in definition.steps:
        if node.step_type == WebhookTrigger.type:
            try:
                return msgspec.convert(node.settings.get("config") or {}, WebhookConfig)
            except msgspec.ValidationError:
                return None
    return WebhookConfig()


class ScheduleTrigger(_Trigger):
    """Fired by a schedule of the workflow."""

    type = "trigger.schedule"
    title = "Schedule"
    description = "Starts when one of the workflow's schedules is due. Output: the run's input."
    icon = "clock"
    config = NoConfig
    examples: ClassVar = [{}]
