"""See which instants were skipped; keys of requests that make schedules belong to a workflow."""

import sqlalchemy as sa
from alembic import op

revision = "20261204_skipped_instants"
down_revision = "20261203_webhook_keys"
branch_labels = None
depends_on = None
INDEX, GIVEN = "schedule_idempotency_key", sa.text("idempotency_key IS NOT NULL")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("schedule", sa.Column("last_skipped_at", sa.DateTime(timezone=True)))
    op.drop_index(INDEX, "schedule")
    op.create_index(INDEX, "schedule", ["workflow_id", "idempotency_key"], unique=True, postgresql_where=GIVEN)


def downgrade() -> None:
    op.drop_index(INDEX, "schedule")
    op.create_index(INDEX, "schedule", ["owner_id", "idempotency_key"], postgresql_where=GIVEN)
    op.drop_column("schedule", "last_skipped_at")
