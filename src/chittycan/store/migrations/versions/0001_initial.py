"""The first schema: ledger, keys, meters and leases, revisions, cached responses."""

import sqlalchemy as sa
from alembic import op

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("surface", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("failure", sa.Text),
        sa.Column("status", sa.Integer),
        sa.Column("input", sa.Integer, nullable=False),
        sa.Column("output", sa.Integer, nullable=False),
        sa.Column("cached", sa.Integer, nullable=False),
        sa.Column("cache_write", sa.Integer, nullable=False),
        sa.Column("reasoning", sa.Integer, nullable=False),
        sa.Column("cost_nano", sa.BigInteger),
        sa.Column("ms", sa.Double, nullable=False),
        sa.Column("first_token_ms", sa.Double),
        sa.Column("key_id", sa.Text),
        sa.Column("kind", sa.Text),
        sa.Column("task", sa.Text),
        sa.Column("session", sa.Text),
        sa.Column("decision", sa.Text),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("request_id", "position", name=op.f("pk_ledger")),
    )
    op.create_index(op.f("ix_ledger_at"), "ledger", ["at"])
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.Column("revoked", sa.Double),
        sa.Column("budget_day", sa.BigInteger),
        sa.Column("budget_month", sa.BigInteger),
        sa.Column("rpm", sa.Integer),
        sa.Column("tpm", sa.Integer),
        sa.Column("models", sa.Text),
        sa.Column("kinds", sa.Text),
        sa.Column("routes", sa.Text),
        sa.Column("cache", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
    )
    op.create_index(op.f("ix_keys_digest"), "keys", ["digest"], unique=True)
    in_use = sa.text("revoked IS NULL")
    op.create_index(
        op.f("uq_keys_name_in_use"), "keys", ["name"], unique=True, sqlite_where=in_use, postgresql_where=in_use
    )
    op.create_table(
        "meters",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("ends", sa.BigInteger, nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("scope", "unit", "period", "start", name=op.f("pk_meters")),
    )
    op.create_table(
        "leases",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("owner", "scope", "unit", "period", "start", name=op.f("pk_leases")),
    )
    op.create_table(
        "revisions",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_revisions")),
    )
    op.create_table(
        "responses",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_responses")),
    )
    op.create_index(op.f("ix_responses_created"), "responses", ["created"])
