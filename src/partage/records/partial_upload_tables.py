"""The tables of resumable uploads. Only definitions: the statements are in `partial_uploads.py`."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table

from partage.records.metadata import metadata

# Resumable uploads. `claim` is the token of the row in `uploads` whose request writes, or wrote last; `touched_at` is when bytes
# were added last. A completed upload stays for a while, for a client that lost the last response.
partial_uploads = Table(
    "partial_uploads",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("id", String(36), nullable=False),
    Column("store_id", String(255), nullable=False),
    Column("offset_bytes", BigInteger, nullable=False),
    Column("length_bytes", BigInteger),
    Column("parts", Integer, nullable=False),
    Column("claim", String(36), nullable=False),
    Column("is_completing", Boolean, nullable=False),
    Column("touched_at", BigInteger, nullable=False),
    Column("completed_at", BigInteger),
    Index("ix_partial_uploads_touched_at", "touched_at"),
)

# What has arrived of a resumable upload: contents, in order of their first byte.
upload_parts = Table(
    "upload_parts",
    metadata,
    Column("image_id", String(36), ForeignKey("partial_uploads.image_id", ondelete="CASCADE"), primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("content_id", String(36), ForeignKey("contents.id"), nullable=False),
    Column("store_id", String(255), nullable=False),
    Index("ix_upload_parts_content_id", "content_id"),
)
