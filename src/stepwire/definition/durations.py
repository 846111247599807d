"""Durations as the contract has them: seconds, or ISO 8601 with weeks, days, hours, minutes and seconds."""

import math
import re
from datetime import timedelta
from typing import Any

_ISO = re.compile(
    r"P(?:(?P<weeks>\d+(?:[.,]\d+)?)W)?(?:(?P<days>\d+(?:[.,]\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+(?:[.,]\d+)?)H)?(?:(?P<minutes>\d+(?:[.,]\d+)?)M)?(?:(?P<seconds>\d+(?:[.,]\d+)?)S)?)?",
    re.ASCII,
)
_CALENDAR = re.compile(r"P[0-9.,YMWD]*[YM]")
LONGEST_SECONDS = 366 * 86400.0 * 10


def seconds_of(value: Any) -> float:
    """The duration in seconds, 0 or more.

    Raises:
        ValueError: neither a number of seconds nor an ISO 8601 duration; months and years have no fixed length.

    Source: ISO 8601-1:2019 section 5.5.2.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("A duration is a number of seconds or an ISO 8601 duration such as PT5S.")
    try:
        seconds = _iso_seconds(value) if isinstance(value, str) else float(value)
    except OverflowError:  # an integer beyond all floats
        seconds = math.inf
    if not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_SECONDS:
        raise ValueError("A duration is between 0 seconds and ten years.")
    return seconds


def iso_of(duration: timedelta) -> str:
    """The ISO 8601 form, in seconds."""
    return f"PT{duration.total_seconds():.6f}".rstrip("0").rstrip(".") + "S"


def _iso_seconds(text: str) -> float:
    match = _ISO.fullmatch(text.strip())
    parts = (
        {unit: float(number.replace(",", ".")) for unit, number in match.groupdict().items() if number} if match else {}
    )
    if not parts and _CALENDAR.match(text.strip()):
        raise ValueError("Months and years have no fixed length; give days, such as P30D.")
    if not parts:
        raise ValueError(f"{text[:40]!r} is not an ISO 8601 duration such as PT5S, P1DT12H or P2W.")
    return timedelta(**parts).total_seconds()
