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
