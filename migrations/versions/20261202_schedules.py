"""Start runs by the clock."""

import sqlalchemy as sa
from alembic import op

revision = "20261202_schedules"
down_revision = "20261201_hooks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "schedule",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_id", sa.Uuid(), sa.ForeignKey("workflow.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("input", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("overlap", sa.Text(), nullable=False),
        sa.Column("catch_up", sa.Text(), nullable=False),
        sa.Column("jitter", sa.Integer(), nullable=False),
        sa.Column("next_fire_at", instant),
        sa.Column("due_at", instant),
        sa.Column("last_fired_at", instant),
        sa.Column("last_run_id", sa.Uuid()),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("request_hash", sa.LargeBinary()),
        sa.Column("created_at", instant, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", instant, nullable=False, server_default=sa.func.now()),
    )
    op.create_index("schedule_of_workflow", "schedule", ["workflow_id", "name"], unique=True)
    op.create_index("schedule_of_owner", "schedule", ["owner_id", sa.text("created_at DESC"), sa.text("id DESC")])
    op.create_index(
        "schedule_idempotency_key", "schedule", ["owner_id", "idempotency_key"], unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )  # fmt: skip
    op.create_index("schedule_due", "schedule", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL"))


def downgrade() -> None:
    op.drop_table("schedule")
