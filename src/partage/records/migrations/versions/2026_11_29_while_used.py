"""Until when an ending lasts while the image is used, and its end whatever is used.

Runs while old code serves: the defaults say that no notice depends on uses. Old code does not know the notice `while-used`, so that
the operator permits it when no old code runs any more.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_while_used"
down_revision = "2026_11_29_project_closings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for name in ("used_until", "least_ends_at"):
        op.add_column("endings", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
