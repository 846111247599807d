"""Tables. The migrations make them; a test holds the two together.

JSON is stored as `json`, not `jsonb`: what a client saved comes back as it was (floats, key order, big integers,
-0.0), and writing it is cheaper. No query looks inside.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_BEGUN = "status IN ('running', 'paused')"


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy
        UUID: Uuid(),
        str: Text(),
        datetime: DateTime(timezone=True),
        bytes: LargeBinary(),
        Any: JSON(none_as_null=True),
        dict[str, Any]: JSON(none_as_null=True),
    }


class Workflow(Base):
    """A user's workflow; frozen when published. ``revision`` rises with each change and is the ETag."""

    __tablename__ = "workflow"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    line_id: Mapped[UUID]
    source_id: Mapped[UUID | None]
    version: Mapped[int]
    revision: Mapped[int] = mapped_column(server_default=text("1"))
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    status: Mapped[str]
    definition: Mapped[dict[str, Any]]
    input_schema: Mapped[dict[str, Any] | None]
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    concurrency_limit: Mapped[int | None]
    operation: Mapped[str]
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[bytes | None]
    webhook_secret: Mapped[bytes | None]
    previous_webhook_secret: Mapped[bytes | None]
    webhook_secret_changed_at: Mapped[datetime | None]
    secret_idempotency_key: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    published_at: Mapped[datetime | None]

    __table_args__ = (
        Index(  # filters are answered by it too: an owner's workflows are few, and their rows are wide
            "workflow_of_owner", "owner_id", text("created_at DESC"), text("id DESC"),
            postgresql_include=["status", "name"],
        ),
        Index("workflow_line", "line_id", text("version DESC"), unique=True),
        Index(
            "workflow_idempotency_key", "owner_id", "operation", "idempotency_key", unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )  # fmt: skip


class Secret(Base):
    """What an owner's steps may read by name. ``value`` is encrypted for just this owner and name, under ``key_id``."""

    __tablename__ = "secret"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[bytes]
    key_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Schedule(Base):
    """When runs of a workflow start by the clock. ``next_fire_at`` is the next instant that the expression names, ``due_at``
    when it is to be looked at: the same and somewhat of ``jitter``; null where it is paused, or never due again.

    ``idempotency_key`` is that of the last request that made or changed it.
    """

    __tablename__ = "schedule"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    workflow_id: Mapped[UUID] = mapped_column(ForeignKey("workflow.id", ondelete="CASCADE"))
    name: Mapped[str]
    cron: Mapped[str]
    timezone: Mapped[str]
    input: Mapped[dict[str, Any]]
    enabled: Mapped[bool]
    overlap: Mapped[str]
    catch_up: Mapped[str]
    jitter: Mapped[int]
    next_fire_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    last_fired_at: Mapped[datetime | None]
    last_run_id: Mapped[UUID | None]
    last_skipped_at: Mapped[datetime | None]
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("schedule_of_workflow", "workflow_id", "name", unique=True),
        Index("schedule_of_owner", "owner_id", text("created_at DESC"), text("id DESC")),
        Index(
            "schedule_idempotency_key", "workflow_id", "idempotency_key", unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        Index("schedule_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )  # fmt: skip


class Hook(Base):
    """Where a workflow's owner is told that its runs have ended; the secrets are encrypted for just this workflow.

    The previous secret signs as well for a day after a change.
    """

    __tablename__ = "hook"

    workflow_id: Mapped[UUID] = mapped_column(ForeignKey("workflow.id", ondelete="CASCADE"), primary_key=True)
    owner_id: Mapped[UUID]
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    secret: Mapped[bytes]
    previous_secret: Mapped[bytes | None]
    key_id: Mapped[str]
    secret_changed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    secret_idempotency_key: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Delivery(Base):
    """An end of a run, event ``seq`` of it, that is told to a hook. It is stored in the transaction of the end.

    ``attempts`` is a fence: who claims it raises it, and only that one may say what came of it. ``tries`` counts them since
    it was last to be sent anew. ``next_at`` is when it is tried next; null where that is over.
    """

    __tablename__ = "delivery"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    owner_id: Mapped[UUID]
    workflow_id: Mapped[UUID]
    run_id: Mapped[UUID]
    seq: Mapped[int]
    event: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="pending")
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    tries: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    next_at: Mapped[datetime | None]
    log: Mapped[Any] = mapped_column(JSON(), server_default="[]")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    delivered_at: Mapped[datetime | None]

    __table_args__ = (
        Index("delivery_of_event", "run_id", "seq", unique=True),
        Index("delivery_due", "workflow_id", "next_at", postgresql_where=text("next_at IS NOT NULL")),
        Index("delivery_of_workflow", "workflow_id", text("created_at DESC"), text("id DESC")),
        Index("delivery_of_status", "workflow_id", "status", text("created_at DESC"), text("id DESC")),
    )


class Run(Base):
    """One execution. ``wake_at`` is when it is next due to be driven; a lease in force keeps others off meanwhile.

    ``is_held``: whether it waits for another run of its workflow to end; null where the workflow has no limit.
    ``nudges`` rises whenever something outside happens that the driver has to look at: a cancellation, an answer, the
    end of a child run.

    No foreign keys on the hot tables: a check would lock the workflow's row for every run, and nothing that a run
    belongs to is ever deleted before it (only drafts are, and drafts have no runs).
    """

    __tablename__ = "run"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    workflow_id: Mapped[UUID]
    workflow_version: Mapped[int]
    status: Mapped[str]
    trigger_type: Mapped[str]
    trigger: Mapped[dict[str, Any] | None]
    input: Mapped[Any] = mapped_column(nullable=True)
    output: Mapped[Any] = mapped_column(nullable=True)
    error: Mapped[dict[str, Any] | None]
    seq: Mapped[int]
    fence: Mapped[int] = mapped_column(server_default=text("0"))
    leased_by: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    wake_at: Mapped[datetime | None]
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    is_held: Mapped[bool | None]
    nudges: Mapped[int] = mapped_column(server_default=text("0"))
    cancel_requested_at: Mapped[datetime | None]
    parent_run_id: Mapped[UUID | None]
    parent_step_id: Mapped[str | None]
    parent_attempt: Mapped[int | None]
    is_awaited: Mapped[bool] = mapped_column(server_default=text("false"))
    root_run_id: Mapped[UUID | None]
    depth: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]

    __table_args__ = (
        Index("run_of_owner", "owner_id", text("created_at DESC"), text("id DESC")),
        # Any mixture of filters is a few stretches of one of these; `paging.py` merges them.
        Index(
            "run_of_workflow", "owner_id", "workflow_id", "status", "trigger_type", text("created_at DESC"),
            text("id DESC"),
        ),
        Index("run_of_status", "owner_id", "status", "trigger_type", text("created_at DESC"), text("id DESC")),
        Index("run_due", "wake_at", postgresql_where=text(f"wake_at IS NOT NULL AND {_BEGUN}")),
        Index(
            "run_queued", "owner_id", text("priority DESC"), "wake_at",
            postgresql_where=text("wake_at IS NOT NULL AND status = 'queued'"),
        ),
        Index(
            "run_of_limited_workflow", "workflow_id", "is_held", text("priority DESC"), "created_at", "id",
            postgresql_where=text("is_held IS NOT NULL AND status IN ('queued', 'running', 'paused')"),
        ),
        Index(
            "run_idempotency_key", "workflow_id", "trigger_type", "idempotency_key", unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        Index(
            "run_of_parent", "parent_run_id", "parent_step_id", "parent_attempt", unique=True,
            postgresql_where=text("parent_run_id IS NOT NULL"),
        ),
        {"postgresql_with": {"fillfactor": "80"}},
    )  # fmt: skip


class RunTally(Base):
    """How many runs there are of a kind, but for the changes that are not taken in yet."""

    __tablename__ = "run_tally"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    workflow_id: Mapped[UUID] = mapped_column(primary_key=True)
    trigger_type: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(primary_key=True)
    runs: Mapped[int] = mapped_column(BigInteger)


run_tally_change = Table(  # without a key: rows are added by triggers on `run`, so that nobody waits for a counter
    "run_tally_change",
    Base.metadata,
    Column("owner_id", Uuid(), nullable=False),
    Column("workflow_id", Uuid(), nullable=False),
    Column("trigger_type", Text(), nullable=False),
    Column("status", Text(), nullable=False),
    Column("runs", BigInteger(), nullable=False),
)


class StepRun(Base):
    """The latest state of a step of a run: what the run's events come to. ``position`` counts the starts from 0.

    ``container`` is the path of the container in one of whose items it runs.
    """

    __tablename__ = "step_run"

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    step_id: Mapped[str] = mapped_column(primary_key=True)
    step_type: Mapped[str]
    container: Mapped[str | None]
    status: Mapped[str]
    attempt: Mapped[int]
    position: Mapped[int | None]
    handles: Mapped[Any] = mapped_column(nullable=True)
    input: Mapped[Any] = mapped_column(nullable=True)
    output: Mapped[Any] = mapped_column(nullable=True)
    error: Mapped[dict[str, Any] | None]
    waits_for: Mapped[str | None]
    due_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    earlier_attempts: Mapped[int] = mapped_column(server_default=text("0"))
    map: Mapped[dict[str, Any] | None]


class RunAnswer(Base):
    """What a person answered to an attempt of a step that waits for one; once given, it does not change."""

    __tablename__ = "run_answer"

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    step_id: Mapped[str] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[Any] = mapped_column(nullable=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class RunEvent(Base):
    """A fact in a run's journal; ``seq`` is 1, 2, 3 … without a hole. Append only."""

    __tablename__ = "run_event"

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    event: Mapped[str]
    step_id: Mapped[str | None]
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]
