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
    """Data that was uploaded for an import, and its store."""

    image_id: ImageID
    content_id: ContentID
    store_id: StoreID
    size_bytes: int


def put(tx: Transaction, staging: Staging) -> None:
    """Insert staged data, in place of earlier staged data of the image."""
    remove(tx, staging.image_id)
    row = {"image_id": staging.image_id, "content_id": staging.content_id, "store_id": staging.store_id}
    tx.execute(insert(stagings), row)


def find(tx: Transaction, image_id: ImageID) -> Staging | None:
    """Return the staged data of an image, or None."""
    row = tx.execute(_FIND, {"image_id": image_id}).first()
    return None if row is None else Staging(image_id, ContentID(row.content_id), StoreID(row.store_id), row.size)


def remove(tx: Transaction, image_id: ImageID) -> None:
    """Delete the row of an image's staged data; the sweep removes the bytes."""
    tx.execute(delete(stagings).where(stagings.c.image_id == image_id))
