"""The project that can restore its deleted image.

Runs while old code serves: it writes no project, and the operator alone restores what it deletes, as before.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_restorable_by"
down_revision = "2026_11_29_list_indexes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("pending_deletes", sa.Column("restorable_by", sa.String(255)))
