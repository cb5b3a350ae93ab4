"""The table of maintenance jobs."""

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from partage.records.metadata import metadata

# `token` is the lease of the run in progress; `cursor` is where the next run goes on.
maintenance = Table(
    "maintenance",
    metadata,
    Column("job", String(20), primary_key=True),
    Column("token", String(36)),
    Column("worker", String(255)),
    Column("renewed_at", BigInteger),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("succeeded_at", BigInteger),
    Column("due_at", BigInteger),
    Column("outcome", String(20)),
    Column("message", Text, nullable=False),
    Column("report", Text, nullable=False),
    Column("cursor", String(80), nullable=False),
    Column("runs", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
)
