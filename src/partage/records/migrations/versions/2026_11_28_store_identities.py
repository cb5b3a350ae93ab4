"""Which database this is, which stores are its own, which packs it is about to write, and who needs packs to stay.

Runs while old code serves: only new tables.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_28_store_identities"
down_revision = "2026_11_28_terms"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "database_identity",
        sa.Column("number", sa.Integer(), autoincrement=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_database_identity"),
    )
    op.create_table(
        "store_identities",
        sa.Column("store_id", sa.String(255)),
        sa.Column("identity", sa.String(32), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("claimed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", name="pk_store_identities"),
    )
    op.create_table(
        "pack_intents",
        sa.Column("pack_id", sa.String(32)),
        sa.Column("store_id", sa.String(255), nullable=False),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pack_id", name="pk_pack_intents"),
    )
    op.create_table(
        "holds",
        sa.Column("id", sa.String(36)),
        sa.Column("reason", sa.String(255), nullable=False),
        sa.Column("renewed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
    )
