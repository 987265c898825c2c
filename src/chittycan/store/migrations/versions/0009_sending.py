"""Drafts that are approved and sent."""

revision = "0009_sending"
down_revision = "0008_imap"


def upgrade() -> None:
    pass
