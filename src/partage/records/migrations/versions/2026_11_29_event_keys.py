"""The key of the cursors of events.

Runs while old code serves: old code writes positions as numbers, which the new code refuses.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_event_keys"
down_revision = "2026_11_29_webhooks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table with its only row."""
    table = op.create_table(
        "event_keys",
        sa.Column("number", sa.Integer()),
        sa.Column("key", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_event_keys"),
    )
    op.bulk_insert(table, [{"number": 1, "key": secrets.token_hex(16)}])
