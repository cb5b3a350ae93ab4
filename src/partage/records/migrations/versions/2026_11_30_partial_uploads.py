"""Resumable uploads, and the parts that have arrived.

Runs while old code serves: only new tables. The foreign key keeps a sweep of old code from parts.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_partial_uploads"
down_revision = "2026_11_30_received_parts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "partial_uploads",
        sa.Column(
            "image_id",
            sa.String(36),
            sa.ForeignKey("images.id", name="fk_partial_uploads_image_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("store_id", sa.String(255), nullable=False),
        sa.Column("offset_bytes", sa.BigInteger(), nullable=False),
        sa.Column("length_bytes", sa.BigInteger()),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("claim", sa.String(36), nullable=False),
        sa.Column("is_completing", sa.Boolean(), nullable=False),
        sa.Column("touched_at", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("image_id", name="pk_partial_uploads"),
    )
    op.create_index("ix_partial_uploads_touched_at", "partial_uploads", ["touched_at"])
    op.create_table(
        "upload_parts",
        sa.Column(
            "image_id",
            sa.String(36),
            sa.ForeignKey("partial_uploads.image_id", name="fk_upload_parts_image_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content_id", sa.String(36), sa.ForeignKey("contents.id", name="fk_upload_parts_content_id"), nullable=False),
        sa.Column("store_id", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "start", name="pk_upload_parts"),
    )
    op.create_index("ix_upload_parts_content_id", "upload_parts", ["content_id"])
