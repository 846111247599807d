"""Tell others when runs end: where to, and what became of it."""

import sqlalchemy as sa
from alembic import op

revision = "20261201_hooks"
down_revision = "20261129_turns_and_limits"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "hook",
        sa.Column("workflow_id", sa.Uuid(), sa.ForeignKey("workflow.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("previous_secret", sa.LargeBinary()),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("secret_changed_at", instant, nullable=False, server_default=sa.func.now()),
        sa.Column("created_at", instant, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", instant, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.Uuid(), primary_key=True, server_default=sa.text("gen_random_uuid()")),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, server_default="pending"),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("tries", sa.SmallInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("next_at", instant),
        sa.Column("log", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("created_at", instant, nullable=False, server_default=sa.func.now()),
        sa.Column("delivered_at", instant),
    )
    op.create_index("delivery_of_event", "delivery", ["run_id", "seq"], unique=True)
    op.create_index(
        "delivery_due", "delivery", ["workflow_id", "next_at"], postgresql_where=sa.text("next_at IS NOT NULL")
    )
    latest = [sa.text("created_at DESC"), sa.text("id DESC")]
    op.create_index("delivery_of_workflow", "delivery", ["workflow_id", *latest])
    op.create_index("delivery_of_status", "delivery", ["workflow_id", "status", *latest])


def downgrade() -> None:
    op.drop_table("delivery")
    op.drop_table("hook")
