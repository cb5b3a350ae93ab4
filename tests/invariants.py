"""What holds of images after every statement of every story, whatever a test is about: triggers in the suites' SQLite databases.

A statement that breaks one of these fails, and with it the request or task that made it. Numbers T-… are those of docs/security.md.
"""

from sqlalchemy import text

from partage.records.database import Database

FOLLOWING = {
    "queued": ("saving", "uploading", "importing", "active", "deleted"),
    "saving": ("active", "killed", "deleted", "queued"),
    "uploading": ("importing", "queued", "deleted"),
    "importing": ("active", "deleted", "queued"),
    "active": ("pending_delete", "deleted", "deactivated"),
    "deactivated": ("active", "deleted"),
    "pending_delete": ("deleted", "active"),
    "killed": ("deleted",),
}
"""Status to those that may follow it, written down from the Image API's status machine and not from this program (T-11)."""

_LEGAL = ", ".join(f"'{was}>{becomes}'" for was, those in FOLLOWING.items() for becomes in those)
_HAS_DATA = "('active', 'deactivated')"

TRIGGERS = {
    "T-11: a change of status that the API does not have": (
        "UPDATE OF status ON images WHEN OLD.status <> NEW.status AND (OLD.status || '>' || NEW.status) NOT IN (" + _LEGAL + ")"
    ),
    "T-08: an image that has data got other data": (
        f"UPDATE ON images WHEN OLD.status IN {_HAS_DATA} AND NEW.status IN {_HAS_DATA} AND OLD.os_hash_value IS NOT NULL "
        "AND (OLD.os_hash_value IS NOT NEW.os_hash_value OR OLD.size IS NOT NEW.size "
        "OR (OLD.checksum IS NOT NULL AND OLD.checksum IS NOT NEW.checksum))"
    ),
    "T-82: an active image without size or digest": (
        "UPDATE ON images WHEN NEW.status = 'active' AND (NEW.size IS NULL "
        "OR (NEW.location_references = '[]' AND (NEW.checksum IS NULL OR NEW.os_hash_value IS NULL)))"
    ),
    "T-12: an id that was in use is given out again": (
        "INSERT ON images WHEN EXISTS (SELECT 1 FROM deleted_images WHERE deleted_images.id = NEW.id)"
    ),
    "T-12: an id that was in use is forgotten": "DELETE ON deleted_images",
}
"""What must not happen, to the statement that would make it happen."""


def watch(database: Database) -> None:
    """Let the database refuse what must not happen. PostgreSQL's is left alone: the stories are the same."""
    if database.dialect != "sqlite":
        return
    with database.write() as tx:
        for number, (words, when) in enumerate(TRIGGERS.items()):
            then = f"BEGIN SELECT RAISE(ABORT, '{words}'); END"
            tx.execute(text(f"CREATE TRIGGER IF NOT EXISTS watch_{number} BEFORE {when} {then}"))
