"""Remember by which request a signing secret was made, so that a repeat makes no other."""

import sqlalchemy as sa
from alembic import op

revision = "20261203_webhook_keys"
down_revision = "20261202_schedules"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in ("workflow", "hook"):
        op.add_column(table, sa.Column("secret_idempotency_key", sa.Text()))


def downgrade() -> None:
    for table in ("hook", "workflow"):
        op.drop_column(table, "secret_idempotency_key")
