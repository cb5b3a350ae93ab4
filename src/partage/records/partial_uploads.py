"""Rows of resumable uploads and of their parts: begin, find, claim, add a part, complete, remove."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, exists, func, insert, select, update

from partage.model.ids import ContentID, ImageID, ProjectID, StoreID
from partage.model.image import ImageStatus
from partage.model.partial_upload import PartialUpload
from partage.records import reservations
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.partial_upload_tables import partial_uploads, upload_parts
from partage.records.tables import contents, images, uploads

_FIND = select(partial_uploads).where(partial_uploads.c.image_id == bindparam("image_id"))
_PARTS = (
    select(upload_parts.c.start, upload_parts.c.content_id, contents.c.size)
    .join(contents, contents.c.id == upload_parts.c.content_id)
    .where(upload_parts.c.image_id == bindparam("image_id"))
    .order_by(upload_parts.c.start)
)
_IS_WRITTEN = exists(
    select(uploads.c.image_id).where(uploads.c.image_id == partial_uploads.c.image_id, uploads.c.token == partial_uploads.c.claim)
)
_WAITING = (ImageStatus.QUEUED.value, ImageStatus.SAVING.value, ImageStatus.UPLOADING.value, ImageStatus.IMPORTING.value)
_ENDED = (
    select(partial_uploads.c.image_id)
    .join(images, images.c.id == partial_uploads.c.image_id)
    .where(
        (partial_uploads.c.touched_at <= bindparam("before"))
        | (partial_uploads.c.completed_at.is_(None) & images.c.status.not_in(_WAITING)),
        ~_IS_WRITTEN,
    )
)
_LIST_ENDED = _ENDED.order_by(partial_uploads.c.image_id).limit(bindparam("limit_rows"))
_HAS_ENDED = _ENDED.where(partial_uploads.c.image_id == bindparam("image_id"))


@dataclass(frozen=True, slots=True)
class UploadPart:
    """A part: where it starts in the image data, and its content."""

    start: int
    content_id: ContentID
    size_bytes: int


def begin(tx: Transaction, upload: PartialUpload) -> None:
    """Insert an upload."""
    row = {
        "image_id": upload.image_id,
        "id": upload.id,
        "store_id": upload.store_id,
        "offset_bytes": upload.offset_bytes,
        "length_bytes": upload.length_bytes,
        "parts": upload.parts,
        "claim": upload.claim,
        "is_completing": upload.is_completing,
        "touched_at": to_microseconds(upload.touched_at),
        "completed_at": None,
    }
    tx.execute(insert(partial_uploads), row)


def find(tx: Transaction, image_id: ImageID) -> PartialUpload | None:
    """Return the upload of an image's data, or None."""
    row = tx.execute(_FIND, {"image_id": image_id}).first()
    return None if row is None else _decode(row)


def count_of_project(tx: Transaction, owner: ProjectID | None) -> int:
    """Count the unfinished uploads to images of a project; None: to images without owner."""
    statement = select(func.count()).select_from(partial_uploads.join(images, images.c.id == partial_uploads.c.image_id))
    condition = images.c.owner.is_not_distinct_from(owner)
    return int(tx.execute(statement.where(condition, partial_uploads.c.completed_at.is_(None))).scalar_one())


def is_written(tx: Transaction, upload: PartialUpload) -> bool:
    """Return whether a request writes to the upload, or completes it."""
    statement = select(uploads.c.image_id).where(uploads.c.image_id == upload.image_id, uploads.c.token == upload.claim)
    return tx.execute(statement).first() is not None


def claim(tx: Transaction, image_id: ImageID, token: str, *, length_bytes: int | None, is_completing: bool) -> None:
    """Record the request that writes to the upload from now on, and the length of all image data if that is known."""
    values = {"claim": token, "length_bytes": length_bytes, "is_completing": is_completing}
    tx.execute(update(partial_uploads).where(partial_uploads.c.image_id == image_id).values(values))


def add_part(tx: Transaction, upload: PartialUpload, content_id: ContentID, *, size_bytes: int, now: datetime) -> None:
    """Insert the part that follows those of `upload`, and advance the offset behind it."""
    row = {
        "image_id": upload.image_id,
        "start": upload.offset_bytes,
        "content_id": content_id,
        "store_id": upload.store_id,
    }
    tx.execute(insert(upload_parts), row)
    values = {
        "offset_bytes": upload.offset_bytes + size_bytes,
        "parts": upload.parts + 1,
        "touched_at": to_microseconds(now),
    }
    tx.execute(update(partial_uploads).where(partial_uploads.c.image_id == upload.image_id).values(values))


def list_parts(tx: Transaction, image_id: ImageID) -> Sequence[UploadPart]:
    """List the parts of an upload in their order."""
    rows = tx.execute(_PARTS, {"image_id": image_id})
    return [UploadPart(row.start, ContentID(row.content_id), row.size) for row in rows]


def complete(tx: Transaction, upload: PartialUpload, *, now: datetime) -> None:
    """Record that the image has the data: the parts go, with the reservation, and the row stays until it expires."""
    tx.execute(delete(upload_parts).where(upload_parts.c.image_id == upload.image_id))
    values = {"completed_at": to_microseconds(now), "touched_at": to_microseconds(now)}
    tx.execute(update(partial_uploads).where(partial_uploads.c.image_id == upload.image_id).values(values))
    reservations.end(tx, upload.image_id, upload.id)


def remove(tx: Transaction, upload: PartialUpload) -> None:
    """Delete an upload with its parts and its reservation; the sweep removes the bytes."""
    tx.execute(delete(upload_parts).where(upload_parts.c.image_id == upload.image_id))
    tx.execute(delete(partial_uploads).where(partial_uploads.c.image_id == upload.image_id))
    reservations.end(tx, upload.image_id, upload.id)


def list_ended(tx: Transaction, *, touched_before: datetime, limit_rows: int) -> list[ImageID]:
    """List images with an upload to remove: it has expired, or the image got other data. None to which a request writes."""
    given = {"before": to_microseconds(touched_before), "limit_rows": limit_rows}
    return [ImageID(row.image_id) for row in tx.execute(_LIST_ENDED, given)]


def has_ended(tx: Transaction, image_id: ImageID, *, touched_before: datetime) -> bool:
    """Return whether an image has an upload to remove, as `list_ended` lists them."""
    given = {"before": to_microseconds(touched_before), "image_id": image_id}
    return tx.execute(_HAS_ENDED, given).first() is not None


def _decode(row: Row[Any]) -> PartialUpload:
    return PartialUpload(
        image_id=ImageID(row.image_id),
        id=row.id,
        store_id=StoreID(row.store_id),
        touched_at=from_microseconds(row.touched_at),
        offset_bytes=row.offset_bytes,
        length_bytes=row.length_bytes,
        parts=row.parts,
        claim=row.claim,
        is_completing=row.is_completing,
        completed_at=None if row.completed_at is None else from_microseconds(row.completed_at),
    )
