"""Give each filter of the list of runs an index that holds all that a page or a count needs."""

import sqlalchemy as sa
from alembic import op

revision = "20261125_list_indexes"
down_revision = "20261123_workflows_and_runs"
branch_labels = None
depends_on = None

_NEWEST_FIRST = [sa.text("created_at DESC"), sa.text("id DESC")]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("run_of_workflow", "run")
    op.create_index("run_of_workflow", "run", ["owner_id", "workflow_id", *_NEWEST_FIRST])
    op.create_index("run_of_status", "run", ["owner_id", "status", *_NEWEST_FIRST])
    op.create_index("run_of_trigger_type", "run", ["owner_id", "trigger_type", *_NEWEST_FIRST])


def downgrade() -> None:
    for name in ("run_of_trigger_type", "run_of_status", "run_of_workflow"):
        op.drop_index(name, "run")
    op.create_index("run_of_workflow", "run", ["workflow_id", *_NEWEST_FIRST])
