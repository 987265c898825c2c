"""Files that go out with a draft."""

import sqlalchemy as sa
from alembic import op

revision = "0017_draft_files"
down_revision = "0016_mail_grants"


def upgrade() -> None:
    op.add_column("drafts", sa.Column("attachments", sa.Text, nullable=False, server_default="[]"))
    op.create_table(
        "draft_files",
        sa.Column("draft_id", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("draft_id", "sha256", name=op.f("pk_draft_files")),
        sa.ForeignKeyConstraint(
            ["draft_id"], ["drafts.id"], name=op.f("fk_draft_files_draft_id_drafts"), ondelete="CASCADE"
        ),
    )
