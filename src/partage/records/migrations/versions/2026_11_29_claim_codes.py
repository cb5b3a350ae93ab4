"""Claim codes, and the failed claims of projects and addresses.

Runs while old code serves: old code makes and claims no codes.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_claim_codes"
down_revision = "2026_11_29_events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "claim_codes",
        sa.Column("id", sa.String(12)),
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("notice_seconds", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_claim_codes"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_claim_codes_image_id", ondelete="CASCADE"),
    )
    op.create_index("ix_claim_codes_image_id", "claim_codes", ["image_id"])
    op.create_index("ix_claim_codes_owner", "claim_codes", ["owner"])
    op.create_index("ix_claim_codes_valid_until", "claim_codes", ["valid_until"])
    op.create_table(
        "claim_failures",
        sa.Column("source", sa.String(300)),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_claim_failures"),
    )
    op.create_index("ix_claim_failures_began_at", "claim_failures", ["began_at"])
