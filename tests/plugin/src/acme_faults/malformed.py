"""Classes that are no step types, each for one reason."""

from typing import Any

import msgspec

from stepwire.steps.base import Outcome, StepDefaults


class Sound(StepDefaults):
    type = "acme.sound"
    kind = "pure"
    title = description = "Sound"

    def evaluate(self, config: Any, context: Any) -> Outcome:
        return Outcome()


class Nameless:
    kind = "pure"


class LogAgain(Sound):
    type = "core.log"


class ComputeAgain(Sound):
    type = "acme.compute"


class DictConfig(Sound):
    type = "acme.dict-config"
    config = dict


class Odd(msgspec.Struct):
    value: complex


class OddConfig(Sound):
    type = "acme.odd-config"
    config = Odd


class AsyncPure(Sound):
    type = "acme.async-pure"

    async def evaluate(self, config: Any, context: Any) -> Outcome:
        return Outcome()


class PlainEffect(Sound):
    type = "acme.plain-effect"
    kind = "effect"

    def execute(self, config: Any, context: Any) -> Outcome:
        return Outcome()


class OwnTrigger(Sound):
    type = "acme.own-trigger"
    kind = "trigger"


class RaisesWhenMade(Sound):
    def __init__(self) -> None:
        raise KeyboardInterrupt


class RaisesWhenAsked(Sound):
    type = "acme.raises-when-asked"

    @property
    def title(self) -> str:
        raise LookupError("no title today")


NotAStep = dict
