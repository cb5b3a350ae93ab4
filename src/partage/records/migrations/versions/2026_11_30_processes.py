"""The processes that run, for the operator's view of the service.

Runs while old code serves: old code reports no process.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_processes"
down_revision = "2026_11_30_event_numbers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "processes",
        sa.Column("worker", sa.String(255)),
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("version", sa.String(80), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("worker", name="pk_processes"),
    )
