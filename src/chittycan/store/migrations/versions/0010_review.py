"""Whose mail it is, which conversation it belongs to, and what a person said about it."""

import sqlalchemy as sa
from alembic import op

revision = "0010_review"
down_revision = "0009_sending"

MAIL_COLUMNS = (
    ("account", sa.Text),
    ("message_id", sa.Text),
    ("thread", sa.Text),
    ("topic", sa.Text),
    ("privacy", sa.Text),
    ("review", sa.Text),
    ("reviewed_at", sa.Double),
    ("reviewed_by", sa.Text),
    ("said_category", sa.Text),
    ("said_level", sa.Text),
    ("doubt", sa.Text),
    ("proposed", sa.Text),
)


def upgrade() -> None:
    for name, kind in MAIL_COLUMNS:
        op.add_column("mails", sa.Column(name, kind))
    op.create_index(op.f("ix_mails_message_id"), "mails", ["message_id"])
    op.create_index(op.f("ix_mails_thread"), "mails", ["thread"])
    op.create_index(op.f("ix_mails_topic"), "mails", ["topic"])
    op.create_index(op.f("ix_mails_review_rank"), "mails", ["review", "rank"])
    op.create_table(
        "judgements",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("mail_id", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("person", sa.Text),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("said", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("list_id", sa.Text),
        sa.Column("words", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judgements")),
    )
    op.create_index(op.f("ix_judgements_mail_id_field"), "judgements", ["mail_id", "field"], unique=True)
