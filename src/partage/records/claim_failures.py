"""Rows of failed claims: how many a project or an address has had within a window of time. Shared by every process and host."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import case, delete, select, update

from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.dialects import build_insert
from partage.records.tables import claim_failures

Failures = tuple[int, datetime]
"""The failed claims of one source, and the end of their window."""


def find(tx: Transaction, source: str, *, now: datetime, window: timedelta) -> Failures:
    """Return the failed claims of a source in the window that runs."""
    columns = (claim_failures.c.count, claim_failures.c.began_at)
    running = claim_failures.c.began_at > to_microseconds(now - window)
    row = tx.execute(select(*columns).where(claim_failures.c.source == source, running)).first()
    return (0, now + window) if row is None else (int(row[0]), from_microseconds(row[1]) + window)


def add(tx: Transaction, source: str, *, now: datetime, window: timedelta) -> Failures:
    """Count a claim that has not succeeded yet, in the window that runs or in a new one; return the new count."""
    moment = to_microseconds(now)
    is_over = claim_failures.c.began_at <= to_microseconds(now - window)
    statement = (
        build_insert(tx, claim_failures)
        .values(source=source, began_at=moment, count=1)
        .on_conflict_do_update(
            index_elements=["source"],
            set_={
                "count": case((is_over, 1), else_=claim_failures.c.count + 1),
                "began_at": case((is_over, moment), else_=claim_failures.c.began_at),
            },
        )
        .returning(claim_failures.c.count, claim_failures.c.began_at)
    )
    count, began_at = tx.execute(statement).one()
    return int(count), from_microseconds(began_at) + window


def subtract(tx: Transaction, sources: Sequence[str]) -> None:
    """Do not count a claim that has succeeded."""
    for source in sources:  # in the order of `add`, so that two claims never deadlock
        of = (claim_failures.c.source == source, claim_failures.c.count > 0)
        tx.execute(update(claim_failures).where(*of).values(count=claim_failures.c.count - 1))


def remove_old(tx: Transaction, *, before: datetime) -> int:
    """Delete the windows that began before a time; return how many."""
    return tx.execute(delete(claim_failures).where(claim_failures.c.began_at < to_microseconds(before))).rowcount
