"""Rows of images that were deleted and wait to be scrubbed: add, take back, remove."""

from collections.abc import Sequence
from datetime import datetime

import orjson
from sqlalchemy import bindparam, delete, insert, select

from partage.model.ids import ContentID, ImageID, ProjectID
from partage.model.image import Image
from partage.model.member import Member, MemberStatus
from partage.records import images
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.tables import deleted_images, pending_deletes

_FIND = select(pending_deletes.c.image, pending_deletes.c.members).where(pending_deletes.c.image_id == bindparam("id"))
_DUE = select(pending_deletes.c.image_id).where(pending_deletes.c.deleted_at <= bindparam("moment")).limit(1)


def add(tx: Transaction, image: Image, members: Sequence[Member], *, now: datetime) -> None:
    """Keep an image as it is, with its members, and its id with it; its own row goes by `images.set_aside`."""
    row = {
        "image_id": image.id,
        "deleted_at": to_microseconds(now),
        "content_id": image.content_id,
        "stores": orjson.dumps(image.stores).decode(),
        "image": images.encode(image),
        "members": orjson.dumps([_encoded(each) for each in members]).decode(),
    }
    tx.execute(insert(pending_deletes), row)


def take(tx: Transaction, image_id: ImageID) -> tuple[Image, list[Member]] | None:
    """Return an image that waits, with its members, and let it wait no longer; None when it does not."""
    row = tx.execute(_FIND.with_for_update(), {"id": image_id}).first()
    if row is None:
        return None
    tx.execute(delete(pending_deletes).where(pending_deletes.c.image_id == image_id))
    return images.decode(row.image), [_decoded(image_id, *each) for each in orjson.loads(row.members)]


def are_due(tx: Transaction, moment: datetime) -> bool:
    """Say whether any image was deleted at that moment or before."""
    return tx.execute(_DUE, {"moment": to_microseconds(moment)}).first() is not None


def remove(tx: Transaction, *, deleted_before: datetime) -> int:
    """Forget the images that were deleted at that moment or before, all but their ids; return how many."""
    due = select(pending_deletes.c.image_id, pending_deletes.c.deleted_at).where(
        pending_deletes.c.deleted_at <= to_microseconds(deleted_before)
    )
    # Locked in one order, so that of two that scrub at once the second finds nothing.
    found = [{"id": row.image_id, "deleted_at": row.deleted_at}
             for row in tx.execute(due.order_by(pending_deletes.c.image_id).with_for_update())]  # fmt: skip
    if found:
        tx.execute(insert(deleted_images), found)
        tx.execute(
            delete(pending_deletes).where(pending_deletes.c.image_id == bindparam("gone")), [{"gone": each["id"]} for each in found]
        )
    return len(found)


def naming_content(tx: Transaction, content_id: ContentID) -> list[Image]:
    """List the images that wait and whose bytes are this content; for verification."""
    statement = select(pending_deletes.c.image).where(pending_deletes.c.content_id == content_id)
    return [images.decode(each) for each in tx.execute(statement).scalars()]


def _encoded(member: Member) -> tuple[str, str, int, int]:
    return member.member_id, member.status.value, to_microseconds(member.created_at), to_microseconds(member.updated_at)


def _decoded(image_id: ImageID, member_id: str, status: str, created_at: int, updated_at: int) -> Member:
    return Member(
        image_id=image_id,
        member_id=ProjectID(member_id),
        status=MemberStatus(status),
        created_at=from_microseconds(created_at),
        updated_at=from_microseconds(updated_at),
    )
