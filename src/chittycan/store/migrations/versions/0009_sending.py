"""Drafts that are approved and sent, and templates of the owner's own."""

import sqlalchemy as sa
from alembic import op

revision = "0009_sending"
down_revision = "0008_imap"


def upgrade() -> None:
    for column in (
        sa.Column("account", sa.Text),
        sa.Column("cc", sa.Text, nullable=False, server_default="[]"),
        sa.Column("original", sa.Text),
        sa.Column("edited", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("automatic", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_at", sa.Double),
        sa.Column("reason", sa.Text),
        sa.Column("approval", sa.Text),
        sa.Column("message_id", sa.Text),
        sa.Column("effect", sa.Text),
        sa.Column("dispatched", sa.Double),
        sa.Column("copy", sa.Text),
    ):
        op.add_column("drafts", column)
    op.create_index(op.f("ix_drafts_effect"), "drafts", ["effect"])
    op.add_column("mails", sa.Column("answered", sa.Double))
    op.create_table(
        "templates",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("layout", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("changed", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_templates")),
    )
