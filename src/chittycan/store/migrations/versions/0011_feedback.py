"""How good answers were, and what the ledger knows of the question."""

revision = "0011_feedback"
down_revision = "0010_review"


def upgrade() -> None:
    pass
