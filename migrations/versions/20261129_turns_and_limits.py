"""Let owners take turns, runs have priorities, and workflows limit how many of their runs go on at once."""

import sqlalchemy as sa
from alembic import op

revision = "20261129_turns_and_limits"
down_revision = "20261128_secrets"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in ("workflow", "run"):
        op.add_column(table, sa.Column("priority", sa.SmallInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("workflow", sa.Column("concurrency_limit", sa.Integer()))
    op.add_column("run", sa.Column("is_held", sa.Boolean()))
    op.drop_index("run_due", "run")
    op.create_index(
        "run_due", "run", ["wake_at"],
        postgresql_where=sa.text("wake_at IS NOT NULL AND status IN ('running', 'paused')"),
    )  # fmt: skip
    op.create_index(
        "run_queued", "run", ["owner_id", sa.text("priority DESC"), "wake_at"],
        postgresql_where=sa.text("wake_at IS NOT NULL AND status = 'queued'"),
    )  # fmt: skip
    op.create_index(
        "run_of_limited_workflow", "run", ["workflow_id", "is_held", sa.text("priority DESC"), "created_at", "id"],
        postgresql_where=sa.text("is_held IS NOT NULL AND status IN ('queued', 'running', 'paused')"),
    )  # fmt: skip


def downgrade() -> None:
    for name in ("run_of_limited_workflow", "run_queued", "run_due"):
        op.drop_index(name, "run")
    op.create_index("run_due", "run", ["wake_at"], postgresql_where=sa.text("wake_at IS NOT NULL"))
    op.drop_column("run", "is_held")
    op.drop_column("workflow", "concurrency_limit")
    for table in ("workflow", "run"):
        op.drop_column(table, "priority")
