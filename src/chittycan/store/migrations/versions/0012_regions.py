"""How many workers ended while they were at a task."""

import sqlalchemy as sa
from alembic import op

revision = "0012_regions"
down_revision = "0011_feedback"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("deaths", sa.Integer, nullable=False, server_default="0"))
