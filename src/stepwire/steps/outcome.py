"""What a stranger's step hands back, made plain: nothing of it can break the engine, the journal or another run."""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec

from stepwire.definition.durations import LONGEST_SECONDS
from stepwire.steps.base import Outcome, StepFailed, Wait

MAX_DEPTH = 64
MAX_CODE, MAX_MESSAGE, MAX_DETAILS_BYTES = 100, 8000, 256 << 10


def plain_outcome(given: Any, outputs: tuple[str, ...], max_bytes: int) -> Outcome | Wait:
    """The outcome as a copy of its own, so that nobody changes it later; ``outputs`` are the handles there are.

    Raises:
        StepFailed: ``bad-outcome``, ``output-not-json`` or ``output-too-large``.
    """
    match given:
        case Wait():
            return Wait(_instant(given.until), plain_json(given.output, max_bytes))
        case Outcome():
            return Outcome(plain_json(given.output, max_bytes), _handles(given.handles, outputs))
        case _:
            kind = type(given).__name__
            raise StepFailed("bad-outcome", f"The step returned {kind}; it has to return an Outcome or a Wait.")


def plain_json(value: Any, max_bytes: int) -> Any:
    """A copy of a JSON value: objects with string keys, arrays (tuples too), strings, finite numbers, true, false, null.

    Stricter than msgspec, which would store a set as an array and NaN as null without a word.

    Raises:
        StepFailed: ``output-not-json``, with the JSON pointer of what is not; ``output-too-large``.
    """
    return _Copy(max_bytes).of(value, "", 0)


def plain_failure(error: StepFailed) -> StepFailed:
    """A failure that can be stored, whatever a stranger put into it."""
    try:
        details = plain_json(error.details, MAX_DETAILS_BYTES)
    except StepFailed as fault:
        details = {"omitted": fault.detail}
    except AttributeError:  # a class of its own that does not call ours
        return raised(error)
    after: Any = error.retry_after
    return StepFailed(
        text(error.code, MAX_CODE),
        text(error.detail, MAX_MESSAGE),
        details=details,
        is_retryable=error.is_retryable is True,
        retry_after=min(after, LONGEST_SECONDS) if isinstance(after, int | float) and after >= 0 else None,
    )


def raised(error: BaseException) -> StepFailed:
    """The failure of a step that raised something else than ``StepFailed``."""
    try:
        said = str(error)
    except BaseException:
        said = "(its message cannot be read)"
    return StepFailed("step-crashed", text(f"The step raised {type(error).__name__}: {said}", 1000))


def text(value: object, limit: int) -> str:
    """Something to read, that UTF-8 can carry."""
    shown = value if isinstance(value, str) else repr(type(value))
    return shown[:limit].encode("utf-8", "replace").decode()


def is_deeper(value: Any, depth: int) -> bool:
    """Whether a JSON value's objects and arrays are nested more than ``depth`` levels deep."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(depth):
        members = (member for node in level for member in (node.values() if isinstance(node, dict) else node))
        level = [member for member in members if isinstance(member, dict | list)]
        if not level:
            return False
    return bool(level)


def _instant(until: Any) -> datetime:
    try:
        if isinstance(until, datetime) and until.tzinfo is not None:
            return until.astimezone(UTC)
    except (OverflowError, ValueError):
        pass
    raise StepFailed("bad-outcome", "A Wait's `until` has to be a datetime with an offset from UTC.")


def _handles(given: Any, outputs: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(given, tuple | list) or not all(isinstance(each, str) for each in given):
        raise StepFailed("bad-outcome", "An Outcome's `handles` has to be a tuple of strings.")
    for handle in given:
        if handle not in outputs:
            known = ", ".join(outputs) or "none"
            raise StepFailed("bad-outcome", text(f"The step chose the handle {handle!r}; it has {known}.", 500))
    return tuple(given)


class _Copy:
    """Copies one value. The budget counts values as well as bytes: small values that share parts can be endless."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = self._left = max_bytes

    def of(self, value: Any, path: str, depth: int) -> Any:
        self._spend(1)
        match value:
            case None | bool():
                return value
            case str():
                return self._text(value, path)
            case int():
                return self._integer(value, path)
            case float():
                if not math.isfinite(value):
                    raise _not_json(f"{value} is no JSON number", path)
                return float(value)
            case dict() | list() | tuple() if depth >= MAX_DEPTH:
                raise _not_json(f"it is nested more than {MAX_DEPTH} deep", path)
            case dict():
                return {self._key(key, path): self.of(item, f"{path}/{key}", depth + 1) for key, item in value.items()}
            case list() | tuple():
                return [self.of(item, f"{path}/{number}", depth + 1) for number, item in enumerate(value)]
            case _:
                raise _not_json(f"{type(value).__name__} is no JSON value", path)

    def _key(self, key: Any, path: str) -> str:
        if not isinstance(key, str):
            raise _not_json(f"a key is {type(key).__name__}, not a string", path)
        return self._text(key, path)

    def _text(self, value: str, path: str) -> str:
        self._spend(len(value))
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _not_json("a string has a lone surrogate, which UTF-8 cannot carry", path) from None
        return str(value)

    def _integer(self, value: int, path: str) -> int:
        self._spend(value.bit_length() // 4)
        try:
            msgspec.json.encode(int(value))
        except ValueError:
            raise _not_json("an integer has more digits than can be written", path) from None
        return int(value)

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            message = f"The step's output has more than {self._max_bytes:,} bytes, which is the limit."
            raise StepFailed("output-too-large", message)


def _not_json(what: str, path: str) -> StepFailed:
    return StepFailed("output-not-json", text(f"The step's output is not JSON: {what} (at {path or 'the top'}).", 500))
