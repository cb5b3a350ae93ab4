"""Rows of guards: images whose guard is not just the operator's default.

Rows have no foreign key to `images`: they outlive an image that can be restored. `images.remove` and `pending_deletes.remove` call
`remove_all`.
"""

from collections.abc import Collection

from sqlalchemy import bindparam, delete, insert, select

from partage.model.guard import Guard, GuardMode, PendingSwitch
from partage.model.ids import ImageID
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.tables import guards

_DEFAULT = "default"
_FIND = select(guards.c.override, guards.c.pending, guards.c.pending_at).where(guards.c.image_id == bindparam("image_id"))


def find(tx: Transaction, image_id: ImageID, default: GuardMode) -> Guard:
    """Return the guard of an image, with the operator's default."""
    row = tx.execute(_FIND, {"image_id": image_id}).first()
    if row is None:
        return Guard(default=default)
    pending = None if row.pending is None else PendingSwitch(_parse(row.pending), from_microseconds(row.pending_at))
    return Guard(default=default, override=_parse(row.override), pending=pending)


def save(tx: Transaction, image_id: ImageID, guard: Guard) -> None:
    """Write the guard of an image that is locked."""
    remove_all(tx, [image_id])
    if guard.override is None and guard.pending is None:
        return
    pending = guard.pending
    row = {
        "image_id": image_id,
        "override": guard.override or _DEFAULT,
        "pending": None if pending is None else pending.override or _DEFAULT,
        "pending_at": None if pending is None else to_microseconds(pending.at),
    }
    tx.execute(insert(guards), row)


def remove_all(tx: Transaction, image_ids: Collection[ImageID]) -> None:
    """Delete the guards of images that are gone for good."""
    tx.execute(delete(guards).where(guards.c.image_id == bindparam("gone")), [{"gone": each} for each in image_ids])


def _parse(stored: str) -> GuardMode | None:
    return None if stored == _DEFAULT else GuardMode(stored)
