"""Rows of reservations: quota reserved for arriving image data; and the usage of a project, reservations included.

A reservation ends with its upload (`records/uploads.py`), with its import task, or with its image. So recovery after a crash finds
every reservation.
"""

from datetime import datetime

import orjson
from sqlalchemy import and_, bindparam, delete, exists, func, insert, literal, or_, select, union_all, update

from partage.model import importing
from partage.model.ids import ImageID, ProjectID
from partage.model.image import RETAINED, ImageStatus
from partage.model.quota import Place, Usage
from partage.records.database import Transaction, to_microseconds
from partage.records.tables import endings, image_properties, images, reservations

_OWNED = images.c.owner == bindparam("owner")
_RETAINED_FOR = (
    images.c.owner == RETAINED,
    endings.c.image_id == images.c.id,
    endings.c.member_id == bindparam("owner"),
    endings.c.ends_at > bindparam("now"),
)
"""Mean "images that are retained for the project": each counts against the quota of every member whose notice runs."""
_COPYING = exists().where(
    image_properties.c.image_id == images.c.id,
    image_properties.c.name == importing.TO_STORES,
    image_properties.c.value != "",
)
_STAGED = or_(images.c.status.in_((ImageStatus.UPLOADING.value, ImageStatus.IMPORTING.value)), _COPYING)
_KEPT_FOR = exists().where(reservations.c.image_id == images.c.id)
_SIZED = and_(_OWNED, images.c.size > 0)
_HELD = or_(images.c.stores != "[]", images.c.location_references == "[]")
"""Mean "images whose bytes are here": what is only referred to, on the web, takes no room."""

# One statement, because it must see one moment: data that arrives between two would be counted in neither.
_USAGE = union_all(
    select(literal("held").label("kind"), images.c.stores.label("what"), func.sum(images.c.size).label("amount"))
    .where(_SIZED, _HELD)
    .group_by(images.c.stores),
    select(literal("held"), images.c.stores, func.sum(images.c.size))
    .where(*_RETAINED_FOR, images.c.size > 0, _HELD)
    .group_by(images.c.stores),
    select(literal("images"), literal(""), func.count()).select_from(images).where(*_RETAINED_FOR),
    select(literal("staged"), literal(""), func.sum(images.c.size)).where(_SIZED, _STAGED),
    select(literal("kept"), reservations.c.place, func.sum(reservations.c.bytes))
    .join(images, images.c.id == reservations.c.image_id)
    .where(_OWNED)
    .group_by(reservations.c.place),
    select(literal("images"), literal(""), func.count()).select_from(images).where(_OWNED),
    select(literal("uploading"), literal(""), func.count())
    .select_from(images)
    .where(_OWNED, or_(images.c.status == ImageStatus.SAVING.value, _STAGED, _KEPT_FOR)),
)
_OWNER = (
    select(images.c.owner, reservations.c.bytes)
    .join(images, images.c.id == reservations.c.image_id)
    .where(reservations.c.image_id == bindparam("image_id"), reservations.c.token == bindparam("token"))
)


def usage(tx: Transaction, project_id: ProjectID, *, now: datetime) -> Usage:
    """Add up a project's current usage, including images retained for it. Bytes count once for each store that has them."""
    counted = {"stored": 0, "lone": 0, "staged": 0, "images": 0, "uploading": 0, Place.STORED.value: 0, Place.STAGED.value: 0}
    kept = {"stored": 0, "staged": 0}
    for kind, what, amount in tx.execute(_USAGE, {"owner": project_id, "now": to_microseconds(now)}):
        found = int(amount or 0)
        if kind == "held":
            stores = len(orjson.loads(what))
            counted["stored"] += found * stores
            counted["lone"] += 0 if stores else found
        elif kind == "kept":
            kept[what] += found
        else:
            counted[kind] += found
    return Usage(
        stored_bytes=counted["stored"],
        lone_bytes=counted["lone"],
        staged_bytes=counted["staged"],
        kept_stored_bytes=kept["stored"],
        kept_staged_bytes=kept["staged"],
        images=counted["images"],
        uploading=counted["uploading"],
    )


def put(tx: Transaction, image_id: ImageID, token: str, *, place: Place, size_bytes: int) -> None:
    """Insert a reservation for an image's data."""
    tx.execute(insert(reservations), {"image_id": image_id, "token": token, "place": place.value, "bytes": size_bytes})


def resize(tx: Transaction, image_id: ImageID, token: str, *, size_bytes: int) -> bool:
    """Change the size of a reservation; return whether there still is one."""
    mine = (reservations.c.image_id == image_id, reservations.c.token == token)
    return tx.execute(update(reservations).where(*mine).values(bytes=size_bytes)).rowcount == 1


def find(tx: Transaction, image_id: ImageID, token: str) -> tuple[ProjectID | None, int] | None:
    """Return the owner of the image and the reserved bytes; None if there is no reservation with this token."""
    row = tx.execute(_OWNER, {"image_id": image_id, "token": token}).first()
    return None if row is None else (None if row.owner is None else ProjectID(row.owner), row.bytes)


def end(tx: Transaction, image_id: ImageID, token: str) -> None:
    """Delete the reservation with this token."""
    tx.execute(delete(reservations).where(reservations.c.image_id == image_id, reservations.c.token == token))
