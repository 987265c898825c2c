"""Which worker may do what."""

revision = "0012_regions"
down_revision = "0011_feedback"


def upgrade() -> None:
    pass
