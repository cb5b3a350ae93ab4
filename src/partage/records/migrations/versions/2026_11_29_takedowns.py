"""Shares that an administrator has ended, for owner and member to see.

Runs while old code serves: old code records no takedowns, and shows none.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_takedowns"
down_revision = "2026_11_29_trust_rules"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "takedowns",
        sa.Column("image_id", sa.String(36)),
        sa.Column("member_id", sa.String(255)),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.Column("image_created_at", sa.BigInteger(), nullable=False),
        sa.Column("image_name", sa.String(255)),
        sa.Column("image_status", sa.String(30), nullable=False),
        sa.Column("size", sa.BigInteger()),
        sa.Column("disk_format", sa.String(40)),
        sa.Column("container_format", sa.String(40)),
        sa.Column("member", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "member_id", name="pk_takedowns"),
    )
    op.create_index("ix_takedowns_member", "takedowns", ["member_id", "image_created_at", "image_id"])
    op.create_index("ix_takedowns_owner", "takedowns", ["owner", "image_created_at", "image_id", "member_id"])
    op.create_index("ix_takedowns_taken_at", "takedowns", ["taken_at"])
