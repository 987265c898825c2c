"""What is to be done to mails in their mailboxes."""

import sqlalchemy as sa
from alembic import op

revision = "0013_mail_actions"
down_revision = "0012_regions"


def upgrade() -> None:
    op.create_table(
        "mail_actions",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("mail_id", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("verb", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("allowed_by", sa.Text),
        sa.Column("problem", sa.Text),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("again", sa.Double),
        sa.Column("asked", sa.Double, nullable=False),
        sa.Column("changed", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_actions")),
        sa.ForeignKeyConstraint(
            ["mail_id"], ["mails.id"], name=op.f("fk_mail_actions_mail_id_mails"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_mail_actions_account_state"), "mail_actions", ["account", "state"])
    op.create_index(
        op.f("ix_mail_actions_mail_id_verb_value"), "mail_actions", ["mail_id", "verb", "value"], unique=True
    )
