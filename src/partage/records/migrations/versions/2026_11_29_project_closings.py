"""Projects that are to be closed.

Runs while old code serves: old code closes no project.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_project_closings"
down_revision = "2026_11_29_claim_codes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "project_closings",
        sa.Column("project_id", sa.String(255)),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name="pk_project_closings"),
    )
    op.create_index("ix_project_closings_due_at", "project_closings", ["due_at"])
