"""Rules of the owner."""

import sqlalchemy as sa
from alembic import op

revision = "0007_rules"
down_revision = "0006_work"


def upgrade() -> None:
    op.create_table(
        "rules",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("condition", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rules")),
    )
    op.create_index(op.f("ix_rules_name"), "rules", ["name"], unique=True)
