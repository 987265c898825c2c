"""Mails that somebody is asking models about."""

import sqlalchemy as sa
from alembic import op

revision = "0014_mail_claims"
down_revision = "0013_mail_actions"


def upgrade() -> None:
    op.create_table(
        "mail_claims",
        sa.Column("mail_id", sa.Text, nullable=False),
        sa.Column("nonce", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("beat", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("mail_id", name=op.f("pk_mail_claims")),
        sa.ForeignKeyConstraint(
            ["mail_id"], ["mails.id"], name=op.f("fk_mail_claims_mail_id_mails"), ondelete="CASCADE"
        ),
    )
