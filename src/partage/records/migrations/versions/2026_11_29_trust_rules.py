"""How projects answer offers, and offers that are hidden from their member.

Runs while old code serves: old code shows hidden offers, of which there are none before new code serves. It cannot use the new
indexes of members, so that its lists of shared images are slow until it is replaced.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_29_trust_rules"
down_revision = "2026_11_29_guards"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, add the columns, and restrict the indexes."""
    op.create_table(
        "trust_rules",
        sa.Column("project_id", sa.String(255)),
        sa.Column("kind", sa.String(10)),
        sa.Column("subject_id", sa.String(255)),
        sa.Column("answer", sa.String(10), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "kind", "subject_id", name="pk_trust_rules"),
    )
    op.add_column("members", sa.Column("hidden", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("members", sa.Column("offered_from", sa.String(255), nullable=False, server_default=""))
    op.drop_index("ix_members_member_status", "members")
    op.drop_index("ix_members_member", "members")
    shown, hidden = sa.text("hidden = 0"), sa.text("hidden = 1")
    for name, columns, where in (
        ("ix_members_member_status", ["member_id", "status", "image_created_at", "image_id"], shown),
        ("ix_members_member", ["member_id", "image_created_at", "image_id"], shown),
        ("ix_members_hidden", ["member_id", "image_id"], hidden),
    ):
        op.create_index(name, "members", columns, sqlite_where=where, postgresql_where=where)
