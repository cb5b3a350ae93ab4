"""Rows of maintenance jobs: the lease that lets one worker at a time run each, and what came of the last run.

Every change is a compare-and-set: it happens only if the row still has the lease and the count of runs that the caller saw.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select, update

from partage.model.maintenance import MaintenanceJob, MaintenanceState, Outcome, Report
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.dialects import build_insert
from partage.records.maintenance_table import maintenance


def list_states(tx: Transaction) -> list[MaintenanceState]:
    """Return the state of every job that was ever planned or run, by name."""
    return [_parse(row) for row in tx.execute(select(maintenance).order_by(maintenance.c.job)).mappings()]


def find(tx: Transaction, job: MaintenanceJob) -> MaintenanceState | None:
    """Return the state of a job; None if it was never planned or run."""
    row = tx.execute(select(maintenance).where(maintenance.c.job == job.value)).mappings().first()
    return None if row is None else _parse(row)


def add(tx: Transaction, state: MaintenanceState) -> None:
    """Insert the state of a job, unless another worker has inserted it."""
    tx.execute(build_insert(tx, maintenance).values(_row(state)).on_conflict_do_nothing(index_elements=["job"]))


def change(tx: Transaction, state: MaintenanceState, *, was: MaintenanceState) -> bool:
    """Write a state if the row still has the lease and the runs of `was`; return whether it had."""
    same = (
        maintenance.c.job == was.job.value,
        maintenance.c.runs == was.runs,
        maintenance.c.token.is_not_distinct_from(was.token),
    )
    return tx.execute(update(maintenance).where(*same).values(_row(state))).rowcount == 1


def save_progress(tx: Transaction, token: str, cursor: str, report: Report) -> bool:
    """Record how far a run has come; return whether it still has its lease."""
    values = {"cursor": cursor, "report": orjson.dumps(report).decode()}
    return tx.execute(update(maintenance).where(maintenance.c.token == token).values(values)).rowcount == 1


def renew(tx: Transaction, token: str, *, now: datetime) -> bool:
    """Renew the heartbeat of a run; return whether it still has its lease."""
    return tx.execute(update(maintenance).where(maintenance.c.token == token).values(renewed_at=to_microseconds(now))).rowcount == 1


def rewrite(tx: Transaction, tokens: Collection[str]) -> None:
    """Rewrite the rows of runs unchanged: proves that this process can write, and so would see a renewal."""
    tx.execute(update(maintenance).where(maintenance.c.token.in_(tokens)).values(renewed_at=maintenance.c.renewed_at))


def _row(state: MaintenanceState) -> dict[str, object]:
    return {
        "job": state.job.value,
        "token": state.token,
        "worker": state.worker,
        "renewed_at": _to_time(state.renewed_at),
        "started_at": _to_time(state.started_at),
        "ended_at": _to_time(state.ended_at),
        "succeeded_at": _to_time(state.succeeded_at),
        "due_at": _to_time(state.due_at),
        "outcome": None if state.outcome is None else state.outcome.value,
        "message": state.message,
        "report": orjson.dumps(state.report).decode(),
        "cursor": state.cursor,
        "runs": state.runs,
        "failures": state.failures,
    }


def _parse(row: Any) -> MaintenanceState:
    return MaintenanceState(
        job=MaintenanceJob(row["job"]),
        token=row["token"],
        worker=row["worker"],
        renewed_at=_from_time(row["renewed_at"]),
        started_at=_from_time(row["started_at"]),
        ended_at=_from_time(row["ended_at"]),
        succeeded_at=_from_time(row["succeeded_at"]),
        due_at=_from_time(row["due_at"]),
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
        message=row["message"],
        report=orjson.loads(row["report"]),
        cursor=row["cursor"],
        runs=row["runs"],
        failures=row["failures"],
    )


def _to_time(moment: datetime | None) -> int | None:
    return None if moment is None else to_microseconds(moment)


def _from_time(stored: int | None) -> datetime | None:
    return None if stored is None else from_microseconds(stored)
