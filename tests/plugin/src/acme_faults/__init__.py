"""Three step types that do what their configuration says, however bad it is."""

import asyncio
import math
import os
import re
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import msgspec

from stepwire.definition.plan import Handles
from stepwire.steps.base import EffectContext, InlineContext, Outcome, StepDefaults, StepFailed, Wait


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    do: str = "well"
    value: Any = None


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


class Bare(StepFailed):
    def __init__(self) -> None:
        pass


def endless() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


def laughs() -> list[Any]:
    value: list[Any] = ["ha"]
    for _ in range(60):
        value = [value, value]
    return value


OUTCOMES: dict[str, Any] = {
    "nothing": None,
    "a dict": {"status": "ok"},
    "a set": Outcome({"a": [{1, 2}]}),
    "nan": Outcome(math.nan),
    "infinity": Outcome([float("1e400")]),
    "a key": Outcome({1: "one"}),
    "bytes": Outcome(b"x"),
    "an instant": Outcome(datetime(2030, 1, 1)),  # noqa: DTZ001
    "a surrogate": Outcome("\ud800"),
    "a surrogate in a key": Outcome({"\ud800": 1}),
    "huge digits": Outcome(10**5000),
    "itself": Outcome(endless()),
    "laughs": Outcome(laughs()),
    "too much": Outcome("x" * (1 << 20)),
    "a string for handles": Outcome(1, handles="default"),
    "an unknown handle": Outcome(1, handles=("sideways",)),
    "a wait without an offset": Wait(datetime(2030, 1, 1)),  # noqa: DTZ001
    "a wait at the end of time": Wait(datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))),
    "a wait for nan": Wait(datetime.fromisoformat("2030-01-01T00:00:00+00:00"), math.nan),
    "plain": Outcome({"big": 2**70, "nul": "\0", "tuple": (1, 2), "none": None, "yes": True, "float": 1.5, "ä": "€"}),
}
RAISED: dict[str, BaseException] = {
    "an error": ValueError("bad \ud800 text"),
    "system exit": SystemExit(78),
    "keyboard interrupt": KeyboardInterrupt(),
    "generator exit": GeneratorExit(),
    "cancelled": asyncio.CancelledError(),
    "unreadable": Unreadable(),
    "bare failure": Bare(),
    "garbage": StepFailed(
        {"no": "code"}, ["no", "text"], details={"set": {1}}, is_retryable="yes", retry_after=math.nan
    ),
}


def misbehave(config: Faults) -> Any:
    """What steps of all kinds can do."""
    match config.do:
        case "return":
            return OUTCOMES[config.value]
        case "raise":
            raise RAISED[config.value]
        case "remember":
            config.value.append(1)
            return Outcome(len(config.value))
        case "exit":
            os._exit(1)
        case "sleep":
            time.sleep(config.value)
        case "spin":
            until = time.monotonic() + config.value
            while time.monotonic() < until:
                pass
        case "backtrack":
            re.match(r"(a+)+$", "a" * 60 + "b")
    return Outcome({"did": config.do})


class Compute(StepDefaults):
    type = "acme.compute"
    kind: Literal["pure"] = "pure"
    title = "Compute"
    description = "Computes, or not."
    config = Faults

    def handles(self, config: Mapping[str, Any]) -> Handles:
        if config.get("do") == "handles":
            raise SystemExit("no handles")
        return Handles(outputs=("default", "left"))

    def check(self, config: Mapping[str, Any]) -> str | None:
        if config.get("do") == "check":
            raise KeyboardInterrupt
        return "It must not be refused." if config.get("do") == "refused" else None

    def evaluate(self, config: Faults, context: InlineContext) -> Outcome:
        if config.do == "left":
            return Outcome({"input": context.run_input, "sources": dict(context.sources)}, ("left",))
        outcome: Outcome = misbehave(config)
        return outcome


class Rest(StepDefaults):
    type = "acme.rest"
    kind: Literal["wait"] = "wait"
    title = "Rest"
    description = "Rests for a while."
    config = Faults

    def evaluate(self, config: Faults, context: InlineContext) -> Wait:
        return Wait(context.now + timedelta(seconds=config.value), {"rested": config.value})


class Act(StepDefaults):
    type = "acme.act"
    kind: Literal["effect"] = "effect"
    title = "Act"
    description = "Acts, or not."
    config = Faults

    async def execute(self, config: Faults, context: EffectContext) -> Outcome:
        match config.do:
            case "hang":
                await asyncio.Event().wait()
            case "refuse to end":
                await self._refuse(Path(config.value))
            case "leave a task behind":
                self._left = asyncio.create_task(self._linger(Path(config.value)))
                await asyncio.sleep(0)
            case "start a task that exits":
                await asyncio.gather(asyncio.create_task(self._exit()), return_exceptions=True)
            case "leave a thread behind":
                asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
        outcome: Outcome = misbehave(config)
        return outcome

    async def _refuse(self, begun: Path) -> None:
        begun.touch()
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                begun.with_suffix(".refused").touch()

    async def _linger(self, ended: Path) -> None:
        try:
            await asyncio.sleep(600)
        finally:
            ended.touch()

    async def _exit(self) -> None:
        raise SystemExit(78)
