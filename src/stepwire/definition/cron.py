"""When schedules are due: cron expressions in a time zone, pure. What an expression says is `cronsim`'s part; what the
clock's changes do to it is here, as Vixie cron has it (crontab(5) and cron(8) of Debian):

- With a wildcard or a step as minute or hour (``*/10``), it goes by elapsed time: each real minute that matches, once
  in the hour that is skipped less and in the hour that is repeated more.
- Otherwise it names times of day, and each is due once a day: one that a day does not have as soon as the gap is over, one
  that a day has twice at the first of the two. Times that come to the same instant are due once.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

MAX_LENGTH = 200
_MACROS = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_ALLOWED = re.compile(r"[0-9A-Za-z*,/#-]+")
# 3-3/7 is 3; to cronsim it would be 3/7, so 3, 10, 17 …
_ONE_WITH_STEP = re.compile(r"\b0*(\w+?)-0*\1/[0-9]+", re.IGNORECASE)
_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)


class BadCron(ValueError):
    """It is no cron expression, or never due."""


@dataclass(frozen=True, slots=True)
class Due:
    """An instant that a schedule is due at, in UTC. ``is_moved``: from a time that its day does not have;
    ``is_first_of_two``: the clock shows this time once more; ``merged``: other times of day that came to the same instant.
    """

    at: datetime
    is_moved: bool = False
    is_first_of_two: bool = False
    merged: int = 0


def checked(cron: str) -> str:
    """The expression as five fields, as `dues` takes it.

    Raises:
        BadCron: saying which field is wrong.
    """
    text = cron.strip()
    if len(text) > MAX_LENGTH:
        raise BadCron(f"A cron expression has at most {MAX_LENGTH} characters.")
    text = _MACROS.get(text.lower(), text)
    if text.startswith("@"):
        raise BadCron(f"{text!r} is not known; {', '.join(_MACROS)} are.")
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise BadCron(f"A cron expression has five fields ({', '.join(_FIELDS)}), not {len(fields)}.")
    for name, field in zip(_FIELDS, fields, strict=True):
        if not _ALLOWED.fullmatch(field):
            raise BadCron(f"The {name} {field!r} holds something that is none of digits, names and * , - / # L.")
    try:
        CronSim(" ".join(fields), datetime(2024, 1, 1))  # noqa: DTZ001 - only the fields are looked at
    except (CronSimError, ValueError, AssertionError, RecursionError) as error:
        raise BadCron(_reason(str(error), fields)) from None
    return " ".join(_ONE_WITH_STEP.sub(r"\1", field) for field in fields)


def zone(name: str) -> ZoneInfo:
    """A zone of the IANA database, as the package tzdata has it: what the machine has may be older, or name its own zone.

    Raises:
        BadCron: there is none of this name.
    """
    if name not in _zones():
        raise BadCron(f"{name[:100]!r} is no time zone of the IANA database, such as Europe/Berlin or UTC.")
    return _read(name)


def dues(cron: str, tz: ZoneInfo, after: datetime) -> Iterator[Due]:
    """The instants after ``after``, in order, each once. ``cron`` is `checked`.

    It ends where nothing is due for 50 years, and with the calendar, in the year 9999.
    """
    minute, hour, *_ = cron.split()
    walk = _elapsed if minute.startswith("*") or hour.startswith("*") else _daily
    found = _in_the_calendar(walk(cron, tz, after))
    previous: Due | None = None
    for due in found:
        if due.at <= after:
            continue
        if previous is not None and due.at == previous.at:
            previous = Due(due.at, previous.is_moved or due.is_moved, previous.is_first_of_two, previous.merged + 1)
            continue
        if previous is not None:
            yield previous
        previous = due
    if previous is not None:
        yield previous


def next_due(cron: str, tz: ZoneInfo, after: datetime) -> datetime | None:
    """The first instant after ``after``; None where there is none for 50 years."""
    due = next(dues(cron, tz, after), None)
    return None if due is None else due.at


def _in_the_calendar(found: Iterator[Due]) -> Iterator[Due]:
    with suppress(OverflowError):
        yield from found


def _elapsed(cron: str, tz: ZoneInfo, after: datetime) -> Iterator[Due]:
    """Real minutes that match, from one change of the clock to the next: in between, it is a clock like any other."""
    start, since, offset = after, after, _offset(tz, after)
    while True:
        for wall in CronSim(cron, (start + offset).replace(tzinfo=None)):
            at = (wall - offset).replace(tzinfo=UTC)
            if _offset(tz, at) != offset:
                break
            yield Due(at)
            start = since = at
        else:
            return
        change = _first_change(tz, since, at)
        start, since, offset = change - _SECOND, change, _offset(tz, change)


def _daily(cron: str, tz: ZoneInfo, after: datetime) -> Iterator[Due]:
    """Times of day, from somewhat before ``after`` on: clocks have never been changed by more than a day."""
    for wall in CronSim(cron, after.astimezone(tz).replace(tzinfo=None) - _DAY):
        first, second = (wall.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first.astimezone(tz).replace(tzinfo=None) != wall:
            yield Due(_change_between(tz, second, first), is_moved=True)
        else:
            yield Due(first, is_first_of_two=first != second)


def _offset(tz: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(tz).utcoffset() or timedelta(0)


def _first_change(tz: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first second after ``before`` at which the clock goes by another offset, as it does at ``after``."""
    offset = _offset(tz, before)
    while _offset(tz, min(before + _DAY, after)) == offset:
        before += _DAY
    return _change_between(tz, before, min(before + _DAY, after))


def _change_between(tz: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first second at which the clock goes by the offset that it has at ``after``."""
    offset = _offset(tz, after)
    while after - before > _SECOND:
        middle = before + timedelta(seconds=int((after - before).total_seconds()) // 2)
        if _offset(tz, middle) == offset:
            after = middle
        else:
            before = middle
    return after


def _reason(message: str, fields: list[str]) -> str:
    """What cronsim says, with the field that it means."""
    for name, field in zip(_FIELDS, fields, strict=True):
        if message == f"Bad {name.replace(' ', '-')}":
            return f"The {name} {field!r} is out of range, or cannot be read."
    return "The cron expression cannot be read."


@cache
def _zones() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())


@cache
def _read(name: str) -> ZoneInfo:
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)
