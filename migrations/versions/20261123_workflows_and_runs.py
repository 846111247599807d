"""Create workflow, run, step_run and run_event."""

import sqlalchemy as sa
from alembic import op

revision = "20261123_workflows_and_runs"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "workflow",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("line_id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, server_default=sa.text("1")),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False, server_default=""),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("input_schema", sa.JSON()),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("request_hash", sa.LargeBinary()),
        sa.Column("webhook_secret", sa.LargeBinary()),
        sa.Column("previous_webhook_secret", sa.LargeBinary()),
        sa.Column("webhook_secret_changed_at", instant),
        sa.Column("created_at", instant, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", instant, nullable=False, server_default=sa.func.now()),
        sa.Column("published_at", instant),
    )
    op.create_index("workflow_of_owner", "workflow", ["owner_id", sa.text("created_at DESC"), sa.text("id DESC")])
    op.create_index("workflow_line", "workflow", ["line_id", sa.text("version DESC")], unique=True)
    op.create_index(
        "workflow_idempotency_key", "workflow", ["owner_id", "operation", "idempotency_key"], unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )  # fmt: skip
    op.create_table(
        "run",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_version", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("trigger_type", sa.Text(), nullable=False),
        sa.Column("trigger", sa.JSON()),
        sa.Column("input", sa.JSON()),
        sa.Column("output", sa.JSON()),
        sa.Column("error", sa.JSON()),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("leased_by", sa.Text()),
        sa.Column("lease_until", instant),
        sa.Column("wake_at", instant),
        sa.Column("cancel_requested_at", instant),
        sa.Column("parent_run_id", sa.Uuid()),
        sa.Column("parent_step_id", sa.Text()),
        sa.Column("root_run_id", sa.Uuid()),
        sa.Column("depth", sa.SmallInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("request_hash", sa.LargeBinary()),
        sa.Column("created_at", instant, nullable=False, server_default=sa.func.now()),
        sa.Column("started_at", instant),
        sa.Column("completed_at", instant),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index("run_of_owner", "run", ["owner_id", sa.text("created_at DESC"), sa.text("id DESC")])
    op.create_index("run_of_workflow", "run", ["workflow_id", sa.text("created_at DESC"), sa.text("id DESC")])
    op.create_index("run_due", "run", ["wake_at"], postgresql_where=sa.text("wake_at IS NOT NULL"))
    op.create_index(
        "run_idempotency_key", "run", ["workflow_id", "trigger_type", "idempotency_key"], unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )  # fmt: skip
    op.create_table(
        "step_run",
        sa.Column("run_id", sa.Uuid(), primary_key=True),
        sa.Column("step_id", sa.Text(), primary_key=True),
        sa.Column("step_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer()),
        sa.Column("handles", sa.JSON()),
        sa.Column("input", sa.JSON()),
        sa.Column("output", sa.JSON()),
        sa.Column("error", sa.JSON()),
        sa.Column("due_at", instant),
        sa.Column("started_at", instant),
        sa.Column("completed_at", instant),
    )
    op.create_table(
        "run_event",
        sa.Column("run_id", sa.Uuid(), primary_key=True),
        sa.Column("seq", sa.Integer(), primary_key=True),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("step_id", sa.Text()),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("at", instant, nullable=False),
    )


def downgrade() -> None:
    for table in ("run_event", "step_run", "run", "workflow"):
        op.drop_table(table)
