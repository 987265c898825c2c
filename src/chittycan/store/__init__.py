"""State: the only place that knows tables, on SQLite and Postgres.

`database` runs transactions, `tables` and `migrations` are the schema, and each other module holds the SQL of
one concern as functions of a connection.
"""
