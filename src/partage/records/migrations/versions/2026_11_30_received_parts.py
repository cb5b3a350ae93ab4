"""Tasks note how much of an image from another region they have received, for the run that takes over.

Runs while old code serves: it neither reads nor writes the columns.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_received_parts"
down_revision = "2026_11_30_processes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both columns, which are null for every other task."""
    op.add_column("tasks", sa.Column("received_bytes", sa.BigInteger()))
    op.add_column("tasks", sa.Column("received_digest", sa.LargeBinary(32)))
