"""The status that a retained image had before its owner deleted it.

Runs while old code serves: old code leaves the new column empty, which means that a restored image is active, as it was there.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_status"
down_revision = "2026_11_28_lanes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("images", sa.Column("former_status", sa.String(20)))
