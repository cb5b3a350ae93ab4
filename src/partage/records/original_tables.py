"""Tables of what was taken over from a Glance."""

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from partage.records.metadata import metadata

# Contents whose bytes are, or were, in a store of Glance. No foreign key: a row outlives its content, because the bytes do.
originals = Table(
    "originals",
    metadata,
    Column("content_id", String(36), primary_key=True),
    # The store of this service in whose place the original is.
    Column("store_id", String(255), primary_key=True),
    # Glance's store.
    Column("place", String(255), nullable=False),
    Column("url", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    # What Glance recorded of the bytes; empty if nothing.
    Column("algorithm", String(64), nullable=False),
    Column("digest", String(128), nullable=False),
    # When the content was cut into chunks of the store; null: it is read from here.
    Column("cut_at", BigInteger),
    # Why the last attempt to cut it failed.
    Column("fault", Text, nullable=False),
    Index("ix_originals_cut_at", "cut_at", "content_id"),
)

# What was taken over, and in which state: a second run takes only what differs. `source` is the Glance, `written_at` the time of
# the last change that the row had here when it was written.
taken_over = Table(
    "taken_over",
    metadata,
    Column("source", String(32), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("key", String(80), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("written_at", BigInteger, nullable=False),
)
