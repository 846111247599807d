"""When the next attempt is due."""

from datetime import datetime, timedelta

from stepwire.definition.durations import LONGEST_SECONDS
from stepwire.definition.plan import RetryPolicy


def next_attempt_at(
    policy: RetryPolicy, attempt: int, failed_at: datetime, jitter: float, retry_after: float | None = None
) -> datetime | None:
    """When the next attempt is due, or None when there is none left.

    The interval grows by ``multiplier`` per attempt up to ``max_interval``, then ``jitter`` (0..1,
    drawn by the caller) takes a random part of at most ``policy.jitter`` of it off: without that, a thousand runs
    that failed together come back together. Where the other side said when to come back (``retry_after``,
    seconds), that is the least, up to the longest duration there is: a calendar has an end.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015; RFC 9110 section 10.2.3 for Retry-After.
    """
    if attempt >= policy.max_attempts:
        return None
    interval = policy.initial_interval
    for _ in range(attempt - 1):
        interval = min(interval * policy.multiplier, policy.max_interval)
    interval = min(interval, policy.max_interval) * (1 - policy.jitter * jitter)
    return failed_at + timedelta(seconds=min(max(interval, retry_after or 0.0), LONGEST_SECONDS))
