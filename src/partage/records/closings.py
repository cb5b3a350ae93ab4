"""Rows of projects that are to be closed, and what a project has received."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, insert, select, union, update

from partage.model.closing import ClosingRequest, ClosingSource
from partage.model.ids import ImageID, ProjectID
from partage.records import visibility
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.tables import endings, members, project_closings

_COLUMNS = (
    project_closings.c.project_id,
    project_closings.c.source,
    project_closings.c.requested_at,
    project_closings.c.due_at,
)


def put(tx: Transaction, request: ClosingRequest) -> None:
    """Insert a request, in place of an earlier one for the project."""
    remove(tx, request.project_id)
    row = {
        "project_id": request.project_id,
        "source": request.source.value,
        "requested_at": to_microseconds(request.requested_at),
        "due_at": to_microseconds(request.due_at),
    }
    tx.execute(insert(project_closings), row)


def find_due(tx: Transaction, *, now: datetime) -> ClosingRequest | None:
    """Return the request that has been due for the longest; None if no request is due."""
    due = select(*_COLUMNS).where(project_closings.c.due_at <= to_microseconds(now)).order_by(project_closings.c.due_at)
    row = tx.execute(due.limit(1)).first()
    return None if row is None else _parse_request(row)


def postpone(tx: Transaction, request: ClosingRequest, due_at: datetime) -> bool:
    """Change when a request is due, if nobody has changed that since (compare-and-set); return whether it was changed."""
    was = (project_closings.c.project_id == request.project_id, project_closings.c.due_at == to_microseconds(request.due_at))
    return tx.execute(update(project_closings).where(*was).values(due_at=to_microseconds(due_at))).rowcount == 1


def remove(tx: Transaction, project_id: ProjectID) -> bool:
    """Delete the request for a project; return whether there was one."""
    return tx.execute(delete(project_closings).where(project_closings.c.project_id == project_id)).rowcount == 1


def is_requested(tx: Transaction, project_id: ProjectID | None) -> bool:
    """Whether a project is to be closed, or was closed and some of its tokens may still be in use."""
    of = project_closings.c.project_id == project_id
    return tx.execute(select(project_closings.c.project_id).where(of)).first() is not None


def list_received_image_ids(tx: Transaction, project_id: ProjectID, *, limit_rows: int) -> list[ImageID]:
    """List images of others that are offered to the project, or for which its notice runs or has run, by id."""
    found = union(*(select(each.limit(limit_rows).subquery()) for each in _select_received(project_id)))
    return sorted(ImageID(each) for each in tx.execute(found).scalars())


def count_received(tx: Transaction, project_id: ProjectID) -> int:
    """Count what `list_received_image_ids` lists."""
    found = union(*_select_received(project_id)).subquery("found")
    return int(tx.execute(select(func.count()).select_from(found)).scalar_one())


def _select_received(project_id: ProjectID) -> list[Select[Any]]:
    """Select the ids of received images, each statement along an index: offers that the project refused have one of their own."""
    offered = select(members.c.image_id).where(members.c.member_id == project_id)
    ended = select(endings.c.image_id).where(endings.c.member_id == project_id)
    return [offered.where(visibility.SHOWN), offered.where(visibility.HIDDEN), ended]


def _parse_request(row: Sequence[Any]) -> ClosingRequest:
    project_id, source, requested_at, due_at = row
    return ClosingRequest(
        project_id=ProjectID(project_id),
        source=ClosingSource(source),
        requested_at=from_microseconds(requested_at),
        due_at=from_microseconds(due_at),
    )
