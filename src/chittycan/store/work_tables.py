"""The tables of durable work, on the same `metadata` as the others. A change here needs a migration beside it.

The engine keeps tables of its own beside these (`dbos.*` on Postgres, `workflow_status` and others on SQLite): they say
which run of a task is to be done, ours say what the task is and what came of it.
"""

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, Table, Text

from chittycan.store.tables import metadata

# One row per piece of work. `workstreams.life` says which status may follow which.
tasks = Table(
    "tasks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),  # task | ensemble | agent | approval | wait | call | send | response | …
    Column("status", Text, nullable=False),
    Column("title", Text),
    Column("workstream", Text),  # whose step it is, and which
    Column("path", Text),
    Column("kind", Text),
    Column("model", Text),
    Column("session", Text),
    Column("key_id", Text),  # the virtual key that submitted it; NULL is the owner
    Column("priority", Integer, nullable=False),  # higher goes first
    Column("spec", Text, nullable=False),  # JSON: what is to be done, by its type
    Column("options", Text, nullable=False),  # JSON: private, region, models, max_cost_nano, recall, record…
    Column("at", Double),  # not before
    Column("deadline", Double),
    Column("budget_nano", BigInteger),
    Column("retries", Integer, nullable=False),  # further tries after a failure
    Column("failures", Integer, nullable=False),
    Column("store", Text),  # key of the session's document that gets the result
    Column("webhook", Text),  # JSON: url, told when the task ends
    Column("run", Integer, nullable=False),  # the run that may act now; runs before it are void
    Column("tries", Integer, nullable=False),  # how often it was begun
    Column("worker", Text),  # who is at it, or was last
    Column("waiting_for", Text),  # in words
    Column("chain", Text),  # the models it waits for, joined by ", "
    Column("since", Double, nullable=False),  # when it came to its status, or began to wait
    Column("due", Double),  # when its next run begins; NULL where it was tried and none is in the queue
    Column("question", Text),  # JSON: what a person is asked
    Column("answer", Text),  # JSON: what the person, an event or a webhook said
    Column("result", Text),  # JSON
    Column("error", Text),  # JSON: code, message, fix
    Column("served_by", Text),
    Column("cost_nano", BigInteger),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("started", Double),
    Column("ended", Double),
    Column("deaths", Integer, nullable=False, server_default="0"),  # workers that ended while they were at it
    Index(None, "status", "created"),
    Index(None, "workstream"),
    Index(None, "key_id", "created"),
    Index(None, "created"),
)
# Of what waits for a model: who is due next, and who goes first when one is back.
for name, order in (("due", (tasks.c.due,)), ("priority", (tasks.c.priority.desc(), tasks.c.since))):
    Index(
        f"ix_tasks_chain_{name}",
        tasks.c.chain,
        tasks.c.status,
        *order,
        sqlite_where=tasks.c.chain.is_not(None),  # on Postgres too: see `tables`
    )
# Each of these two holds only what the other leaves out, so that no database takes the wrong one.
Index("ix_tasks_ended", tasks.c.ended, sqlite_where=tasks.c.ended.is_not(None))
Index("ix_tasks_deadline", tasks.c.deadline, sqlite_where=tasks.c.ended.is_(None))

# A chain of models that tasks wait for (`workstreams.waves`).
chains = Table(
    "chains",
    metadata,
    Column("chain", Text, primary_key=True),  # as in `tasks`
    Column("tries", Integer, nullable=False),  # that failed one after the other
    Column("failed", Double, nullable=False),  # when the last one did
    Column("due", Double, nullable=False),  # when one of its tasks tries next, or was to
)

# An idempotency key belongs to whoever submitted: "" is the owner.
idempotency = Table(
    "idempotency",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("thing", Text, nullable=False),  # id of the task or workstream
    Column("digest", Text, nullable=False),
    Index(None, "thing"),
)

# `task` may not begin before `after` is done.
dependencies = Table(
    "dependencies",
    metadata,
    Column("task", Text, primary_key=True),
    Column("after", Text, primary_key=True),
    Index(None, "after"),
)

# One row per run of a recipe.
workstreams = Table(
    "workstreams",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),  # running | paused | done | failed | cancelled
    Column("recipe", Text, nullable=False),  # JSON
    Column("inputs", Text, nullable=False),  # JSON, bound and resolved
    Column("session", Text),
    Column("key_id", Text),
    Column("options", Text, nullable=False),  # JSON: private, region
    Column("priority", Integer, nullable=False),
    Column("webhook", Text),
    Column("outputs", Text),  # JSON
    Column("error", Text),
    Column("spent_nano", BigInteger, nullable=False),
    Column("forked_from", Text),
    Column("schedule", Text),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("ended", Double),
    Index(None, "status", "created"),
    Index(None, "key_id", "created"),
    Index(None, "created"),
    Index(None, "ended"),
)

# When to begin a workstream by itself.
schedules = Table(
    "schedules",
    metadata,
    Column("name", Text, primary_key=True),
    Column("recipe", Text, nullable=False),
    Column("inputs", Text, nullable=False),  # JSON, as given: bound anew each time
    Column("cron", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("catch_up", Text, nullable=False),  # none | latest | all
    Column("paused", Boolean, nullable=False),
    Column("key_id", Text),
    Column("base", Text),  # folder that relative paths in `inputs` start from
    Column("last", Double, nullable=False),  # up to which time all is begun for
    Column("due", Double),  # the time that is begun for next; NULL while paused
    Column("pending", Text),  # the engine's run that will do so; others are void
    Column("error", Text),  # why the last one could not be begun
    Column("created", Double, nullable=False),
    Index(None, "due"),
)

# Processes that do the work. `nonce` tells two with one id apart.
workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("nonce", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("boot", Text, nullable=False),  # which start of the machine; a pid means something only within it
    Column("pid", Integer, nullable=False),
    Column("birth", BigInteger),  # of the process, in its machine's ticks: a pid is given to others in turn
    Column("version", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("region", Text),
    Column("started", Double, nullable=False),
    Column("beat", Double, nullable=False),
)

# What was done to the world outside, or may have been (`workstreams.effects`).
effects = Table(
    "effects",
    metadata,
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),  # sending | sent | failed | unknown
    Column("detail", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index(None, "state", "updated_at"),
)

# Uploaded and produced files, in pieces: a piece is what one transaction writes and one read brings.
files = Table(
    "files",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("key_id", Text),
    Column("size", BigInteger, nullable=False),  # bytes
    Column("status", Text, nullable=False),  # uploading | processed
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Index(None, "key_id", "created"),
    Index(None, "expires"),
)
file_chunks = Table(
    "file_chunks",
    metadata,
    Column("file", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 0, in the order of the bytes
    Column("start", BigInteger, nullable=False),  # offset of its first byte
    Column("data", LargeBinary, nullable=False),
)

# Many requests as one job: OpenAI's batches and Anthropic's message batches.
batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("surface", Text, nullable=False),  # openai | anthropic
    Column("endpoint", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("key_id", Text),
    Column("input_file", Text, nullable=False),
    Column("output_file", Text),
    Column("error_file", Text),
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("detail", Text, nullable=False),  # JSON: metadata, errors, times of each state
    Column("run", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("ended", Double),
    Index(None, "key_id", "created"),
    Index(None, "status"),
)
# The input of a batch, cut into pieces: each is done by one function of the engine at a time.
batch_pieces = Table(
    "batch_pieces",
    metadata,
    Column("batch", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("start", BigInteger, nullable=False),  # offsets in the input file
    Column("stop", BigInteger, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("status", Text, nullable=False),  # waiting | running | done
    Column("run", Integer, nullable=False),
    Column("checkpoints", Integer, nullable=False),  # how many rows of batch_results there are
    Column("done", LargeBinary, nullable=False),  # bit n: its line n has its answer
)
# What came of its lines: one row per checkpoint, lines of the output and of the error file as they will be in them.
batch_results = Table(
    "batch_results",
    metadata,
    Column("batch", Text, primary_key=True),
    Column("piece", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("output", LargeBinary, nullable=False),
    Column("errors", LargeBinary, nullable=False),
)

# Events of a background response, so that a client may come back for those it has not seen.
response_events = Table(
    "response_events",
    metadata,
    Column("response", Text, primary_key=True),  # id of its task
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),  # one event, or several with one after the other
)
