"""Refresh tokens that replaced configured ones, sealed, and who is getting a token just now."""

import sqlalchemy as sa
from alembic import op

revision = "0016_mail_grants"
down_revision = "0015_bounces"


def upgrade() -> None:
    op.create_table(
        "mail_grants",
        sa.Column("grant", sa.Text, nullable=False),
        sa.Column("token", sa.Text),
        sa.Column("nonce", sa.Text),
        sa.Column("holder", sa.Text),
        sa.Column("beat", sa.Double),
        sa.PrimaryKeyConstraint("grant", name=op.f("pk_mail_grants")),
    )
