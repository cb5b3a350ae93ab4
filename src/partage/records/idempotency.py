"""Requests with an Idempotency-Key, and their responses: find, add, remove."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, exc, insert, select

from partage import problems
from partage.model.ids import ProjectID
from partage.model.offer import RequestKey
from partage.records.database import Transaction, to_microseconds
from partage.records.tables import idempotency_keys

KEPT = timedelta(days=1)
"""For so long a request can be repeated and gets its answer again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered. `is_refused`: the request was refused as a whole, and changed nothing."""

    text: str
    is_refused: bool = False


def find(tx: Transaction, project_id: ProjectID, asked: RequestKey, *, since: datetime) -> Answer | None:
    """Return what the request was answered, if it came at `since` or later.

    Raises:
        RequestRepeated: the key named another request.
    """
    key = (idempotency_keys.c.project_id == project_id, idempotency_keys.c.key == asked.key)
    columns = (idempotency_keys.c.request, idempotency_keys.c.answer)
    row = tx.execute(select(*columns).where(*key, idempotency_keys.c.created_at >= to_microseconds(since))).first()
    if row is None:
        return None
    if row.request not in {asked.request, _mark_refused(asked.request)}:
        raise problems.RequestRepeated("The Idempotency-Key was used for another request; use a new key for a new request")
    return Answer(row.answer, is_refused=row.request != asked.request)


def add(tx: Transaction, project_id: ProjectID, asked: RequestKey, answer: Answer, *, now: datetime) -> None:
    """Remember the answer to a request.

    Raises:
        RequestRepeated: another request of the same key was answered at the same time.
    """
    request = _mark_refused(asked.request) if answer.is_refused else asked.request
    row = {"project_id": project_id, "key": asked.key, "request": request, "answer": answer.text}
    try:
        tx.execute(insert(idempotency_keys), row | {"created_at": to_microseconds(now)})
    except exc.IntegrityError as error:
        raise problems.RequestRepeated(
            "A request of the same Idempotency-Key is under way; send it again to get its answer"
        ) from error


def _mark_refused(request: str) -> str:
    """Mark the digest of a request that was refused. Older releases take it for another request, and refuse to repeat it."""
    return f"!{request[1:]}"


def trim(tx: Transaction, project_id: ProjectID, *, keep_rows: int, before: datetime) -> None:
    """Forget the requests of a project that came before a time, and all but the newest of the others."""
    newest = (
        select(idempotency_keys.c.created_at)
        .where(idempotency_keys.c.project_id == project_id)
        .order_by(idempotency_keys.c.created_at.desc())
    )
    bound = tx.execute(newest.offset(keep_rows - 1).limit(1)).scalar_one_or_none()
    oldest = max(to_microseconds(before), bound or 0)
    tx.execute(delete(idempotency_keys).where(idempotency_keys.c.project_id == project_id, idempotency_keys.c.created_at < oldest))


def remove_old(tx: Transaction, *, before: datetime) -> int:
    """Forget the requests of all projects that came before a time; return how many."""
    return tx.execute(delete(idempotency_keys).where(idempotency_keys.c.created_at < to_microseconds(before))).rowcount
