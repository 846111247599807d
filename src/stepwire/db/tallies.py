"""Numbers of runs, kept up to date without anybody waiting for a counter.

Triggers on `run` write each change of a number down as a row of its own; `take_in` adds these rows up. No ORM here:
workers have none.
"""

from stepwire.db.pool import Pool

# By one process at a time, or two could wait for each other.
_TAKE_IN = """
WITH taken AS (
    DELETE FROM run_tally_change WHERE (SELECT pg_try_advisory_xact_lock(7311503115))
    RETURNING owner_id, workflow_id, trigger_type, status, runs
)
INSERT INTO run_tally (owner_id, workflow_id, trigger_type, status, runs)
SELECT owner_id, workflow_id, trigger_type, status, sum(runs) FROM taken
GROUP BY owner_id, workflow_id, trigger_type, status HAVING sum(runs) <> 0
ON CONFLICT (owner_id, workflow_id, trigger_type, status) DO UPDATE SET runs = run_tally.runs + excluded.runs
"""


async def take_in(pool: Pool) -> None:
    """Add up what was written down; every few seconds, so that it is never much."""
    await pool.execute(_TAKE_IN)
