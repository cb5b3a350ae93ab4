"""Indexes that find a project's ended shares by their status.

Runs while old code serves: no row changes. The table has one row for each notice that runs.
"""

from alembic import op

revision = "2026_11_30_endings_by_status"
down_revision = "2026_11_29_maintenance"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes."""
    op.create_index("ix_endings_owner_status", "endings", ["owner", "status", "image_created_at", "image_id", "member_id"])
    op.create_index("ix_endings_member_status", "endings", ["member_id", "status", "image_created_at", "image_id"])
