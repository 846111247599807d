"""The shell's clock and chance: the core gets both as arguments."""

import random
from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)


def jitter() -> float:
    return random.random()  # noqa: S311 - spreads retries, protects nothing
