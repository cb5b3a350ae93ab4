"""Rows of shares: members, and endings whose notice runs, together with their images. Reads only.

A share is current while its image is shared and it has not expired. When the owner has ended it, it stays a share as long as its
notice runs. A membership of an image that is private, public or community is no share: it lets nobody see anything.

A share is known to two projects, the image's owner and the member. A project that has deleted the image is its owner until the last
notice has run out.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, exists, func, or_, select, tuple_, union_all

from partage import problems
from partage.model.caller import Caller
from partage.model.ending import Ending, EndReason
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.member import MemberStatus
from partage.model.share import Direction, Share, SharePage, SharePosition, ShareQuery, choose_ending
from partage.records import members as member_rows
from partage.records import visibility
from partage.records.compiled import CompiledSelect
from partage.records.database import Transaction, from_microseconds, from_time, to_microseconds
from partage.records.tables import endings, images, last_uses, members
from partage.records.unindexed import Unindexed

NO_SHARE = "There is no share of image {} with project {}"

_Key = tuple[ColumnElement[Any], ColumnElement[Any], ColumnElement[Any]]

_SHARED_NOW = and_(
    images.c.visibility == Visibility.SHARED.value, visibility.UNEXPIRED, images.c.owner.is_distinct_from(members.c.member_id)
)
"""SQL condition on members and images: the membership is a current share."""

_RECEIVED_NOW = and_(_SHARED_NOW, visibility.SHOWN)
"""SQL condition on members and images: the membership is a current share for its member."""


def _is_replaced(current: ColumnElement[bool]) -> ColumnElement[bool]:
    """SQL condition on endings: there is a current share with the same project. A list must not have it twice."""
    same = (members.c.image_id == endings.c.image_id, members.c.member_id == endings.c.member_id)
    return exists().where(*same, current).correlate(endings, images)


_OWNER = func.coalesce(images.c.former_owner, images.c.owner)
_ROWS: ColumnElement[int] = bindparam("rows")
_IMAGE = (
    images.c.id, images.c.owner, images.c.former_owner, images.c.name, images.c.status, images.c.visibility,
    images.c.former_visibility, images.c.former_status, images.c.protected, images.c.os_hidden, images.c.disk_format,
    images.c.container_format, images.c.size, images.c.created_at, images.c.updated_at,
)  # fmt: skip
_MEMBER = (
    members.c.status, members.c.created_at, members.c.updated_at, members.c.answered_at,
    members.c.hidden, *(members.c[name] for name in member_rows.TERMS),
)  # fmt: skip
_ENDING = (
    endings.c.status, endings.c.reason, endings.c.began_at, endings.c.ends_at, endings.c.offered_at, endings.c.answered_at,
    *(endings.c[name] for name in member_rows.TERMS),
)  # fmt: skip
_LAST_USE = (last_uses.c.used_at, last_uses.c.downloaded_at)


def find(tx: Transaction, caller: Caller, image_id: ImageID, member_id: ProjectID, *, now: datetime) -> Share:
    """Return one share, if the caller is its owner, its member or an administrator.

    Raises:
        ShareNotFound: there is no such share, or the caller may not see it.
    """
    given = visibility.bind_caller(caller, now) | {"image_id": image_id, "member_id": member_id}
    row = None if caller.project_id is None else _FIND[caller.is_admin].fetch_first(tx, given)
    if row is None:
        raise problems.ShareNotFound(NO_SHARE.format(image_id, member_id))
    return _share(row)


def page(tx: Transaction, caller: Caller, query: ShareQuery, *, now: datetime) -> SharePage:
    """Return the matching shares of the caller's project, on the side that the query names, in order."""
    given: dict[str, object] = visibility.bind_caller(caller, now) | {"rows": query.limit + 1}
    status = None if query.status is None else query.status.value
    given |= {"status": status, "only_image_id": query.image_id, "other_project": query.project_id}
    if query.after is not None:
        given |= _position(query.after)
    shape = (query.direction, query.status is not None, query.image_id is not None, query.project_id is not None)
    rows = _compile_page(*shape, query.after is not None).fetch_all(tx, given)
    return SharePage([_share(row) for row in rows[: query.limit]], has_more=len(rows) > query.limit)


def _position(after: SharePosition) -> Mapping[str, object]:
    moment = to_microseconds(after.image_created_at)
    return {"after_created_at": moment, "after_image_id": after.image_id, "after_member_id": after.member_id}


@lru_cache(maxsize=64)
def _compile_page(direction: Direction, has_status: bool, has_image: bool, has_project: bool, has_position: bool) -> CompiledSelect:  # noqa: FBT001 -- a key of the cache
    statement = page_statement(direction, has_status, has_image, has_project, has_position)
    return CompiledSelect(statement, is_planned_by_value=True)  # without values, PostgreSQL reads all shares for a page


def page_statement(direction: Direction, has_status: bool, has_image: bool, has_project: bool, has_position: bool) -> Select[Any]:  # noqa: FBT001 -- as above
    """Build the statement of a page: the keys of each branch in order, limited; then the rows of the final page only."""

    def narrow(statement: Select[Any], key: _Key, table: Table) -> Select[Any]:
        other = table.c.member_id if direction is Direction.OUT else table.c.owner
        if has_status:
            statement = statement.where(table.c.status == bindparam("status"))
        if has_image:
            statement = statement.where(key[1] == bindparam("only_image_id"))
        if has_project:
            statement = statement.where(other == bindparam("other_project"))
        if has_position:
            after = tuple_(bindparam("after_created_at"), bindparam("after_image_id"), bindparam("after_member_id"))
            statement = statement.where(tuple_(*key) < after)
        return statement.order_by(*(each.desc() for each in key)).limit(_ROWS)

    now = _RECEIVED_NOW if direction is Direction.IN else _SHARED_NOW
    branches = [narrow(*branch) for branch in (_inbox() if direction is Direction.IN else _outbox(of_one_image=has_image))]
    keys = union_all(*(select(each.subquery()) for each in branches)).subquery("keys")
    order = (keys.c.created_at.desc(), keys.c.image_id.desc(), keys.c.member_id.desc())
    chosen = select(keys).order_by(*order).limit(_ROWS).subquery("chosen")
    order = (chosen.c.created_at.desc(), chosen.c.image_id.desc(), chosen.c.member_id.desc())
    return (
        select(chosen.c.member_id, *_IMAGE, *_MEMBER, *_ENDING, *_LAST_USE)
        .select_from(chosen)
        .join(images, images.c.id == chosen.c.image_id)
        .outerjoin(members, and_(members.c.image_id == chosen.c.image_id, members.c.member_id == chosen.c.member_id, now))
        .outerjoin(
            endings,
            and_(endings.c.image_id == chosen.c.image_id, endings.c.member_id == chosen.c.member_id, visibility.RUNNING),
        )
        .outerjoin(last_uses, and_(last_uses.c.image_id == chosen.c.image_id, last_uses.c.project_id == chosen.c.member_id))
        .order_by(*order)
    )


_Branch = tuple[Select[Any], _Key, Table]


def _inbox() -> list[_Branch]:
    """Walk the memberships and the endings of one project, each in the order of its index."""
    current = (members.c.image_created_at, members.c.image_id, members.c.member_id)
    ended = (endings.c.image_created_at, endings.c.image_id, endings.c.member_id)
    offered = _select_key(current).join(images, images.c.id == members.c.image_id)
    ending = _select_key(ended).join(images, images.c.id == endings.c.image_id)
    return [
        (offered.where(members.c.member_id == visibility.PROJECT, _RECEIVED_NOW), current, members),
        (ending.where(endings.c.member_id == visibility.PROJECT, visibility.RUNNING, ~_is_replaced(_RECEIVED_NOW)), ended, endings),
    ]


def _outbox(*, of_one_image: bool) -> list[_Branch]:
    """Walk the memberships and the endings of one project's images, each in the order of its index, or those of one image."""
    # The index of all its shares does not serve one image, yet SQLite would take it, for its order.
    owners = [Unindexed(table.c.owner) if of_one_image else table.c.owner for table in (members, endings)]
    current = (members.c.image_created_at, members.c.image_id, members.c.member_id)
    ended = (endings.c.image_created_at, endings.c.image_id, endings.c.member_id)
    offered = _select_key(current).join(images, and_(images.c.id == members.c.image_id, images.c.owner == visibility.PROJECT))
    # Not the image's own columns: PostgreSQL cannot estimate coalesce(former_owner, owner), and read every image.
    ending = _select_key(ended).join(images, images.c.id == endings.c.image_id)
    return [
        (offered.where(owners[0] == visibility.PROJECT, _SHARED_NOW), current, members),
        (ending.where(owners[1] == visibility.PROJECT, visibility.RUNNING, ~_is_replaced(_SHARED_NOW)), ended, endings),
    ]


def _select_key(key: _Key) -> Select[Any]:
    created_at, image_id, member_id = key
    return select(created_at.label("created_at"), image_id.label("image_id"), member_id.label("member_id"))


def _one(*, is_admin: bool) -> Select[Any]:
    shown = or_(visibility.SHOWN, bindparam("member_id") != visibility.PROJECT)
    statement = (
        select(bindparam("member_id"), *_IMAGE, *_MEMBER, *_ENDING, *_LAST_USE)
        .select_from(images)
        .outerjoin(
            members, and_(members.c.image_id == images.c.id, members.c.member_id == bindparam("member_id"), _SHARED_NOW, shown)
        )
        .outerjoin(
            endings, and_(endings.c.image_id == images.c.id, endings.c.member_id == bindparam("member_id"), visibility.RUNNING)
        )
        .outerjoin(last_uses, and_(last_uses.c.image_id == images.c.id, last_uses.c.project_id == bindparam("member_id")))
        .where(images.c.id == bindparam("image_id"), or_(members.c.status.is_not(None), endings.c.status.is_not(None)))
    )
    sides = or_(_OWNER == visibility.PROJECT, bindparam("member_id") == visibility.PROJECT)
    return statement if is_admin else statement.where(sides)


_FIND = {is_admin: CompiledSelect(_one(is_admin=is_admin)) for is_admin in (False, True)}


def _share(row: Sequence[Any]) -> Share:
    *row, used_at, downloaded_at = row
    last_used = _optional_time(max((each for each in (used_at, downloaded_at) if each is not None), default=None))
    member_end = 1 + len(_IMAGE) + len(_MEMBER)
    image, member_id = _image(row[1 : 1 + len(_IMAGE)]), ProjectID(row[0])
    ending = _parse_ending(image, member_id, row[member_end:])
    status, created_at, updated_at, answered_at, hidden, *terms = row[1 + len(_IMAGE) : member_end]
    if status is not None:
        return Share(
            image=image,
            member_id=member_id,
            status=MemberStatus(status),
            terms=member_rows.terms_of(*terms),
            offered_at=from_microseconds(created_at),
            updated_at=from_microseconds(updated_at),
            answered_at=_optional_time(answered_at),
            is_current=True,
            is_hidden=bool(hidden),
            ending=choose_ending(image, MemberStatus(status), ending),
            last_used=last_used,
        )
    if ending is None:
        raise AssertionError(image.id, member_id)
    return Share(
        image=image,
        member_id=member_id,
        status=ending.status,
        terms=ending.terms,
        offered_at=ending.offered_at or ending.began_at,
        updated_at=ending.began_at,
        answered_at=ending.answered_at,
        is_current=False,
        ending=ending,
        last_used=last_used,
    )


def _parse_ending(image: Image, member_id: ProjectID, row: Sequence[Any]) -> Ending | None:
    status, reason, began_at, ends_at, offered_at, answered_at, *terms = row
    if status is None:
        return None
    return Ending(
        image_id=image.id,
        member_id=member_id,
        status=MemberStatus(status),
        reason=EndReason(reason),
        began_at=from_microseconds(began_at),
        ends_at=from_time(ends_at),
        terms=member_rows.terms_of(*terms),
        offered_at=_optional_time(offered_at),
        answered_at=_optional_time(answered_at),
    )


def _image(row: Sequence[Any]) -> Image:
    (image_id, owner, former_owner, name, status, visible, former_visibility, former_status, protected, os_hidden, disk_format,
     container_format, size, created_at, updated_at) = row  # fmt: skip
    return Image(
        id=ImageID(image_id),
        owner=None if owner is None else ProjectID(owner),
        former_owner=None if former_owner is None else ProjectID(former_owner),
        name=name,
        status=ImageStatus(status),
        visibility=Visibility(visible),
        former_visibility=None if former_visibility is None else Visibility(former_visibility),
        former_status=None if former_status is None else ImageStatus(former_status),
        protected=bool(protected),
        os_hidden=bool(os_hidden),
        disk_format=disk_format,
        container_format=container_format,
        size=size,
        created_at=from_microseconds(created_at),
        updated_at=from_microseconds(updated_at),
    )


def _optional_time(stored: int | None) -> datetime | None:
    return None if stored is None else from_microseconds(stored)
