"""Rows of staged image data: put, find, remove."""

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, insert, select

from partage.model.ids import ContentID, ImageID, StoreID
from partage.records.database import Transaction
from partage.records.tables import contents, stagings

_FIND = (
    select(stagings.c.content_id, stagings.c.store_id, contents.c.size)
    .join(contents, contents.c.id == stagings.c.content_id)
    .where(stagings.c.image_id == bindparam("image_id"))
)


@dataclass(frozen=True, slots=True)
class Staging:
    """Bytes that wait to become an image's data, and the store in which they wait."""

    image_id: ImageID
    content_id: ContentID
    store_id: StoreID
    size_bytes: int


def put(tx: Transaction, staging: Staging) -> None:
    """Insert staged data, in the place of what was staged for the image before."""
    remove(tx, staging.image_id)
    row = {"image_id": staging.image_id, "content_id": staging.content_id, "store_id": staging.store_id}
    tx.execute(insert(stagings), row)


def find(tx: Transaction, image_id: ImageID) -> Staging | None:
    """Return what is staged for an image, or None."""
    row = tx.execute(_FIND, {"image_id": image_id}).first()
    return None if row is None else Staging(image_id, ContentID(row.content_id), StoreID(row.store_id), row.size)


def remove(tx: Transaction, image_id: ImageID) -> None:
    """Forget what is staged for an image; the sweep takes the bytes."""
    tx.execute(delete(stagings).where(stagings.c.image_id == image_id))
