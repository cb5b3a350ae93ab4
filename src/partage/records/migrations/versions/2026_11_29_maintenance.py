"""Maintenance jobs: the lease of the worker that runs each, and its last run.

Runs while old code serves: old code maintains nothing by itself, and does not look at the table.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_maintenance"
down_revision = "2026_11_29_restorable_by"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "maintenance",
        sa.Column("job", sa.String(20)),
        sa.Column("token", sa.String(36)),
        sa.Column("worker", sa.String(255)),
        sa.Column("renewed_at", sa.BigInteger()),
        sa.Column("started_at", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("succeeded_at", sa.BigInteger()),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("outcome", sa.String(20)),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("cursor", sa.String(80), nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("job", name="pk_maintenance"),
    )
