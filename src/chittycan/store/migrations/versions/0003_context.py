"""Context: the shared document of each session, and who changed it."""

import sqlalchemy as sa
from alembic import op

revision = "0003_context"
down_revision = "0002_inbox"


def upgrade() -> None:
    op.create_table(
        "contexts",
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("updated", sa.Double, nullable=False),
        sa.Column("ttl", sa.Double),
        sa.Column("expires", sa.Double),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("written", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session", name=op.f("pk_contexts")),
    )
    op.create_index(op.f("ix_contexts_expires"), "contexts", ["expires"])
    op.create_index(op.f("ix_contexts_key_id_updated"), "contexts", ["key_id", "updated"])
    op.create_index(op.f("ix_contexts_updated"), "contexts", ["updated"])
    op.create_table(
        "context_changes",
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("task", sa.Text),
        sa.Column("replaced", sa.Boolean, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("labels", sa.Text),
        sa.Column("patch", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session", "version", name=op.f("pk_context_changes")),
        sa.ForeignKeyConstraint(
            ["session"], ["contexts.session"], name=op.f("fk_context_changes_session_contexts"), ondelete="CASCADE"
        ),
        sa.CheckConstraint("kind IN ('model', 'task', 'person')", name=op.f("ck_context_changes_kind")),
    )
