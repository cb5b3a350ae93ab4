"""Rows of takedowns: shares that an administrator has ended against every promise, for the owner and the member to see.

A row has what the share was, because the image may be gone. It is shown for `SHOWN`, and a new offer of the image to the project
removes it. It gives no access to anything.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, delete, insert, or_, select, tuple_

from partage.model.caller import Caller
from partage.model.ending import TAKEDOWN_SHOWN, Ending, EndReason
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.member import Member, MemberStatus
from partage.model.share import Direction, Share, ShareQuery
from partage.records import members
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.tables import takedowns

MOST_OF_OWNER = 1000
"""Rows of one owner; the oldest ones are removed."""

_COLUMNS = tuple(takedowns.c)
_KEY = (takedowns.c.image_created_at, takedowns.c.image_id, takedowns.c.member_id)


def add(tx: Transaction, image: Image, shares: Iterable[Member], reason: EndReason, *, now: datetime) -> None:
    """Record that an administrator has ended shares of an image. `reason` is what the administrator did."""
    owner = image.former_owner or image.owner
    rows = [_row(image, owner, each, reason, now) for each in shares if each.member_id != owner]
    if not rows or owner is None:
        return
    for row in rows:
        remove(tx, image.id, ProjectID(str(row["member_id"])))
    tx.execute(insert(takedowns), rows)
    _trim(tx, owner)


def find(tx: Transaction, caller: Caller, image_id: ImageID, member_id: ProjectID, *, now: datetime) -> Share | None:
    """Return a share that was taken down, if the caller is its owner, its member or an administrator."""
    wanted = (takedowns.c.image_id == image_id, takedowns.c.member_id == member_id, _is_shown(now))
    statement = select(*_COLUMNS).where(*wanted)
    if not caller.is_admin:
        statement = statement.where(or_(takedowns.c.owner == caller.project_id, takedowns.c.member_id == caller.project_id))
    row = None if caller.project_id is None else tx.execute(statement).first()
    return None if row is None else _share(row)


def page(tx: Transaction, caller: Caller, query: ShareQuery, *, now: datetime) -> list[Share]:
    """List the shares of the caller's project that were taken down, as a page of shares does: at most one more than it has."""
    mine, other = (takedowns.c.member_id, takedowns.c.owner)
    if query.direction is Direction.OUT:
        mine, other = other, mine
    statement: Select[Any] = select(*_COLUMNS).where(mine == caller.project_id, _is_shown(now))
    if query.status is not None:
        statement = statement.where(takedowns.c.status == query.status.value)
    if query.image_id is not None:
        statement = statement.where(takedowns.c.image_id == query.image_id)
    if query.project_id is not None:
        statement = statement.where(other == query.project_id)
    if query.after is not None:
        position = (to_microseconds(query.after.image_created_at), query.after.image_id, query.after.member_id)
        statement = statement.where(tuple_(*_KEY) < tuple_(*(bindparam(None, each) for each in position)))
    rows = tx.execute(statement.order_by(*(each.desc() for each in _KEY)).limit(query.limit + 1))
    return [_share(row) for row in rows]


def remove(tx: Transaction, image_id: ImageID, member_id: ProjectID) -> None:
    """Remove the row of one share, which is offered anew."""
    tx.execute(delete(takedowns).where(takedowns.c.image_id == image_id, takedowns.c.member_id == member_id))


def cancel(tx: Transaction, image_id: ImageID, reason: EndReason) -> None:
    """Remove the rows of an image for what no longer applies: it is active, shared or restored again."""
    tx.execute(delete(takedowns).where(takedowns.c.image_id == image_id, takedowns.c.reason == reason.value))


def remove_old(tx: Transaction, *, now: datetime) -> int:
    """Remove the rows that are not shown any more; return how many."""
    return tx.execute(delete(takedowns).where(~_is_shown(now))).rowcount


def _is_shown(now: datetime) -> ColumnElement[bool]:
    return takedowns.c.taken_at > to_microseconds(now - TAKEDOWN_SHOWN)


def _trim(tx: Transaction, owner: ProjectID) -> None:
    newest = select(takedowns.c.taken_at).where(takedowns.c.owner == owner).order_by(takedowns.c.taken_at.desc())
    oldest = tx.execute(newest.offset(MOST_OF_OWNER - 1).limit(1)).scalar_one_or_none()
    if oldest is not None:
        tx.execute(delete(takedowns).where(takedowns.c.owner == owner, takedowns.c.taken_at < oldest))


def _row(image: Image, owner: ProjectID | None, member: Member, reason: EndReason, now: datetime) -> dict[str, object]:
    statuses = {EndReason.DELETED: ImageStatus.DELETED, EndReason.DEACTIVATED: ImageStatus.DEACTIVATED}
    return {
        "image_id": image.id,
        "member_id": member.member_id,
        "owner": owner,
        "status": member.status.value,
        "reason": reason.value,
        "taken_at": to_microseconds(now),
        "image_created_at": to_microseconds(image.created_at),
        "image_name": image.name,
        "image_status": statuses.get(reason, image.status).value,
        "size": image.size,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "member": members.encode([member]),
    }


def _share(row: Any) -> Share:
    taken_at = from_microseconds(row.taken_at)
    (member,) = members.decode(ImageID(row.image_id), row.member)
    image = Image(
        id=ImageID(row.image_id),
        owner=ProjectID(row.owner),
        created_at=from_microseconds(row.image_created_at),
        updated_at=taken_at,
        name=row.image_name,
        status=ImageStatus(row.image_status),
        visibility=Visibility.SHARED,
        disk_format=row.disk_format,
        container_format=row.container_format,
        size=row.size,
    )
    return Share(
        image=image,
        member_id=member.member_id,
        status=MemberStatus(row.status),
        terms=member.terms,
        offered_at=member.created_at,
        updated_at=taken_at,
        answered_at=member.answered_at,
        is_current=False,
        ending=_build_ending(image.id, member, taken_at),
    )


def _build_ending(image_id: ImageID, member: Member, taken_at: datetime) -> Ending:
    return Ending(
        image_id=image_id,
        member_id=member.member_id,
        status=member.status,
        reason=EndReason.TAKEN_DOWN,
        began_at=taken_at,
        ends_at=taken_at,
        terms=member.terms,
        offered_at=member.created_at,
        answered_at=member.answered_at,
    )
