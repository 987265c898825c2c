"""Every table of ours that the core needs, on one `metadata`. A change here needs a migration beside it.

Money is integer nano-dollars, wall times are Unix seconds (UTC). Other modules of this package may declare
tables of their own on the same `metadata`.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

# Names that both databases give alike, so that a later migration can drop what an earlier one made.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# One row per attempt at one model. The columns are the fields of `usage.ledger.Attempt`, in their order:
# rows are inserted as positional tuples.
ledger = Table(
    "ledger",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("surface", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("upstream", Text, nullable=False),
    Column("outcome", Text, nullable=False),  # ok | absorbed | failed | cancelled | cached | hedged
    Column("failure", Text),
    Column("status", Integer),
    Column("input", Integer, nullable=False),
    Column("output", Integer, nullable=False),
    Column("cached", Integer, nullable=False),
    Column("cache_write", Integer, nullable=False),
    Column("reasoning", Integer, nullable=False),
    Column("cost_nano", BigInteger),
    Column("ms", Double, nullable=False),
    Column("first_token_ms", Double),
    Column("key_id", Text),
    Column("kind", Text),
    Column("task", Text),
    Column("session", Text),
    Column("decision", Text),
    Column("stream", Boolean, nullable=False),
    Column("asked", Text),  # the model or virtual model that the client named
    Column("label", Text),  # public | internal | private
    Column("needs", Text),  # what the request asked of a model: tools,vision,schema,region=eu-west
    Index(None, "at"),
)

# Virtual keys. A revoked key keeps its row: the ledger refers to it, and a server that ever had a key stays closed.
keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),  # SHA-256 of the key, hexadecimal
    Column("hint", Text, nullable=False),  # last four characters
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("revoked", Double),
    Column("budget_day", BigInteger),
    Column("budget_month", BigInteger),
    Column("rpm", Integer),
    Column("tpm", Integer),
    Column("models", Text),  # JSON lists; NULL allows all
    Column("kinds", Text),
    Column("routes", Text),
    Column("cache", Boolean, nullable=False),
    Index(None, "digest", unique=True),
)
# On Postgres it is partial too, as its migration says; to say so here would load that dialect into every command.
Index("uq_keys_name_in_use", keys.c.name, unique=True, sqlite_where=keys.c.revoked.is_(None))

# One row per cap and window. `used` is what was spent and what processes hold of it (see `leases`).
meters = Table(
    "meters",
    metadata,
    Column("scope", Text, primary_key=True),  # "key:<id>" | "total"
    Column("unit", Text, primary_key=True),  # nano | requests | tokens
    Column("period", Text, primary_key=True),  # minute | day | month
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("ends", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
)

# What a process holds of a meter and has not yet spent, as it last said. It only tells what was spent from
# what is held: `meters.used` includes it already, so that a lease that dies is simply spent.
leases = Table(
    "leases",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("unit", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("amount", BigInteger, nullable=False),
    Column("expires", Double, nullable=False),
)

# A counter per thing that processes keep in memory: reading one row tells whether it changed.
revisions = Table(
    "revisions",
    metadata,
    Column("name", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

# Exact-match response cache.
responses = Table(
    "responses",
    metadata,
    Column("key", Text, primary_key=True),  # SHA-256 over scope, dialect and request
    Column("body", LargeBinary, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("model", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("size", Integer, nullable=False),
    Index(None, "created"),
)

# The shared document of each session, as JSON. `key_id` is the virtual key whose session it is, NULL the owner's.
contexts = Table(
    "contexts",
    metadata,
    Column("session", Text, primary_key=True),
    Column("key_id", Text),
    Column("version", Integer, nullable=False),  # counts the writes, from 1
    Column("size", Integer, nullable=False),  # bytes of `document`
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("ttl", Double),  # seconds after a write; NULL keeps it for good
    Column("expires", Double),
    Column("labels", Text, nullable=False),  # JSON: top-level key → {privacy, trust}
    Column("written", Text, nullable=False),  # JSON: top-level key → the version that last wrote it
    Column("document", Text, nullable=False),
    Index(None, "expires"),
    Index(None, "key_id", "updated"),
    Index(None, "updated"),
)

# One row per write of a context: who, when, what. The oldest go when there are too many.
context_changes = Table(
    "context_changes",
    metadata,
    Column("session", Text, ForeignKey("contexts.session", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("kind", Text, CheckConstraint("kind IN ('model', 'task', 'person')", name="kind"), nullable=False),
    Column("name", Text, nullable=False),
    Column("task", Text),
    Column("replaced", Boolean, nullable=False),  # the patch is a whole new document
    Column("size", Integer, nullable=False),  # bytes of `patch`
    Column("labels", Text),  # JSON: the labels that were given along
    Column("patch", Text, nullable=False),  # JSON merge patch
)
