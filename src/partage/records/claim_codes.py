"""Rows of claim codes: find, list, count, add, take a use, remove.

A code that has expired is not found, whether or not its row has been removed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from partage.model.claim_code import ClaimCode, CodeID
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, Visibility
from partage.records import members
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.tables import claim_codes, images

_COLUMNS = (
    claim_codes.c.id,
    claim_codes.c.digest,
    claim_codes.c.image_id,
    claim_codes.c.created_at,
    claim_codes.c.valid_until,
    claim_codes.c.uses,
    claim_codes.c.uses_left,
    *(claim_codes.c[name] for name in members.TERMS),
)


def add(tx: Transaction, code: ClaimCode, image: Image) -> None:
    """Insert a code."""
    row = {
        "id": code.id,
        "digest": code.digest,
        "image_id": code.image_id,
        "owner": image.owner,
        "created_at": to_microseconds(code.created_at),
        "valid_until": to_microseconds(code.expires_at),
        "uses": code.uses,
        "uses_left": code.uses_left,
        **members.terms_row(code.terms),
    }
    tx.execute(insert(claim_codes), row)


def list_of_image(tx: Transaction, image_id: ImageID, *, now: datetime) -> list[ClaimCode]:
    """List an image's codes that have not expired, oldest first. For its owner."""
    statement = select(*_COLUMNS).where(claim_codes.c.image_id == image_id, _is_valid(now))
    return [_parse(row) for row in tx.execute(statement.order_by(claim_codes.c.created_at, claim_codes.c.id))]


def find_claimable(tx: Transaction, code_id: CodeID, *, now: datetime) -> ClaimCode | None:
    """Return a code, used up or not, if its image is shared and neither the code nor the share that it would make has expired."""
    statement = select(*_COLUMNS).join(images, images.c.id == claim_codes.c.image_id)
    open_ = (images.c.visibility == Visibility.SHARED.value, _is_valid(now), claim_codes.c.expires_at > to_microseconds(now))
    row = tx.execute(statement.where(claim_codes.c.id == code_id, *open_)).first()
    return None if row is None else _parse(row)


def take_use(tx: Transaction, code_id: CodeID) -> bool:
    """Take one of the uses that are left; return whether there was one."""
    statement = update(claim_codes).where(claim_codes.c.id == code_id, claim_codes.c.uses_left > 0)
    return tx.execute(statement.values(uses_left=claim_codes.c.uses_left - 1)).rowcount == 1


def count_of_project(tx: Transaction, owner: ProjectID | None, *, now: datetime) -> int:
    """Count the codes of a project's images that have not expired; None counts those of images without an owner."""
    statement = select(func.count()).select_from(claim_codes)
    return int(tx.execute(statement.where(claim_codes.c.owner == owner, _is_valid(now))).scalar_one())


def remove(tx: Transaction, image_id: ImageID, code_id: CodeID, *, now: datetime) -> bool:
    """Delete a code of an image; return whether there was one that had not expired."""
    of = (claim_codes.c.image_id == image_id, claim_codes.c.id == code_id)
    return tx.execute(delete(claim_codes).where(*of, _is_valid(now))).rowcount == 1


def remove_expired(tx: Transaction, *, now: datetime) -> int:
    """Delete the codes that have expired; return how many."""
    return tx.execute(delete(claim_codes).where(claim_codes.c.valid_until <= to_microseconds(now))).rowcount


def _is_valid(now: datetime) -> ColumnElement[bool]:
    return claim_codes.c.valid_until > to_microseconds(now)


def _parse(row: Sequence[Any]) -> ClaimCode:
    code_id, digest, image_id, created_at, valid_until, uses, uses_left, *terms = row
    return ClaimCode(
        id=CodeID(code_id),
        digest=digest,
        image_id=ImageID(image_id),
        created_at=from_microseconds(created_at),
        expires_at=from_microseconds(valid_until),
        uses=uses,
        uses_left=uses_left,
        terms=members.terms_of(*terms),
    )
