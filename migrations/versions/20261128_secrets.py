"""Create secret."""

import sqlalchemy as sa
from alembic import op

revision = "20261128_secrets"
down_revision = "20261127_waits_and_children"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "secret",
        sa.Column("owner_id", sa.Uuid(), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("created_at", instant, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", instant, nullable=False, server_default=sa.func.now()),
    )


def downgrade() -> None:
    op.drop_table("secret")
