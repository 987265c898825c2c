"""The inbox: mails, the agents' runs on them, and drafts."""

import sqlalchemy as sa
from alembic import op

revision = "0002_inbox"
down_revision = "0001_initial"


def upgrade() -> None:
    op.create_table(
        "mails",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("dedupe_key", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("source_key", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("date", sa.Double),
        sa.Column("mail", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("settled", sa.Text),
        sa.Column("category", sa.Text),
        sa.Column("level", sa.Text),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("read", sa.Boolean, nullable=False),
        sa.Column("added", sa.Double, nullable=False),
        sa.Column("done", sa.Double),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
    )
    op.create_index(op.f("ix_mails_dedupe_key"), "mails", ["dedupe_key"], unique=True)
    op.create_index(op.f("ix_mails_rank_date"), "mails", ["rank", "date"])
    op.create_table(
        "agent_runs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("mail_id", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("output", sa.Text, nullable=False),
        sa.Column("fallback", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("repaired", sa.Boolean, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("cost_nano", sa.BigInteger),
        sa.Column("ms", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("request_ids", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_runs")),
        sa.ForeignKeyConstraint(
            ["mail_id"], ["mails.id"], name=op.f("fk_agent_runs_mail_id_mails"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_agent_runs_mail_id"), "agent_runs", ["mail_id"])
    op.create_index(op.f("ix_agent_runs_agent_at"), "agent_runs", ["agent", "at"])
    op.create_table(
        "drafts",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("mail_id", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("recipients", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("in_reply_to", sa.Text),
        sa.Column("thread", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("warnings", sa.Text, nullable=False),
        sa.Column("by_model", sa.Text),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("changed", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drafts")),
        sa.CheckConstraint(
            "state IN ('draft', 'approved', 'sending', 'unknown', 'failed', 'sent', 'rejected')",
            name=op.f("ck_drafts_state"),
        ),
    )
    op.create_index(op.f("ix_drafts_idempotency_key"), "drafts", ["idempotency_key"], unique=True)
    op.create_index(op.f("ix_drafts_mail_id"), "drafts", ["mail_id"])
    op.create_index(op.f("ix_drafts_state"), "drafts", ["state"])
