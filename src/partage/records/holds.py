"""Rows of holds: while one is alive, sweeps remove no pack. A backup or a rebuilding of the index has one."""

from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update

from partage.records.database import Transaction, to_microseconds
from partage.records.tables import holds

SILENCE = timedelta(minutes=10)
"""A hold that was not renewed for this time has expired: its process died."""


def add(tx: Transaction, hold_id: str, reason: str, *, now: datetime) -> None:
    """Insert a hold, and delete expired holds."""
    tx.execute(delete(holds).where(holds.c.renewed_at < to_microseconds(now - SILENCE)))
    tx.execute(insert(holds), {"id": hold_id, "reason": reason, "renewed_at": to_microseconds(now)})


def renew(tx: Transaction, hold_id: str, *, now: datetime) -> bool:
    """Renew a hold; return False if it has expired and was deleted."""
    return tx.execute(update(holds).where(holds.c.id == hold_id).values(renewed_at=to_microseconds(now))).rowcount > 0


def remove(tx: Transaction, hold_id: str) -> None:
    """Delete a hold."""
    tx.execute(delete(holds).where(holds.c.id == hold_id))


def find_reason(tx: Transaction, *, now: datetime) -> str | None:
    """Return the reason of a hold that has not expired, or None."""
    alive = holds.c.renewed_at >= to_microseconds(now - SILENCE)
    return tx.execute(select(holds.c.reason).where(alive).limit(1)).scalar()
