"""Tables of events and of the webhooks to which they are sent. Only definitions, as in `tables.py`."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from partage.records.metadata import metadata

# What happened to images and shares: one row for each project that may know of it, in the transaction of the change. `id` grows in
# the order in which rows become visible, see records/events.py; SQLite must not reuse those of removed rows. `project_id` is empty
# for images of nobody. The actor is complete in every row; who may see what of it is decided when it is read.
events = Table(
    "events",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("type", String(40), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("image_id", String(36), nullable=False),
    Column("owner", String(255)),
    Column("member_id", String(255)),
    Column("actor_project_id", String(255)),
    Column("actor_user_id", String(255)),
    Column("actor_is_operator", Boolean, nullable=False),
    Column("request_id", String(255)),
    Column("data", Text, nullable=False),
    # 1: another project caused it. Such events have a budget of their own.
    Column("by_others", Integer, nullable=False, server_default="0"),
    Index("ix_events_project_id_id", "project_id", "id", "by_others"),
    sqlite_autoincrement=True,
)

# The highest id of an event: the only row, and only on MariaDB, see records/event_numbers.py.
event_numbers = Table(
    "event_numbers",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("highest", BigInteger, nullable=False),
)

# Up to which id a project's events have been removed: all, and those that others caused. A reader that has not come so far has
# missed some.
removed_events = Table(
    "removed_events",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("last_id", BigInteger, nullable=False),
    Column("others_last_id", BigInteger, nullable=False, server_default="0"),
)

# The key of the cursors of events, in hexadecimal: the only row.
event_keys = Table(
    "event_keys",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("key", String(32), nullable=False),
)

# URLs to which a project's events are sent. `position` is the id of the last event that was delivered. `claim` distinguishes the
# worker that sends its events, until `claimed_until`.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", String(255), nullable=False),
    Column("description", String(255), nullable=False),
    Column("status", String(20), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("failing_since", BigInteger),
    Column("last_error", Text),
    Column("delivered_at", BigInteger),
    Column("missed_at", BigInteger),
    Column("claim", String(36)),
    Column("claimed_until", BigInteger, nullable=False),
    Index("ix_webhooks_project_id_created_at", "project_id", "created_at"),
    Index("ix_webhooks_status_due_at", "status", "due_at"),
)
