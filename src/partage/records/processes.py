"""Rows of processes: each reports itself while it runs. For operators only; nothing decides by them whether a worker is dead."""

from datetime import datetime

from sqlalchemy import delete, select

from partage.model.process_state import ProcessState, Purpose
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.dialects import build_insert
from partage.records.tables import processes


def write(tx: Transaction, state: ProcessState) -> None:
    """Insert the row of a process, or renew it."""
    row = {
        "worker": state.worker,
        "purpose": state.purpose.value,
        "version": state.version,
        "started_at": to_microseconds(state.started_at),
        "seen_at": to_microseconds(state.seen_at),
    }
    renewal = {"seen_at": row["seen_at"]}
    tx.execute(build_insert(tx, processes).values(row).on_conflict_do_update(index_elements=["worker"], set_=renewal))


def remove(tx: Transaction, worker: str) -> None:
    """Delete the row of a process, if there is one."""
    tx.execute(delete(processes).where(processes.c.worker == worker))


def list_all(tx: Transaction) -> list[ProcessState]:
    """Return every process that has a row, by name."""
    return [
        ProcessState(
            worker=row["worker"],
            purpose=Purpose(row["purpose"]),
            version=row["version"],
            started_at=from_microseconds(row["started_at"]),
            seen_at=from_microseconds(row["seen_at"]),
        )
        for row in tx.execute(select(processes).order_by(processes.c.worker)).mappings()
    ]


def remove_unseen(tx: Transaction, *, since: datetime) -> int:
    """Delete the rows of processes that have not reported themselves since then; return how many."""
    return tx.execute(delete(processes).where(processes.c.seen_at < to_microseconds(since))).rowcount
