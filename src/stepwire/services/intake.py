"""Where accepted runs enter: requests that come at the same time share one INSERT, and one wake follows it."""

from collections.abc import Sequence
from datetime import datetime

from stepwire.db.group_commit import GroupCommit
from stepwire.db.journal import NewRun, accept
from stepwire.db.limits import let_through
from stepwire.db.pool import Pool
from stepwire.signals.live import Announcer, queued_change
from stepwire.signals.wake import Waker


def open_intake(pool: Pool, waker: Waker, announcer: Announcer) -> GroupCommit[NewRun, datetime | None]:
    """Stores runs in groups; the answer is the instant of acceptance, or None where there is such a run already or
    the workflow takes none.
    """

    async def write(runs: Sequence[NewRun]) -> list[datetime | None]:
        accepted = await accept(pool, runs)
        limited = {run.workflow_id for run in runs if run.is_limited and run.id in accepted}
        if accepted:
            waker.wake_soon(let_through(pool, limited) if limited else None)
            announcer.soon(
                (run.owner_id, queued_change(run.id, run.workflow_id, run.queued, accepted[run.id]))
                for run in runs
                if run.id in accepted
            )
        return [accepted.get(run.id) for run in runs]

    return GroupCommit(write, weigh=lambda run: 2 * len(run.input))
