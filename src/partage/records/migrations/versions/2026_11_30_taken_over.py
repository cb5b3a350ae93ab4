"""What was taken over from a Glance, and where its bytes are.

Runs while old code serves: only new tables, which are empty until a Glance is taken over. Old code cannot read what they name.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_taken_over"
down_revision = "2026_11_30_partial_uploads"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "originals",
        sa.Column("content_id", sa.String(36), nullable=False),
        sa.Column("store_id", sa.String(255), nullable=False),
        sa.Column("place", sa.String(255), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("algorithm", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(128), nullable=False),
        sa.Column("cut_at", sa.BigInteger()),
        sa.Column("fault", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("content_id", "store_id", name="pk_originals"),
    )
    op.create_index("ix_originals_cut_at", "originals", ["cut_at", "content_id"])
    op.create_table(
        "taken_over",
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("key", sa.String(80), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "kind", "key", name="pk_taken_over"),
    )
