"""Rows of members: find, list, add, set status, remove."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    delete,
    exc,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.member import Member, MemberStatus
from partage.model.terms import Notice, Terms
from partage.model.trust import TrustAnswer, TrustKind
from partage.records import visibility
from partage.records.compiled import CompiledSelect
from partage.records.database import Transaction, from_microseconds, from_time, to_microseconds, to_time
from partage.records.dialects import take_rows
from partage.records.tables import images, members, takedowns, trust_rules

_OF_IMAGE = members.c.image_id == bindparam("image_id")
_COLUMNS = (
    members.c.image_id,
    members.c.member_id,
    members.c.status,
    members.c.created_at,
    members.c.updated_at,
    members.c.notice_seconds,
    members.c.expires_at,
    members.c.message,
    members.c.answered_at,
    members.c.hidden,
    members.c.offered_from,
)
_FOREVER_SECONDS = -1
_WHILE_USED_SECONDS = -2
TERMS = ("notice_seconds", "expires_at", "message")
"""The columns of a share's terms, of `members` and of `endings`."""
_COUNT = select(func.count()).select_from(members).where(_OF_IMAGE)
_MINE = or_(
    and_(members.c.member_id == bindparam("project"), visibility.SHOWN),
    select(images.c.id).where(images.c.id == members.c.image_id, images.c.owner == bindparam("project")).exists(),
)


def _visible(*, is_admin: bool) -> Select[*tuple[Any, ...]]:
    """Select the unexpired rows that the caller may see: the owner and administrators see every member, a member sees itself.

    A member does not see an offer that its trust rule refused.
    """
    statement = select(*_COLUMNS).where(_OF_IMAGE, visibility.UNEXPIRED)
    return statement if is_admin else statement.where(_MINE)


_LIST = {
    is_admin: CompiledSelect(_visible(is_admin=is_admin).order_by(members.c.created_at, members.c.member_id))
    for is_admin in (False, True)
}
_LIST_ALL = CompiledSelect(select(*_COLUMNS).where(_OF_IMAGE).order_by(members.c.created_at, members.c.member_id))
_FIND = {
    is_admin: CompiledSelect(_visible(is_admin=is_admin).where(members.c.member_id == bindparam("member_id")))
    for is_admin in (False, True)
}


def find(tx: Transaction, caller: Caller, image_id: ImageID, member_id: ProjectID, *, now: datetime) -> Member:
    """Return one membership of an image that the caller may see.

    Raises:
        MemberNotFound: there is no such member, its share has expired, or the caller may not see it.
    """
    given = visibility.bind_caller(caller, now) | {"image_id": image_id, "member_id": member_id}
    row = _FIND[caller.is_admin].fetch_first(tx, given)
    if row is None:
        raise problems.MemberNotFound(f"{member_id} not found in the member list of the image {image_id}.")
    return _member(row)


def list_members(tx: Transaction, caller: Caller, image_id: ImageID, *, now: datetime) -> list[Member]:
    """List the memberships that the caller may see, oldest first. Those of expired shares are not listed."""
    given = visibility.bind_caller(caller, now) | {"image_id": image_id}
    return [_member(row) for row in _LIST[caller.is_admin].fetch_all(tx, given)]


def list_all(tx: Transaction, image_id: ImageID) -> list[Member]:
    """List all memberships of an image, oldest first, expired or not; for the service itself, not for callers."""
    return [_member(row) for row in _LIST_ALL.fetch_all(tx, {"image_id": image_id})]


def count(tx: Transaction, image_id: ImageID) -> int:
    """Count an image's members, whatever their status."""
    return int(tx.execute(_COUNT, {"image_id": image_id}).scalar_one())


def add(tx: Transaction, member: Member, image: Image) -> None:
    """Insert a membership.

    Raises:
        MemberExists: the project is a member already.
    """
    row = _row(member) | {"image_created_at": to_microseconds(image.created_at), "owner": image.owner}
    try:
        tx.execute(insert(members), row)
        # A new offer replaces the note that an administrator has ended the former one.
        gone = (takedowns.c.image_id == member.image_id, takedowns.c.member_id == member.member_id)
        tx.execute(delete(takedowns).where(*gone))
    except exc.IntegrityError as error:
        raise problems.MemberExists(f"Member {member.member_id} is duplicated for image {member.image_id}") from error


def set_status(tx: Transaction, member: Member) -> bool:
    """Write a member's status, and whether the offer is hidden; return whether the membership existed."""
    values = {
        "status": member.status.value,
        "updated_at": to_microseconds(member.updated_at),
        "answered_at": _optional(member.answered_at),
        "hidden": int(member.is_hidden),
    }
    return tx.execute(update(members).where(*_is_row(member)).values(values)).rowcount == 1


def set_terms(tx: Transaction, member: Member) -> bool:
    """Write the terms of a share; return whether the membership existed."""
    values = {**terms_row(member.terms), "updated_at": to_microseconds(member.updated_at)}
    return tx.execute(update(members).where(*_is_row(member)).values(values)).rowcount == 1


def add_owners(tx: Transaction) -> int:
    """Write the image's owner to the memberships that lack it, because an older release made them; return how many."""
    owner = select(images.c.owner).where(images.c.id == members.c.image_id, images.c.owner.is_not(None))
    lacking = update(members).where(members.c.owner.is_(None), owner.exists())
    return tx.execute(lacking.values(owner=owner.scalar_subquery())).rowcount


def take_expired(
    tx: Transaction, *, now: datetime, limit_rows: int, image_id: ImageID | None = None
) -> list[tuple[Member, ProjectID | None]]:
    """Delete memberships whose shares have expired, of all images or of one; return them with the images' owners.

    Those of one image are all deleted: the caller has locked the image. Of all images, rows that another transaction has locked are
    left for the next call. Waiting for them, in whatever order, deadlocked on PostgreSQL.
    """
    key = (members.c.image_id, members.c.member_id)
    expired = select(*key).where(members.c.expires_at <= to_microseconds(now)).limit(limit_rows)
    if image_id is not None:
        expired = expired.where(members.c.image_id == image_id)
    taken = take_rows(tx, members, expired, (*_COLUMNS, members.c.owner), skip_locked=image_id is None)
    return [(_member(row[:-1]), row[-1]) for row in taken]


def remove(tx: Transaction, member: Member) -> bool:
    """Delete a membership; return whether it existed."""
    return tx.execute(delete(members).where(*_is_row(member))).rowcount == 1


def take(tx: Transaction, image_id: ImageID, member_id: ProjectID) -> Member | None:
    """Delete a membership, expired or not, and return it; None if there is none. For the service itself, not for callers."""
    mine = (members.c.image_id == image_id, members.c.member_id == member_id)
    row = tx.execute(select(*_COLUMNS).where(*mine)).first()
    if row is None:
        return None
    member = _member(row)
    remove(tx, member)
    return member


def remove_hidden(tx: Transaction, image_id: ImageID, member_id: ProjectID) -> bool:
    """Delete a membership that is hidden from its member; return whether there was one."""
    of = (members.c.image_id == image_id, members.c.member_id == member_id, visibility.HIDDEN)
    return tx.execute(delete(members).where(*of)).rowcount == 1


def show_hidden(tx: Transaction, image_id: ImageID, member_id: ProjectID, *, now: datetime) -> bool:
    """Show a hidden offer to its member, whatever its rules; return whether there was one that has not expired."""
    of = (members.c.image_id == image_id, members.c.member_id == member_id, visibility.HIDDEN)
    unexpired = members.c.expires_at > to_microseconds(now)
    return tx.execute(update(members).where(*of, unexpired).values(hidden=0)).rowcount == 1


def show_unrefused(tx: Transaction, *, member_id: ProjectID | None = None, image_id: ImageID | None = None) -> int:
    """Show the hidden offers to a project, or of an image, that no trust rule refuses any more; return how many."""
    of_project = (trust_rules.c.project_id == members.c.member_id, trust_rules.c.kind == TrustKind.PROJECT.value)
    of_domain = (trust_rules.c.project_id == members.c.member_id, trust_rules.c.kind == TrustKind.DOMAIN.value)
    refuses = trust_rules.c.answer == TrustAnswer.REFUSE.value
    for_owner = exists().where(*of_project, trust_rules.c.subject_id == members.c.owner)
    for_domain = exists().where(*of_domain, trust_rules.c.subject_id == members.c.offered_from)
    is_refused = or_(for_owner.where(refuses), and_(not_(for_owner), for_domain.where(refuses)))
    of = members.c.member_id == member_id if image_id is None else members.c.image_id == image_id
    return tx.execute(update(members).where(of, visibility.HIDDEN, not_(is_refused)).values(hidden=0)).rowcount


def encode(found: Sequence[Member]) -> str:
    """Encode memberships as JSON, for a row in `pending_deletes`."""
    return orjson.dumps([_row(each) for each in found]).decode()


def decode(image_id: ImageID, encoded: str) -> list[Member]:
    """Decode memberships that `encode` encoded, here or in releases without terms: those wrote lists of the first four values."""
    names = [column.name for column in _COLUMNS]
    without_terms = {"image_id": image_id, "answered_at": None, "hidden": 0, "offered_from": "", **terms_row(Terms())}
    rows = [
        without_terms | (dict(zip(names[1:5], each, strict=True)) if isinstance(each, list) else each)
        for each in orjson.loads(encoded)
    ]
    return [_member([row[name] for name in names]) for row in rows]


def _row(member: Member) -> dict[str, object]:
    return {
        "image_id": member.image_id,
        "member_id": member.member_id,
        "status": member.status.value,
        "created_at": to_microseconds(member.created_at),
        "updated_at": to_microseconds(member.updated_at),
        **terms_row(member.terms),
        "answered_at": _optional(member.answered_at),
        "hidden": int(member.is_hidden),
        "offered_from": member.offered_from,
    }


def _is_row(member: Member) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return members.c.image_id == member.image_id, members.c.member_id == member.member_id


def _member(row: Sequence[Any]) -> Member:
    image_id, member_id, status, created_at, updated_at, notice_seconds, expires_at, message, answered_at, hidden, offered_from = (
        row
    )
    return Member(
        image_id=ImageID(image_id),
        member_id=ProjectID(member_id),
        status=MemberStatus(status),
        created_at=from_microseconds(created_at),
        updated_at=from_microseconds(updated_at),
        terms=terms_of(notice_seconds, expires_at, message),
        answered_at=None if answered_at is None else from_microseconds(answered_at),
        is_hidden=bool(hidden),
        offered_from=offered_from,
    )


def _optional(moment: datetime | None) -> int | None:
    return None if moment is None else to_microseconds(moment)


def terms_row(terms: Terms) -> dict[str, object]:
    """Write terms as the columns `TERMS`."""
    return {
        "notice_seconds": _encode_notice(terms.notice),
        "expires_at": to_time(terms.expires_at),
        "message": terms.message,
    }


def terms_of(notice_seconds: int, expires_at: int, message: str) -> Terms:
    """Read terms from the columns `TERMS`."""
    return Terms(notice=_decode_notice(notice_seconds), expires_at=from_time(expires_at), message=message)


def _encode_notice(notice: Notice) -> int:
    if notice.while_used:
        return _WHILE_USED_SECONDS
    return _FOREVER_SECONDS if notice.duration is None else notice.duration // timedelta(seconds=1)


def _decode_notice(seconds: int) -> Notice:
    if seconds == _WHILE_USED_SECONDS:
        return Notice(while_used=True)
    return Notice(None if seconds == _FOREVER_SECONDS else timedelta(seconds=seconds))
