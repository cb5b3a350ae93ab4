"""Events that others caused have a budget of their own.

Runs while old code serves: events that old code records count as the project's own.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_events_by_others"
down_revision = "2026_11_29_event_keys"
branch_labels = None
depends_on = None

_OF_MEMBER = "project_id = member_id AND coalesce(owner, '') <> member_id AND coalesce(actor_project_id, '') <> member_id"
_OF_OWNER = "project_id = owner AND coalesce(member_id, owner) <> owner AND actor_project_id = member_id"


def upgrade() -> None:
    """Add the columns, and let the index of a project's events tell who caused them."""
    op.add_column("events", sa.Column("by_others", sa.Integer(), nullable=False, server_default="0"))
    op.execute(f"UPDATE events SET by_others = 1 WHERE ({_OF_MEMBER}) OR ({_OF_OWNER})")  # noqa: S608
    op.drop_index("ix_events_project_id_id", "events")
    op.create_index("ix_events_project_id_id", "events", ["project_id", "id", "by_others"])
    op.add_column("removed_events", sa.Column("others_last_id", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("webhooks", sa.Column("missed_at", sa.BigInteger()))
