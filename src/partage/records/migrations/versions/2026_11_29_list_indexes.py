"""Indexes for the filters and orders of image lists.

Runs while old code serves: no row changes. The indexes are created in the transaction of the upgrade, in which CONCURRENTLY is not
possible, so on PostgreSQL no image changes meanwhile. An operator of a large database creates them before the upgrade, with
CONCURRENTLY and the same names; the upgrade then leaves them.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_list_indexes"
down_revision = "2026_11_29_events_by_others"
branch_labels = None
depends_on = None

_INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ix_images_owner_status": ("images", ("owner", "status", "created_at", "id")),
    "ix_images_owner_disk_format": ("images", ("owner", "coalesce(disk_format, '')", "created_at", "id")),
    "ix_images_owner_size": ("images", ("owner", "coalesce(size, -1)", "created_at", "id")),
    "ix_images_owner_updated_at": ("images", ("owner", "updated_at", "created_at", "id")),
    "ix_images_owner_hidden": ("images", ("owner", "created_at", "id")),
    "ix_images_owner_protected": ("images", ("owner", "created_at", "id")),
    "ix_images_name": ("images", ("coalesce(name, '')",)),
    "ix_images_checksum": ("images", ("checksum",)),
    "ix_images_os_hash_value": ("images", ("substr(os_hash_value, 1, 64)",)),
    "ix_image_tags_tag": ("image_tags", ("tag", "image_id")),
    "ix_image_properties_name_value": ("image_properties", ("name", "substr(value, 1, 64)", "image_id")),
}
_TRUE = {"sqlite": "1", "postgresql": "true"}
_PARTIAL = {
    "ix_images_owner_hidden": "os_hidden = {}",
    "ix_images_owner_protected": "protected = {}",
    "ix_images_checksum": "checksum IS NOT NULL",
    "ix_images_os_hash_value": "os_hash_value IS NOT NULL",
}


def upgrade() -> None:
    """Create the indexes that do not exist."""
    for name, (table, columns) in _INDEXES.items():
        condition = _PARTIAL.get(name, "").format(_TRUE.get(op.get_bind().dialect.name, "true"))
        where: dict[str, Any] = {f"{dialect}_where": sa.text(condition) for dialect in _TRUE} if condition else {}
        op.create_index(name, table, [sa.text(each) for each in columns], if_not_exists=True, **where)
