"""Alembic's entry: runs the migrations on the connection that `store.migrate` holds."""

from alembic import context

from chittycan.store.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes.get("metadata"),
    version_table=VERSION_TABLE,
    # SQLite cannot alter most things in place: such steps copy the table.
    render_as_batch=True,
)
context.run_migrations()
