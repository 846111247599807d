"""Add what waiting for people and for child runs needs: nudges, answers, the way from parent to child."""

import sqlalchemy as sa
from alembic import op

revision = "20261127_waits_and_children"
down_revision = "20261126_run_tallies"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("run", sa.Column("nudges", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("run", sa.Column("parent_attempt", sa.Integer()))
    op.add_column("run", sa.Column("is_awaited", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.create_index(
        "run_of_parent", "run", ["parent_run_id", "parent_step_id", "parent_attempt"], unique=True,
        postgresql_where=sa.text("parent_run_id IS NOT NULL"),
    )  # fmt: skip
    op.add_column("step_run", sa.Column("container", sa.Text()))
    op.add_column("step_run", sa.Column("waits_for", sa.Text()))
    op.add_column("step_run", sa.Column("earlier_attempts", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("step_run", sa.Column("map", sa.JSON()))
    op.create_table(
        "run_answer",
        sa.Column("run_id", sa.Uuid(), primary_key=True),
        sa.Column("step_id", sa.Text(), primary_key=True),
        sa.Column("attempt", sa.Integer(), primary_key=True),
        sa.Column("data", sa.JSON()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )


def downgrade() -> None:
    op.drop_table("run_answer")
    for column in ("container", "waits_for", "earlier_attempts", "map"):
        op.drop_column("step_run", column)
    op.drop_index("run_of_parent", "run")
    for column in ("nudges", "parent_attempt", "is_awaited"):
        op.drop_column("run", column)
