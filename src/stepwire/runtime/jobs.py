"""SAQ's entry points: they carry no state and do nothing but call the runner."""

from typing import TypedDict

from stepwire.runtime.runner import Runner


class JobContext(TypedDict):
    runner: Runner


async def drive(context: JobContext) -> None:
    """Somebody made runs due."""
    await context["runner"].drive_due()


async def sweep(context: JobContext) -> None:
    """Every second: what no wake was heard of. Lapsed leases, queued runs, timers are all found by one claim."""
    await context["runner"].let_through()
    await context["runner"].drive_due()
