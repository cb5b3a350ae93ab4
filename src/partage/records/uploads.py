"""Rows of running uploads. The heartbeat of a row tells a crashed upload from a running one; its token, an old one from a new."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, select, update

from partage.model.ids import ImageID, ProjectID
from partage.records import reservations
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.tables import images, uploads


@dataclass(frozen=True, slots=True)
class UploadRow:
    """One upload: the worker that runs it, and the time of its last heartbeat."""

    image_id: ImageID
    token: str
    worker: str
    renewed_at: datetime


def begin(tx: Transaction, upload: UploadRow) -> None:
    """Insert an upload, in the transaction that makes its image `saving`."""
    row = {
        "image_id": upload.image_id,
        "token": upload.token,
        "worker": upload.worker,
        "renewed_at": to_microseconds(upload.renewed_at),
    }
    tx.execute(insert(uploads), row)


def count_of_project(tx: Transaction, owner: ProjectID | None) -> int:
    """Count the running uploads to images of a project; None: to images without owner."""
    statement = select(func.count()).select_from(uploads.join(images, images.c.id == uploads.c.image_id))
    return int(tx.execute(statement.where(images.c.owner.is_not_distinct_from(owner))).scalar_one())


def end(tx: Transaction, image_id: ImageID, token: str) -> bool:
    """Delete an upload and its reservation; return whether there still was this upload.

    There is none if the image was deleted or the upload was recovered as crashed.
    """
    if tx.execute(delete(uploads).where(uploads.c.image_id == image_id, uploads.c.token == token)).rowcount != 1:
        return False
    reservations.end(tx, image_id, token)
    return True


def renew(tx: Transaction, worker: str, *, now: datetime) -> int:
    """Renew the heartbeat of a worker's uploads; return how many there are."""
    return tx.execute(update(uploads).where(uploads.c.worker == worker).values(renewed_at=to_microseconds(now))).rowcount


def rewrite(tx: Transaction, tokens: Collection[str]) -> None:
    """Rewrite the rows of uploads unchanged: proves that this process can write, and so would see a renewal."""
    tx.execute(update(uploads).where(uploads.c.token.in_(tokens)).values(renewed_at=uploads.c.renewed_at))


def list_uploads(tx: Transaction, image_id: ImageID | None = None) -> list[UploadRow]:
    """List the running uploads, of one image or of all."""
    statement = select(uploads.c.image_id, uploads.c.token, uploads.c.worker, uploads.c.renewed_at)
    if image_id is not None:
        statement = statement.where(uploads.c.image_id == image_id)
    return [
        UploadRow(ImageID(found), token, worker, from_microseconds(renewed_at))
        for found, token, worker, renewed_at in tx.execute(statement)
    ]
