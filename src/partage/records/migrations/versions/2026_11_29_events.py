"""What happened to images and shares.

Runs while old code serves: changes by old code have no event.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_events"
down_revision = "2026_11_29_uses"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite")),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("member_id", sa.String(255)),
        sa.Column("actor_project_id", sa.String(255)),
        sa.Column("actor_user_id", sa.String(255)),
        sa.Column("actor_is_operator", sa.Boolean(), nullable=False),
        sa.Column("request_id", sa.String(255)),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_project_id_id", "events", ["project_id", "id"])
    op.create_table(
        "removed_events",
        sa.Column("project_id", sa.String(255)),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name="pk_removed_events"),
    )
