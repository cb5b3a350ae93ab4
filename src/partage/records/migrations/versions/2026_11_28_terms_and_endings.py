"""Terms of shares, shares whose notice runs, and retained images.

Runs while old code serves: old code leaves the new columns at their defaults, which mean Glance's behaviour.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_28_terms"
down_revision = "2026_11_28_details"
branch_labels = None
depends_on = None

_NEVER = str(2**63 - 1)


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("images", sa.Column("former_owner", sa.String(255)))
    op.add_column("images", sa.Column("former_visibility", sa.String(20)))
    op.add_column("members", sa.Column("notice_seconds", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("members", sa.Column("expires_at", sa.BigInteger(), nullable=False, server_default=_NEVER))
    op.add_column("members", sa.Column("message", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "endings",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id", name="fk_endings_image_id", ondelete="CASCADE")),
        sa.Column("member_id", sa.String(255)),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("image_created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "member_id", name="pk_endings"),
    )
    op.create_index("ix_endings_member", "endings", ["member_id", "image_created_at", "image_id"])
    op.create_index("ix_endings_ends_at", "endings", ["ends_at"])
