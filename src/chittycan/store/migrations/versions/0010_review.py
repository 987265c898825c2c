"""What a person said about mail: review, corrections."""

revision = "0010_review"
down_revision = "0009_sending"


def upgrade() -> None:
    pass
