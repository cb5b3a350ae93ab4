"""Rows of originals: contents whose bytes are, or were, in a store of Glance."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, case, delete, exists, func, insert, select, update

from partage.model.ids import ContentID, StoreID
from partage.model.original import CuttingProgress, Original
from partage.records import content_references
from partage.records.compiled import CompiledSelect
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.original_tables import originals
from partage.records.tables import contents

_COLUMNS = tuple(originals.c)
_IN_PLACE = CompiledSelect(
    select(*_COLUMNS).where(
        originals.c.content_id == bindparam("content_id"),
        originals.c.store_id == bindparam("store_id"),
        originals.c.cut_at.is_(None),
    )
)
_IS_LIVE = exists(select(contents.c.id).where(contents.c.id == originals.c.content_id))
_IS_NAMED = content_references.is_named(originals.c.content_id)


def find_in_place(tx: Transaction, content_id: ContentID, store_id: StoreID) -> Original | None:
    """Return the original from which a content is read in place of a store; None if the store has chunks."""
    row = _IN_PLACE.fetch_first(tx, {"content_id": content_id, "store_id": store_id})
    return None if row is None else _original(row)


def list_of_content(tx: Transaction, content_id: ContentID) -> list[Original]:
    """List the originals of a content, cut or not, by store."""
    statement = select(*_COLUMNS).where(originals.c.content_id == content_id).order_by(originals.c.store_id)
    return [_original(row) for row in tx.execute(statement)]


def list_uncut(tx: Transaction, *, after: ContentID | None, limit_rows: int) -> list[ContentID]:
    """List the contents that something names and that are not in chunks yet, by id, after that one."""
    statement = select(originals.c.content_id).where(originals.c.cut_at.is_(None), _IS_LIVE, _IS_NAMED).distinct()
    if after is not None:
        statement = statement.where(originals.c.content_id > after)
    return [ContentID(each) for each in tx.execute(statement.order_by(originals.c.content_id).limit(limit_rows)).scalars()]


def list_unneeded(tx: Transaction) -> list[Original]:
    """List the originals that nothing reads any more: their content is in chunks, or has been deleted here."""
    statement = select(*_COLUMNS).where(originals.c.cut_at.is_not(None) | ~_IS_LIVE)
    return [_original(row) for row in tx.execute(statement.order_by(originals.c.content_id, originals.c.store_id))]


def is_read_elsewhere(tx: Transaction, original: Original) -> bool:
    """Return whether another content that exists is read in place from the same URL, whatever Glance's store was named then."""
    same = (originals.c.url == original.url, originals.c.content_id != original.content_id)
    return tx.execute(select(originals.c.content_id).where(*same, originals.c.cut_at.is_(None), _IS_LIVE)).first() is not None


def measure_progress(tx: Transaction) -> CuttingProgress:
    """Count the contents that were taken over in place, and those that are in chunks by now. Deleted ones do not count."""
    each = (
        select(
            originals.c.content_id,
            func.max(originals.c.size).label("size"),
            func.min(case((originals.c.cut_at.is_(None), 0), else_=1)).label("is_cut"),
            func.max(case((originals.c.fault == "", 0), else_=1)).label("is_faulty"),
        )
        .where(_IS_LIVE, _IS_NAMED)
        .group_by(originals.c.content_id)
        .subquery("each")
    )
    counts: tuple[Any, ...] = (
        func.count(),
        func.sum(each.c.is_cut),
        func.sum(each.c.size),
        func.sum(each.c.size * each.c.is_cut),
        func.sum(each.c.is_faulty),
    )
    found = tx.execute(select(*counts).select_from(each)).one()
    contents_, cut, size_bytes, cut_bytes, faults = (int(value or 0) for value in found)
    return CuttingProgress(contents=contents_, cut_contents=cut, size_bytes=size_bytes, cut_bytes=cut_bytes, faults=faults)


def replace_all(tx: Transaction, content_id: ContentID, added: Sequence[Original]) -> None:
    """Write the originals of a content in place of those that it had."""
    tx.execute(delete(originals).where(originals.c.content_id == content_id))
    if added:
        tx.execute(insert(originals), [_row(each) for each in added])


def note_cut(tx: Transaction, content_id: ContentID, *, now: datetime) -> None:
    """Record that a content is in chunks of every store that it has an original of."""
    tx.execute(update(originals).where(originals.c.content_id == content_id).values(cut_at=to_microseconds(now), fault=""))


def note_fault(tx: Transaction, content_id: ContentID, fault: str) -> None:
    """Record why a content could not be cut, unless it was by now."""
    mine = (originals.c.content_id == content_id, originals.c.cut_at.is_(None))
    tx.execute(update(originals).where(*mine).values(fault=fault))


def remove(tx: Transaction, original: Original) -> None:
    """Delete the row of an original that is gone."""
    mine = (originals.c.content_id == original.content_id, originals.c.store_id == original.store_id)
    tx.execute(delete(originals).where(*mine))


def _row(original: Original) -> dict[str, object]:
    return {
        "content_id": original.content_id,
        "store_id": original.store_id,
        "place": original.place,
        "url": original.url,
        "size": original.size_bytes,
        "algorithm": original.algorithm,
        "digest": original.digest,
        "cut_at": None if original.cut_at is None else to_microseconds(original.cut_at),
        "fault": original.fault,
    }


def _original(row: Sequence[Any]) -> Original:
    content_id, store_id, place, url, size, algorithm, digest, cut_at, fault = row
    return Original(
        content_id=ContentID(content_id),
        store_id=StoreID(store_id),
        place=place,
        url=url,
        size_bytes=size,
        algorithm=algorithm,
        digest=digest,
        cut_at=None if cut_at is None else from_microseconds(cut_at),
        fault=fault,
    )
