"""Note with each image how many bytes its tags and properties take.

Runs while old code serves: old code does not count, and a page with its images may have more bytes.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_28_details"
down_revision = "2026_11_24"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the number, and count for the images that there are."""
    op.add_column("images", sa.Column("details_bytes", sa.Integer(), nullable=False, server_default="0"))
    if op.get_bind().dialect.name == "sqlite":
        op.execute("UPDATE images SET details_bytes = length(CAST(tags AS BLOB)) + length(CAST(properties AS BLOB))")
    else:
        op.execute("UPDATE images SET details_bytes = octet_length(tags) + octet_length(properties)")
