"""Mail accounts that are looked at, how far their folders are, and which mails were seen where."""

import sqlalchemy as sa
from alembic import op

revision = "0008_imap"
down_revision = "0007_rules"


def upgrade() -> None:
    op.create_table(
        "mail_accounts",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("nonce", sa.Text),
        sa.Column("holder", sa.Text),
        sa.Column("beat", sa.Double),
        sa.Column("tried", sa.Double),
        sa.Column("succeeded", sa.Double),
        sa.Column("failing", sa.Double),
        sa.Column("problem", sa.Text),
        sa.Column("fix", sa.Text),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_mail_accounts")),
    )
    op.create_table(
        "mail_folders",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("validity", sa.BigInteger, nullable=False),
        sa.Column("through", sa.BigInteger, nullable=False),
        sa.Column("next_uid", sa.BigInteger),
        sa.Column("behind", sa.Integer, nullable=False),
        sa.Column("looked", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("account", "folder", name=op.f("pk_mail_folders")),
    )
    op.create_table(
        "sightings",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("validity", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("uid", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("mail_id", sa.Text),
        sa.Column("problem", sa.Text),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("again", sa.Double),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("account", "folder", "validity", "uid", name=op.f("pk_sightings")),
        sa.ForeignKeyConstraint(
            ["mail_id"], ["mails.id"], name=op.f("fk_sightings_mail_id_mails"), ondelete="SET NULL"
        ),
    )
    op.create_index(op.f("ix_sightings_mail_id"), "sightings", ["mail_id"])
