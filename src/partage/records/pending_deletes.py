"""Rows of soft-deleted images, which wait to be scrubbed."""

from collections.abc import Sequence
from datetime import datetime

import orjson
from sqlalchemy import bindparam, delete, insert, select

from partage.model.caller import Caller
from partage.model.ids import ContentID, ImageID, ProjectID
from partage.model.image import Image
from partage.model.member import Member
from partage.records import guards, images, members, uses
from partage.records.database import Transaction, to_microseconds
from partage.records.tables import deleted_images, pending_deletes

_FIND = select(pending_deletes.c.image, pending_deletes.c.members).where(pending_deletes.c.image_id == bindparam("id"))
_DUE = select(pending_deletes.c.image_id).where(pending_deletes.c.deleted_at <= bindparam("moment")).limit(1)


def add(
    tx: Transaction, image: Image, its_members: Sequence[Member], *, now: datetime, restorable_by: ProjectID | None = None
) -> None:
    """Keep an image's row, members and id as a pending delete; `images.soft_delete` removes its own row.

    `restorable_by` is the project that can restore it; None: only operators can.
    """
    row = {
        "image_id": image.id,
        "deleted_at": to_microseconds(now),
        "content_id": image.content_id,
        "stores": orjson.dumps(image.stores).decode(),
        "image": images.encode(image),
        "members": members.encode(its_members),
        "restorable_by": restorable_by,
    }
    tx.execute(insert(pending_deletes), row)


def find_restorable(tx: Transaction, caller: Caller, image_id: ImageID, *, deleted_after: datetime) -> Image | None:
    """Return a soft-deleted image that was deleted after a time, if the caller's project can restore it; to administrators any."""
    conditions = [pending_deletes.c.image_id == image_id, pending_deletes.c.deleted_at > to_microseconds(deleted_after)]
    if not caller.is_admin:
        conditions.append(pending_deletes.c.restorable_by == caller.project_id)
    found = tx.execute(select(pending_deletes.c.image).where(*conditions)).scalar_one_or_none()
    return None if found is None else images.decode(found)


def take(tx: Transaction, image_id: ImageID) -> tuple[Image, list[Member]] | None:
    """Delete the row of a soft-deleted image and return the image with its members; None if there is no row."""
    row = tx.execute(_FIND.with_for_update(), {"id": image_id}).first()
    if row is None:
        return None
    tx.execute(delete(pending_deletes).where(pending_deletes.c.image_id == image_id))
    return images.decode(row.image), members.decode(image_id, row.members)


def are_due(tx: Transaction, moment: datetime) -> bool:
    """Return whether any image was deleted at this time or before."""
    return tx.execute(_DUE, {"moment": to_microseconds(moment)}).first() is not None


def remove(tx: Transaction, *, deleted_before: datetime) -> int:
    """Delete the rows of images that were deleted at this time or before, but keep their ids; return how many."""
    due = select(pending_deletes.c.image_id, pending_deletes.c.deleted_at).where(
        pending_deletes.c.deleted_at <= to_microseconds(deleted_before)
    )
    # Locked in one order, so that the second of two concurrent scrubs finds nothing.
    found = [{"id": row.image_id, "deleted_at": row.deleted_at}
             for row in tx.execute(due.order_by(pending_deletes.c.image_id).with_for_update())]  # fmt: skip
    if found:
        tx.execute(insert(deleted_images), found)
        tx.execute(
            delete(pending_deletes).where(pending_deletes.c.image_id == bindparam("gone")), [{"gone": each["id"]} for each in found]
        )
        gone = [each["id"] for each in found]
        uses.remove_all(tx, gone)
        guards.remove_all(tx, gone)
    return len(found)


def list_by_content(tx: Transaction, content_id: ContentID) -> list[Image]:
    """List the soft-deleted images whose data is this content; for verification."""
    statement = select(pending_deletes.c.image).where(pending_deletes.c.content_id == content_id)
    return [images.decode(each) for each in tx.execute(statement).scalars()]
