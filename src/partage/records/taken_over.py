"""Rows of what was taken over from a Glance, so that a second run takes what changed."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import delete, select

from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.dialects import build_insert
from partage.records.original_tables import taken_over


class TakenKind(StrEnum):
    """What is taken over."""

    IMAGE = "image"
    MEMBERS = "members"
    """Of an image; the fingerprint is of those that it had here when it was written."""
    NAMESPACE = "namespace"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class Taken:
    """What Glance had at the last run, as a fingerprint, and the time of the row's last change when it was written here."""

    fingerprint: str
    written_at: datetime


def find_all(tx: Transaction, source: str, kind: TakenKind) -> dict[str, Taken]:
    """Return what was taken over from a Glance, by key."""
    mine = (taken_over.c.source == source, taken_over.c.kind == kind.value)
    rows = tx.execute(select(taken_over.c.key, taken_over.c.fingerprint, taken_over.c.written_at).where(*mine))
    return {key: Taken(fingerprint, from_microseconds(written_at)) for key, fingerprint, written_at in rows}


def find(tx: Transaction, source: str, kind: TakenKind, key: str) -> Taken | None:
    """Return the record of what was taken over from a Glance, or None."""
    mine = (taken_over.c.source == source, taken_over.c.kind == kind.value, taken_over.c.key == key)
    row = tx.execute(select(taken_over.c.fingerprint, taken_over.c.written_at).where(*mine)).first()
    return None if row is None else Taken(row.fingerprint, from_microseconds(row.written_at))


def note(tx: Transaction, source: str, kind: TakenKind, key: str, taken: Taken) -> None:
    """Record what was taken over."""
    values = {"fingerprint": taken.fingerprint, "written_at": to_microseconds(taken.written_at)}
    statement = build_insert(tx, taken_over).values(source=source, kind=kind.value, key=key, **values)
    tx.execute(statement.on_conflict_do_update(index_elements=["source", "kind", "key"], set_=values))


def remove(tx: Transaction, source: str, kind: TakenKind, key: str) -> None:
    """Delete the record of what Glance does not have any more."""
    mine = (taken_over.c.source == source, taken_over.c.kind == kind.value, taken_over.c.key == key)
    tx.execute(delete(taken_over).where(*mine))
