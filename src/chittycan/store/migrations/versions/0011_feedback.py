"""How good answers were, what was learnt from it, and what the ledger knows of the question."""

import sqlalchemy as sa
from alembic import op

revision = "0011_feedback"
down_revision = "0010_review"


def upgrade() -> None:
    op.create_table(
        "quality",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quality")),
    )
    op.create_table(
        "feedback",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("comment", sa.Text),
        sa.Column("key_id", sa.Text),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("request_id", "source", name=op.f("pk_feedback")),
    )
    op.create_index(op.f("ix_feedback_at"), "feedback", ["at"])
    op.create_table(
        "sketches",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text),
        sa.Column("sketch", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_sketches")),
    )
    op.create_index(op.f("ix_sketches_at"), "sketches", ["at"])
    op.create_table(
        "budget_alarms",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("start", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("per_mille", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("scope", "period", "start", "per_mille", name=op.f("pk_budget_alarms")),
    )
    op.add_column("ledger", sa.Column("asked", sa.Text))
    op.add_column("ledger", sa.Column("label", sa.Text))
    op.add_column("ledger", sa.Column("needs", sa.Text))
