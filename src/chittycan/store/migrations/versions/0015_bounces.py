"""Whom a draft that was sent did not reach."""

import sqlalchemy as sa
from alembic import op

revision = "0015_bounces"
down_revision = "0014_mail_claims"


def upgrade() -> None:
    op.add_column("drafts", sa.Column("bounced", sa.Text))
    op.create_index(op.f("ix_drafts_message_id"), "drafts", ["message_id"])
