"""From which image an image was adopted.

Runs while old code serves: old code adopts nothing.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_adoptions"
down_revision = "2026_11_29_owners"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "adoptions",
        sa.Column("image_id", sa.String(36)),
        sa.Column("source_id", sa.String(36), nullable=False),
        sa.Column("adopted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="pk_adoptions"),
    )
