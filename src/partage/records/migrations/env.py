"""Alembic's entry: run the migrations on the connection that `records/schema.py` passes."""

from alembic import context

from partage.records import tables  # noqa: F401 -- defines the tables of `metadata`
from partage.records.metadata import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transaction_per_migration=False)
context.run_migrations()
