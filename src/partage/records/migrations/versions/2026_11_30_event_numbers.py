"""The highest id of an event, from which MariaDB takes the next one.

Runs while old code serves: only a new table, and no release before this one ran on MariaDB.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_event_numbers"
down_revision = "2026_11_30_endings_by_status"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "event_numbers",
        sa.Column("number", sa.Integer(), autoincrement=False),
        sa.Column("highest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_event_numbers"),
    )
