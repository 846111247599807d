"""``core.merge``, ``core.delay``, ``core.fail`` and ``core.log``: joining, waiting, stopping, telling."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from stepwire.definition.durations import seconds_of
from stepwire.definition.plan import Handles
from stepwire.steps.base import BuiltIn, InlineContext, NoConfig, Outcome, StepFailed, Wait

MAX_MESSAGE = 4096  # of a failure; what an expression gives is cut


class Merge(BuiltIn):
    """Bring branches together."""

    type = "core.merge"
    kind: ClassVar[Literal["pure"]] = "pure"
    title = "Merge"
    description = "Joins branches. Output: an object of the live branches' outputs by step id."
    category = "Flow"
    icon = "merge"
    config = NoConfig
    output_schema: ClassVar = {"type": "object"}
    examples: ClassVar = [{}]

    def evaluate(self, config: NoConfig, context: InlineContext) -> Outcome:
        return Outcome(output=dict(context.sources))


class DelayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    duration: (
        Annotated[float | str, Meta(title="Duration", description="Seconds, or ISO 8601", examples=["PT5S"])]
        | UnsetType
    ) = UNSET
    until: (
        Annotated[str, Meta(title="Until", description="An RFC 3339 instant", examples=["2030-01-01T00:00:00Z"])]
        | UnsetType
    ) = UNSET


class Delay(BuiltIn):
    """Rest for a while, or until an instant; durable, and nothing is held meanwhile."""

    type = "core.delay"
    kind: ClassVar[Literal["wait"]] = "wait"
    title = "Delay"
    description = "Waits for a duration or until an instant, from milliseconds to months."
    category = "Flow"
    icon = "hourglass"
    config = DelayConfig
    output_schema: ClassVar = {
        "type": "object",
        "properties": {"until": {"type": "string", "format": "date-time"}},
        "required": ["until"],
    }
    examples: ClassVar = [{"duration": "PT5S"}]

    def check(self, config: Mapping[str, Any]) -> str | None:
        if ("duration" in config) == ("until" in config):
            return "A delay needs either `duration` or `until`."
        value = config.get("duration", config.get("until"))
        if isinstance(value, str) and "{{" in value:
            return None
        try:
            _due_at(msgspec.convert(dict(config), DelayConfig), datetime.now(UTC))
        except msgspec.ValidationError:
            return None  # the schema says it better
        except StepFailed as error:
            return error.detail
        return None

    def evaluate(self, config: DelayConfig, context: InlineContext) -> Outcome | Wait:
        due_at = _due_at(config, context.now)
        output = {"until": due_at.isoformat().replace("+00:00", "Z")}
        return Wait(due_at, output) if due_at > context.now else Outcome(output)


def _due_at(config: DelayConfig, now: datetime) -> datetime:
    try:
        if config.until is not UNSET:
            instant = datetime.fromisoformat(config.until)
            if instant.tzinfo is None:
                raise ValueError("An instant needs its offset from UTC, such as 2030-01-01T00:00:00Z.")
            return instant.astimezone(UTC)
        if config.duration is not UNSET:
            return now + timedelta(seconds=seconds_of(config.duration))
    except (ValueError, OverflowError) as error:
        raise StepFailed("bad-config", str(error)) from None
    raise StepFailed("bad-config", "A delay needs either `duration` or `until`.")


class FailConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    message: Annotated[str, Meta(title="Message", extra_json_schema={"maxLength": MAX_MESSAGE})] = (
        "The workflow stopped here."
    )


class Fail(BuiltIn):
    """Fail on purpose; with a retry policy, as often as it says: that is how one is tried out."""

    type = "core.fail"
    kind: ClassVar[Literal["pure"]] = "pure"
    title = "Fail"
    description = "Ends the run as failed, with a message."
    category = "Flow"
    icon = "octagon-x"
    config = FailConfig
    examples: ClassVar = [{"message": "Order {{ input.id }} has no lines."}]

    def handles(self, config: Mapping[str, Any]) -> Handles:
        return Handles(outputs=())

    def evaluate(self, config: FailConfig, context: InlineContext) -> Outcome:
        raise StepFailed("failed-on-purpose", config.message[:MAX_MESSAGE], is_retryable=True)


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    message: Annotated[str, Meta(title="Message", max_length=65536)] = ""
    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(title="Level")] = "info"


class Log(BuiltIn):
    """Leave a line in the run's record: the journal is the log that it goes to."""

    type = "core.log"
    kind: ClassVar[Literal["pure"]] = "pure"
    title = "Log"
    description = "Writes a message into the run's events."
    icon = "scroll-text"
    config = LogConfig
    output_schema: ClassVar = {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}
    examples: ClassVar = [{"message": "Hello {{ input.name }}", "level": "info"}]

    def evaluate(self, config: LogConfig, context: InlineContext) -> Outcome:
        return Outcome(output={"message": config.message})
