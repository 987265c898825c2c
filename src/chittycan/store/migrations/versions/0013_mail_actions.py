"""What is to be done to mails in their mailboxes."""

revision = "0013_mail_actions"
down_revision = "0012_regions"


def upgrade() -> None:
    pass
