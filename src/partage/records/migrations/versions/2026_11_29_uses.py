"""The servers and volumes that depend on images, and when each project used an image last.

Runs while old code serves: old code records no uses, and leaves the rows of images that it deletes.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_uses"
down_revision = "2026_11_29_adoptions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "uses",
        sa.Column("image_id", sa.String(36)),
        sa.Column("project_id", sa.String(255)),
        sa.Column("kind", sa.String(10)),
        sa.Column("use_id", sa.String(64)),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "project_id", "kind", "use_id", name="pk_uses"),
    )
    op.create_index("ix_uses_kind_use_id", "uses", ["kind", "use_id"])
    op.create_table(
        "last_uses",
        sa.Column("image_id", sa.String(36)),
        sa.Column("project_id", sa.String(255)),
        sa.Column("used_at", sa.BigInteger()),
        sa.Column("downloaded_at", sa.BigInteger()),
        sa.Column("exceeded_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("image_id", "project_id", name="pk_last_uses"),
    )
    op.create_table(
        "ended_uses",
        sa.Column("kind", sa.String(10)),
        sa.Column("use_id", sa.String(64)),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "use_id", name="pk_ended_uses"),
    )
    op.create_index("ix_ended_uses_ended_at", "ended_uses", ["ended_at"])
