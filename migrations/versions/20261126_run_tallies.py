"""Keep how many runs there are of each kind, and let one index serve every mixture of filters."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_run_tallies"
down_revision = "20261125_list_indexes"
branch_labels = None
depends_on = None

_NEWEST_FIRST = [sa.text("created_at DESC"), sa.text("id DESC")]

# Triggers, so that no statement on runs can forget to count. New and deleted runs are counted by the statement, since
# many are accepted by one; changed ones by the row, since most updates leave the status alone and shall cost nothing.
_ADDED = """
CREATE FUNCTION tally_added_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_tally_change (owner_id, workflow_id, trigger_type, status, runs)
    SELECT owner_id, workflow_id, trigger_type, status, count(*) FROM added
    GROUP BY owner_id, workflow_id, trigger_type, status;
    RETURN NULL;
END $$
"""
_DELETED = """
CREATE FUNCTION tally_deleted_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_tally_change (owner_id, workflow_id, trigger_type, status, runs)
    SELECT owner_id, workflow_id, trigger_type, status, -count(*) FROM deleted
    GROUP BY owner_id, workflow_id, trigger_type, status;
    RETURN NULL;
END $$
"""
_CHANGED = """
CREATE FUNCTION tally_changed_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_tally_change (owner_id, workflow_id, trigger_type, status, runs)
    VALUES (OLD.owner_id, OLD.workflow_id, OLD.trigger_type, OLD.status, -1),
           (NEW.owner_id, NEW.workflow_id, NEW.trigger_type, NEW.status, 1);
    RETURN NULL;
END $$
"""
_TRIGGERS = [
    """
    CREATE TRIGGER run_tally_added AFTER INSERT ON run REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION tally_added_runs()
    """,
    """
    CREATE TRIGGER run_tally_deleted AFTER DELETE ON run REFERENCING OLD TABLE AS deleted
        FOR EACH STATEMENT EXECUTE FUNCTION tally_deleted_runs()
    """,
    """
    CREATE TRIGGER run_tally_changed AFTER UPDATE ON run FOR EACH ROW
        WHEN (OLD.status <> NEW.status OR OLD.workflow_id <> NEW.workflow_id OR OLD.owner_id <> NEW.owner_id
              OR OLD.trigger_type <> NEW.trigger_type)
        EXECUTE FUNCTION tally_changed_run()
    """,
]
_STOCKTAKING = """
INSERT INTO run_tally (owner_id, workflow_id, trigger_type, status, runs)
SELECT owner_id, workflow_id, trigger_type, status, count(*) FROM run
GROUP BY owner_id, workflow_id, trigger_type, status
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    columns = [
        ("owner_id", sa.Uuid()),
        ("workflow_id", sa.Uuid()),
        ("trigger_type", sa.Text()),
        ("status", sa.Text()),
    ]
    op.create_table(
        "run_tally",
        *(sa.Column(name, kind, primary_key=True) for name, kind in columns),
        sa.Column("runs", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "run_tally_change",
        *(sa.Column(name, kind, nullable=False) for name, kind in columns),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        # It is filled and emptied all the time. Giving pages back to the disk would lock out those who write.
        postgresql_with={
            "autovacuum_vacuum_scale_factor": "0",
            "autovacuum_vacuum_threshold": "1000",
            "vacuum_truncate": "false",
        },
    )
    for statement in (_ADDED, _DELETED, _CHANGED, *_TRIGGERS):
        op.execute(statement)
    # Creating triggers locks out those who write until all is committed, so that every run is counted once.
    op.execute(_STOCKTAKING)
    for name in ("run_of_workflow", "run_of_status", "run_of_trigger_type"):
        op.drop_index(name, "run")
    op.create_index("run_of_workflow", "run", ["owner_id", "workflow_id", "status", "trigger_type", *_NEWEST_FIRST])
    op.create_index("run_of_status", "run", ["owner_id", "status", "trigger_type", *_NEWEST_FIRST])
    op.drop_index("workflow_of_owner", "workflow")
    op.create_index(
        "workflow_of_owner", "workflow", ["owner_id", *_NEWEST_FIRST], postgresql_include=["status", "name"]
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("workflow_of_owner", "workflow")
    op.create_index("workflow_of_owner", "workflow", ["owner_id", *_NEWEST_FIRST])
    for name in ("run_of_workflow", "run_of_status"):
        op.drop_index(name, "run")
    op.create_index("run_of_workflow", "run", ["owner_id", "workflow_id", *_NEWEST_FIRST])
    op.create_index("run_of_status", "run", ["owner_id", "status", *_NEWEST_FIRST])
    op.create_index("run_of_trigger_type", "run", ["owner_id", "trigger_type", *_NEWEST_FIRST])
    for name in ("added", "deleted", "changed"):
        op.execute(f"DROP TRIGGER run_tally_{name} ON run")
    for name in ("tally_added_runs", "tally_deleted_runs", "tally_changed_run"):
        op.execute(f"DROP FUNCTION {name}()")
    op.drop_table("run_tally_change")
    op.drop_table("run_tally")
