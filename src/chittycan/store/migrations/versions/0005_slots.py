"""Slots: how many calls each process may have open at once under a limit that all of them share."""

import sqlalchemy as sa
from alembic import op

revision = "0005_slots"
down_revision = "0003_context"


def upgrade() -> None:
    op.create_table(
        "slots",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("held", sa.Integer, nullable=False),
        sa.Column("wanted", sa.Integer, nullable=False),
        sa.Column("since", sa.Double),
        sa.Column("expires", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("scope", "owner", name=op.f("pk_slots")),
    )
