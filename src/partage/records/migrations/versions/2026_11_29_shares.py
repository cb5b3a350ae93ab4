"""The terms of shares that have ended, when offers were answered, and remembered requests.

Runs while old code serves: old code leaves the new columns at their defaults.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_shares"
down_revision = "2026_11_29_status"
branch_labels = None
depends_on = None

_NEVER = str(2**63 - 1)
_RETAINED = sa.text("former_owner IS NOT NULL")


def upgrade() -> None:
    """Add the columns, the table and an index of retained images."""
    op.add_column("members", sa.Column("answered_at", sa.BigInteger()))
    op.add_column("endings", sa.Column("notice_seconds", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("endings", sa.Column("expires_at", sa.BigInteger(), nullable=False, server_default=_NEVER))
    op.add_column("endings", sa.Column("message", sa.Text(), nullable=False, server_default=""))
    op.add_column("endings", sa.Column("offered_at", sa.BigInteger()))
    op.add_column("endings", sa.Column("answered_at", sa.BigInteger()))
    op.create_index(
        "ix_images_former_owner",
        "images",
        ["former_owner", "created_at", "id"],
        sqlite_where=_RETAINED,
        postgresql_where=_RETAINED,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("project_id", sa.String(255)),
        sa.Column("key", sa.String(255)),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_project_created_at", "idempotency_keys", ["project_id", "created_at"])
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
