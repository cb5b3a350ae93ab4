"""The owner of the image beside each share, so that a list of offered shares walks an index.

Runs while old code serves: shares that old code makes lack the owner until the next housekeeping.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_owners"
down_revision = "2026_11_29_shares"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add and fill the columns, and replace the index."""
    op.drop_index("ix_images_former_owner", "images")
    for name in ("members", "endings"):
        op.add_column(name, sa.Column("owner", sa.String(255)))
        op.execute(
            f"UPDATE {name} SET owner = (SELECT coalesce(former_owner, owner) FROM images WHERE images.id = {name}.image_id)"  # noqa: S608 -- constants
        )
        op.create_index(f"ix_{name}_owner", name, ["owner", "image_created_at", "image_id", "member_id"])
    op.create_index("ix_members_owner_status", "members", ["owner", "status", "image_created_at", "image_id", "member_id"])
