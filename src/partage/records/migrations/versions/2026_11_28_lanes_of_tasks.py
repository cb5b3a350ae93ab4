"""Tasks have lanes: what is here already does not wait behind what comes from the web.

Runs while old code serves: its tasks get the lane of the web, which is right for most of them and wrong for none.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_28_lanes"
down_revision = "2026_11_28_store_identities"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the lane, and move what waits and needs nothing from the web."""
    op.add_column("tasks", sa.Column("lane", sa.String(10), nullable=False, server_default="web"))
    tasks = sa.table("tasks", sa.column("lane", sa.String), sa.column("type", sa.String), sa.column("input", sa.String))
    staged = tasks.c.input.like('%"name":"glance-direct"%')
    op.execute(tasks.update().where(tasks.c.type == "api_image_import", staged).values(lane="here"))
