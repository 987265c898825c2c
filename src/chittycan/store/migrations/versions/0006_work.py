"""Durable work: tasks, workstreams, schedules, workers, effects, files and batches."""

import sqlalchemy as sa
from alembic import op

revision = "0006_work"
down_revision = "0005_slots"


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("workstream", sa.Text),
        sa.Column("path", sa.Text),
        sa.Column("kind", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("session", sa.Text),
        sa.Column("key_id", sa.Text),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("at", sa.Double),
        sa.Column("deadline", sa.Double),
        sa.Column("budget_nano", sa.BigInteger),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("store", sa.Text),
        sa.Column("webhook", sa.Text),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("waiting_for", sa.Text),
        sa.Column("chain", sa.Text),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("due", sa.Double),
        sa.Column("question", sa.Text),
        sa.Column("answer", sa.Text),
        sa.Column("result", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("served_by", sa.Text),
        sa.Column("cost_nano", sa.BigInteger),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("updated", sa.Double, nullable=False),
        sa.Column("started", sa.Double),
        sa.Column("ended", sa.Double),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
    )
    waiting = sa.text("chain IS NOT NULL")
    for name, order in (("due", ["due"]), ("priority", [sa.text("priority DESC"), "since"])):
        op.create_index(
            op.f(f"ix_tasks_chain_{name}"), "tasks", ["chain", "status", *order],
            sqlite_where=waiting, postgresql_where=waiting,
        )  # fmt: skip
    op.create_index(op.f("ix_tasks_created"), "tasks", ["created"])
    open_only = sa.text("ended IS NULL")
    op.create_index(
        op.f("ix_tasks_deadline"), "tasks", ["deadline"], sqlite_where=open_only, postgresql_where=open_only
    )
    ended = sa.text("ended IS NOT NULL")
    op.create_index(op.f("ix_tasks_ended"), "tasks", ["ended"], sqlite_where=ended, postgresql_where=ended)
    op.create_index(op.f("ix_tasks_key_id_created"), "tasks", ["key_id", "created"])
    op.create_index(op.f("ix_tasks_status_created"), "tasks", ["status", "created"])
    op.create_index(op.f("ix_tasks_workstream"), "tasks", ["workstream"])
    op.create_table(
        "chains",
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("failed", sa.Double, nullable=False),
        sa.Column("due", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_chains")),
    )
    op.create_table(
        "idempotency",
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("thing", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key_id", "idempotency_key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_thing"), "idempotency", ["thing"])
    op.create_table(
        "dependencies",
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("task", "after", name=op.f("pk_dependencies")),
    )
    op.create_index(op.f("ix_dependencies_after"), "dependencies", ["after"])
    op.create_table(
        "workstreams",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("recipe", sa.Text, nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("session", sa.Text),
        sa.Column("key_id", sa.Text),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("webhook", sa.Text),
        sa.Column("outputs", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("spent_nano", sa.BigInteger, nullable=False),
        sa.Column("forked_from", sa.Text),
        sa.Column("schedule", sa.Text),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("updated", sa.Double, nullable=False),
        sa.Column("ended", sa.Double),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workstreams")),
    )
    op.create_index(op.f("ix_workstreams_created"), "workstreams", ["created"])
    op.create_index(op.f("ix_workstreams_ended"), "workstreams", ["ended"])
    op.create_index(op.f("ix_workstreams_key_id_created"), "workstreams", ["key_id", "created"])
    op.create_index(op.f("ix_workstreams_status_created"), "workstreams", ["status", "created"])
    op.create_table(
        "schedules",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("recipe", sa.Text, nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("cron", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("catch_up", sa.Text, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("base", sa.Text),
        sa.Column("last", sa.Double, nullable=False),
        sa.Column("due", sa.Double),
        sa.Column("pending", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedules")),
    )
    op.create_index(op.f("ix_schedules_due"), "schedules", ["due"])
    op.create_table(
        "workers",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("nonce", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("boot", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("birth", sa.BigInteger),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("region", sa.Text),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("beat", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "effects",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_effects")),
    )
    op.create_index(op.f("ix_effects_state_updated_at"), "effects", ["state", "updated_at"])
    op.create_table(
        "files",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_files")),
    )
    op.create_index(op.f("ix_files_expires"), "files", ["expires"])
    op.create_index(op.f("ix_files_key_id_created"), "files", ["key_id", "created"])
    op.create_table(
        "file_chunks",
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("file", "number", name=op.f("pk_file_chunks")),
    )
    op.create_table(
        "batches",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("surface", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("input_file", sa.Text, nullable=False),
        sa.Column("output_file", sa.Text),
        sa.Column("error_file", sa.Text),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("completed", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.Column("ended", sa.Double),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    op.create_index(op.f("ix_batches_key_id_created"), "batches", ["key_id", "created"])
    op.create_index(op.f("ix_batches_status"), "batches", ["status"])
    op.create_table(
        "batch_pieces",
        sa.Column("batch", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("stop", sa.BigInteger, nullable=False),
        sa.Column("lines", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("checkpoints", sa.Integer, nullable=False),
        sa.Column("done", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("batch", "number", name=op.f("pk_batch_pieces")),
    )
    op.create_table(
        "batch_results",
        sa.Column("batch", sa.Text, nullable=False),
        sa.Column("piece", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("output", sa.LargeBinary, nullable=False),
        sa.Column("errors", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("batch", "piece", "number", name=op.f("pk_batch_results")),
    )
    op.create_table(
        "response_events",
        sa.Column("response", sa.Text, nullable=False),
        sa.Column("run", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("sequence", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("response", "run", "sequence", name=op.f("pk_response_events")),
    )
