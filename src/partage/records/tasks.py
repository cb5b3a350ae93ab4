"""Rows of tasks: add, find, page, and the claims (leases) that let exactly one worker run each.

A claim is a random token, created when a worker takes a task. Every later write of that run selects and locks the row by its claim:
a run whose worker was considered dead finds no row, and can change neither the task nor the image.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    update,
)

from partage import problems
from partage.model.ids import ImageID, ProjectID, TaskID, UserID
from partage.model.query import Position
from partage.model.signature import Certificate, certificate_of
from partage.model.task import Task, TaskLane, TaskQuery, TaskStatus, TaskType
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.dialects import delete_rows
from partage.records.tables import images, tasks


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A task that a worker is running. `renewed_at` is its last heartbeat, `attempts` counts the runs including this one."""

    task: Task
    claim: str
    worker: str
    renewed_at: datetime
    attempts: int

    @property
    def token(self) -> str:
        """The claim, as the token of this work."""
        return self.claim


@dataclass(frozen=True, slots=True)
class ClaimedTask:
    """A task that was just claimed, with the stored rights of its creator."""

    task: Task
    roles: tuple[str, ...]
    sealed_token: str | None = field(repr=False)
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class HeldClaim:
    """The image of a running task, and whether it still exists."""

    image_id: ImageID | None
    image_is_there: bool


@dataclass(frozen=True, slots=True)
class ReceivedRow:
    """What earlier runs of a task have received of an image of another region. `digest` is one of the store and the manifest."""

    received_bytes: int
    digest: bytes


_DOCUMENT = tuple(tasks.c)[:13]
_CLAIM = (tasks.c.claim, tasks.c.worker, tasks.c.renewed_at, tasks.c.attempts)
_LISTED = tuple(
    {"input": literal_column("'{}'"), "result": null(), "message": literal_column("''")}.get(column.name, column)
    for column in _DOCUMENT
)
"""Columns of a task in a list: without input, result and message, which may be long."""
_FIND = select(*_DOCUMENT).where(tasks.c.id == bindparam("task_id"))
_ENDED = (TaskStatus.SUCCESS, TaskStatus.FAILURE)
_LEFT_BY_THE_END = {"sealed_token": None, "received_bytes": None, "received_digest": None}
_RUNNING = select(*_DOCUMENT, *_CLAIM).where(tasks.c.status == TaskStatus.PROCESSING.value)
_CLAIMED = select(*_DOCUMENT).where(tasks.c.id == bindparam("task_id"), tasks.c.claim == bindparam("claim")).with_for_update()
_BUSY = (
    select(
        tasks.c.owner,
        func.count().label("running"),
        func.sum(case((tasks.c.worker == bindparam("worker"), 1), else_=0)).label("running_here"),
    )
    .where(tasks.c.status == TaskStatus.PROCESSING.value, tasks.c.lane == bindparam("lane"))
    .group_by(tasks.c.owner)
    .subquery("busy")
)
_NEXT = (
    select(*_DOCUMENT, tasks.c.attempts, tasks.c.roles, tasks.c.sealed_token, tasks.c.certificate)
    .select_from(tasks.outerjoin(_BUSY, _BUSY.c.owner == tasks.c.owner))
    .where(
        tasks.c.status == TaskStatus.PENDING.value,
        tasks.c.lane == bindparam("lane"),
        func.coalesce(_BUSY.c.running_here, 0) < bindparam("per_project"),
    )
    .order_by(func.coalesce(_BUSY.c.running, 0), tasks.c.created_at, tasks.c.id)
    .limit(1)
    .with_for_update(skip_locked=True, of=tasks)
)


def _select_of_image() -> Select[Any]:
    own_bytes = func.length(tasks.c.input) + func.length(func.coalesce(tasks.c.result, "")) + func.length(tasks.c.message)
    newest_first = (tasks.c.created_at.desc(), tasks.c.id.desc())
    sized = (
        select(tasks.c.id, own_bytes.label("own"), func.sum(own_bytes).over(order_by=newest_first, rows=(None, 0)).label("total"))
        .where(tasks.c.image_id == bindparam("image_id"))
        .order_by(*newest_first)
        .limit(bindparam("most"))
        .subquery("sized")
    )
    fits = or_(sized.c.total <= bindparam("most_bytes"), sized.c.total == sized.c.own)
    return select(*_DOCUMENT).join(sized, sized.c.id == tasks.c.id).where(fits).order_by(tasks.c.created_at, tasks.c.id)


_OF_IMAGE = _select_of_image()


def add(
    tx: Transaction,
    task: Task,
    *,
    roles: Sequence[str],
    lane: TaskLane = TaskLane.WEB,
    sealed_token: str | None = None,
    certificate: Certificate | None = None,
) -> None:
    """Insert a task that waits for a worker, with the roles of the caller.

    Where the task needs them, the caller's sealed token and the certificate of the image's signature are stored as well.
    """
    kept = {"roles": orjson.dumps(list(roles)).decode(), "sealed_token": sealed_token, "attempts": 0, "lane": lane.value}
    kept["certificate"] = None if certificate is None else certificate.text()
    tx.execute(insert(tasks), {**_row(task), **kept})


def find(tx: Transaction, task_id: TaskID) -> Task:
    """Return one task.

    Raises:
        TaskNotFound: there is no task with that id.
    """
    row = tx.execute(_FIND, {"task_id": task_id}).first()
    if row is None:
        raise problems.TaskNotFound(f"Could not find task {task_id}")
    return _task(row)


def list_of_image(tx: Transaction, image_id: ImageID, *, most: int, most_bytes: int) -> list[Task]:
    """List an image's newest tasks, oldest first: at most `most`, and at least one, but no more than fit into `most_bytes`."""
    bounds = {"image_id": image_id, "most": most, "most_bytes": most_bytes}
    return [_task(row) for row in tx.execute(_OF_IMAGE, bounds)]


def position(task: Task, query: TaskQuery) -> Position:
    """Return a task's position in a list."""
    value = getattr(task, query.sort_key)
    return (to_microseconds(value) if isinstance(value, datetime) else value or 0,)


def page(tx: Transaction, query: TaskQuery) -> list[Task]:
    """Return at most `query.limit` tasks in order, after the marker; without inputs, results and messages.

    Raises:
        TaskNotFound: there is no task with the marker's id, and the query does not have its position.
    """
    statement = select(*_LISTED)
    if query.status is not None:
        statement = statement.where(tasks.c.status == query.status.value)
    if query.type is not None:
        statement = statement.where(tasks.c.type == query.type.value)
    if query.owner is not None:
        statement = statement.where(tasks.c.owner == query.owner)
    key = _key(query)
    if query.marker is not None:
        statement = statement.where(_build_marker_condition(tx, query, query.marker))
    order = (key.desc(), tasks.c.id.desc()) if query.descending else (key, tasks.c.id)
    return [_task(row) for row in tx.execute(statement.order_by(*order).limit(query.limit))]


def claim_next(tx: Transaction, *, claim: str, worker: str, lane: TaskLane, per_project: int, now: datetime) -> ClaimedTask | None:
    """Claim the oldest waiting task of the project with the fewest running tasks in this lane; None if no task waits.

    A project waits while this worker runs `per_project` of its tasks in the lane.
    """
    row = tx.execute(_NEXT, {"worker": worker, "lane": lane.value, "per_project": per_project}).first()
    if row is None:
        return None
    claimed = _task(row[:-4]).begin(now=now)
    attempts, roles, sealed_token, certificate = row[-4:]
    values = _row(claimed) | {"claim": claim, "worker": worker, "renewed_at": to_microseconds(now), "attempts": attempts + 1}
    tx.execute(update(tasks).where(tasks.c.id == claimed.id).values(values))
    return ClaimedTask(
        claimed, tuple(orjson.loads(roles)), sealed_token, None if certificate is None else certificate_of(certificate)
    )


def claim_this(tx: Transaction, task: Task, *, claim: str, worker: str, now: datetime) -> bool:
    """Claim this task; return whether it still was waiting."""
    waits = (tasks.c.id == task.id, tasks.c.status == TaskStatus.PENDING.value)
    values = {"claim": claim, "worker": worker, "renewed_at": to_microseconds(now)}
    return tx.execute(update(tasks).where(*waits).values(values)).rowcount == 1


def find_claimed(tx: Transaction, task_id: TaskID, claim: str) -> Task | None:
    """Return the task, locked, if this claim is still valid; None if another run has the task."""
    row = tx.execute(_CLAIMED, {"task_id": task_id, "claim": claim}).first()
    return None if row is None else _task(row)


def save_claimed(tx: Transaction, task: Task, claim: str, *, now: datetime, attempts: int | None = None) -> None:
    """Write a task that `find_claimed` returned in this transaction. A task that is not processing any more loses its claim.

    Of an ended task the sealed token, and what it has received, are removed. `attempts` None leaves the count unchanged.
    """
    values: dict[str, object] = _row(task) | {"renewed_at": to_microseconds(now)}
    if task.status is not TaskStatus.PROCESSING:
        values |= {"claim": None, "worker": None, "renewed_at": None}
    if task.status in _ENDED:
        values |= _LEFT_BY_THE_END
    if attempts is not None:
        values |= {"attempts": attempts}
    tx.execute(update(tasks).where(tasks.c.id == task.id, tasks.c.claim == claim).values(values))


def end(tx: Transaction, task_id: TaskID, reason: str, *, now: datetime) -> Task | None:
    """End a task with failure, so that a running worker loses its claim; return the task, or None if it has ended already."""
    row = tx.execute(_FIND.with_for_update(), {"task_id": task_id}).first()
    if row is None or _task(row).status in _ENDED:
        return None
    failed = _task(row).fail(reason, now=now)
    values = _row(failed) | {"claim": None, "worker": None, "renewed_at": None} | _LEFT_BY_THE_END
    tx.execute(update(tasks).where(tasks.c.id == task_id).values(values))
    return failed


def note_received(tx: Transaction, task_id: TaskID, claim: str, *, received_bytes: int, digest: bytes) -> None:
    """Note how many bytes of an image the run with this claim has received, and the digest that proves it to the next run."""
    values = {"received_bytes": received_bytes, "received_digest": digest}
    tx.execute(update(tasks).where(tasks.c.id == task_id, tasks.c.claim == claim).values(values))


def find_received(tx: Transaction, task_id: TaskID) -> ReceivedRow | None:
    """Return what the runs of a task have received so far; None if nothing is noted, or the task has ended."""
    noted = (tasks.c.id == task_id, tasks.c.received_bytes.is_not(None))
    row = tx.execute(select(tasks.c.received_bytes, tasks.c.received_digest).where(*noted)).first()
    return None if row is None else ReceivedRow(row[0], bytes(row[1]))


def list_waiting(tx: Transaction, *, since: datetime) -> list[Task]:
    """List the tasks that have waited for a worker since before that time."""
    statement = select(*_DOCUMENT).where(tasks.c.status == TaskStatus.PENDING.value, tasks.c.updated_at < to_microseconds(since))
    return [_task(row) for row in tx.execute(statement)]


def list_running(tx: Transaction) -> list[ClaimRow]:
    """List the tasks that workers are running."""
    return [
        ClaimRow(_task(row[:-4]), claim, worker, from_microseconds(renewed_at), attempts)
        for row in tx.execute(_RUNNING)
        for claim, worker, renewed_at, attempts in [row[-4:]]
    ]


def list_held(tx: Transaction, claims: Collection[str]) -> dict[str, HeldClaim]:
    """Return the claims that are still valid."""
    columns = select(tasks.c.claim, tasks.c.image_id, images.c.id).select_from(
        tasks.outerjoin(images, images.c.id == tasks.c.image_id)
    )
    running = columns.where(tasks.c.status == TaskStatus.PROCESSING.value, tasks.c.claim.in_(claims))
    return {claim: HeldClaim(image_id, found is not None) for claim, image_id, found in tx.execute(running)}


def renew(tx: Transaction, worker: str, *, now: datetime) -> int:
    """Renew the heartbeat of a worker's running tasks; return how many there are."""
    own = (tasks.c.status == TaskStatus.PROCESSING.value, tasks.c.worker == worker)
    return tx.execute(update(tasks).where(*own).values(renewed_at=to_microseconds(now))).rowcount


def rewrite(tx: Transaction, claims: Collection[str]) -> None:
    """Write the rows of running tasks unchanged. It proves that this process can reach the database that a heartbeat needs."""
    running = tasks.c.status == TaskStatus.PROCESSING.value
    tx.execute(update(tasks).where(running, tasks.c.claim.in_(claims)).values(renewed_at=tasks.c.renewed_at))


def have_expired(tx: Transaction, *, now: datetime) -> bool:
    """Whether there are tasks whose time to live is over."""
    return tx.execute(select(tasks.c.id).where(tasks.c.expires_at < to_microseconds(now)).limit(1)).first() is not None


def remove_expired(tx: Transaction, *, now: datetime, limit: int) -> int:
    """Delete at most `limit` tasks whose time to live is over, oldest first; return how many."""
    expired = select(tasks.c.id).where(tasks.c.expires_at < to_microseconds(now)).order_by(tasks.c.expires_at).limit(limit)
    return delete_rows(tx, tasks, expired)


def _build_marker_condition(tx: Transaction, query: TaskQuery, marker: TaskID) -> ColumnElement[bool]:
    """SQL condition: the task comes after the marker in the list. A task without `expires_at` sorts first."""
    key = _key(query)
    last: ColumnElement[Any] = select(key).where(tasks.c.id == marker).scalar_subquery()
    if query.after is None:
        find(tx, marker)
    else:
        last = func.coalesce(last, literal(query.after[0], key.type))
    beyond = key < last if query.descending else key > last
    return or_(beyond, and_(key == last, tasks.c.id < marker if query.descending else tasks.c.id > marker))


def _key(query: TaskQuery) -> ColumnElement[object]:
    column: ColumnElement[object] = tasks.c[query.sort_key]
    return func.coalesce(column, 0) if query.sort_key == "expires_at" else column


def _row(task: Task) -> dict[str, object]:
    return {
        "id": task.id,
        "type": task.type.value,
        "status": task.status.value,
        "owner": task.owner,
        "user_id": task.user_id,
        "request_id": task.request_id,
        "image_id": task.image_id,
        "input": orjson.dumps(dict(task.input)).decode(),
        "result": None if task.result is None else orjson.dumps(dict(task.result)).decode(),
        "message": task.message,
        "created_at": to_microseconds(task.created_at),
        "updated_at": to_microseconds(task.updated_at),
        "expires_at": None if task.expires_at is None else to_microseconds(task.expires_at),
    }


def _task(row: Sequence[Any]) -> Task:
    (task_id, kind, status, owner, user_id, request_id, image_id, given, result, message, created_at, updated_at, expires_at) = row
    return Task(
        id=TaskID(task_id),
        type=TaskType(kind),
        status=TaskStatus(status),
        owner=ProjectID(owner),
        user_id=None if user_id is None else UserID(user_id),
        request_id=request_id,
        image_id=None if image_id is None else ImageID(image_id),
        input=orjson.loads(given),
        result=None if result is None else orjson.loads(result),
        message=message,
        created_at=from_microseconds(created_at),
        updated_at=from_microseconds(updated_at),
        expires_at=None if expires_at is None else from_microseconds(expires_at),
    )
