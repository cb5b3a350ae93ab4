"""Who needs every pack to stay for the moment: a backup that copies them, a rebuilding of the index that reads them."""

from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update

from partage.records.database import Transaction, to_microseconds
from partage.records.tables import holds

SILENCE = timedelta(minutes=10)
"""A hold that was not renewed for so long is that of a process that died."""


def add(tx: Transaction, hold_id: str, reason: str, *, now: datetime) -> None:
    """Insert a hold, and forget those of processes that died."""
    tx.execute(delete(holds).where(holds.c.renewed_at < to_microseconds(now - SILENCE)))
    tx.execute(insert(holds), {"id": hold_id, "reason": reason, "renewed_at": to_microseconds(now)})


def renew(tx: Transaction, hold_id: str, *, now: datetime) -> bool:
    """Say that the hold is still needed; False when it is gone, given up for dead."""
    return tx.execute(update(holds).where(holds.c.id == hold_id).values(renewed_at=to_microseconds(now))).rowcount > 0


def remove(tx: Transaction, hold_id: str) -> None:
    """Delete a hold."""
    tx.execute(delete(holds).where(holds.c.id == hold_id))


def find_reason(tx: Transaction, *, now: datetime) -> str | None:
    """Say what packs are held for, or None when no living process holds them."""
    alive = holds.c.renewed_at >= to_microseconds(now - SILENCE)
    return tx.execute(select(holds.c.reason).where(alive).limit(1)).scalar()
