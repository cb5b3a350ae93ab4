"""The guards of images whose owner has switched them.

Runs while old code serves: old code guards nothing, and leaves the rows of images that it deletes.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_guards"
down_revision = "2026_11_29_while_used"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "guards",
        sa.Column("image_id", sa.String(36)),
        sa.Column("override", sa.String(10), nullable=False),
        sa.Column("pending", sa.String(10)),
        sa.Column("pending_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("image_id", name="pk_guards"),
    )
