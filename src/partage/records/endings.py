"""Rows of endings: shares that their owner has ended and whose notice runs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, exists, func, insert, literal_column, or_, select, update

from partage.model.caller import Caller
from partage.model.ending import Ending, EndReason
from partage.model.ids import ImageID, ProjectID
from partage.model.image import RETAINED, Image
from partage.model.member import MemberStatus
from partage.records import members
from partage.records.compiled import CompiledSelect
from partage.records.database import Transaction, from_microseconds, from_time, to_microseconds, to_time
from partage.records.dialects import greatest, least, take_rows, update_row
from partage.records.tables import endings, images
from partage.records.tables import members as members_table

_COLUMNS = (
    endings.c.image_id,
    endings.c.member_id,
    endings.c.status,
    endings.c.reason,
    endings.c.began_at,
    endings.c.ends_at,
    *(endings.c[name] for name in members.TERMS),
    endings.c.offered_at,
    endings.c.answered_at,
)
_RUNNING = endings.c.ends_at > bindparam("now")
_SETTLING = CompiledSelect(
    select(literal_column("1")).where(
        or_(
            exists().where(endings.c.image_id == bindparam("image_id"), endings.c.ends_at <= bindparam("now")),
            exists().where(members_table.c.image_id == bindparam("image_id"), members_table.c.expires_at <= bindparam("now")),
        )
    )
)
_OF_IMAGE = select(*_COLUMNS).where(endings.c.image_id == bindparam("image_id"), _RUNNING).order_by(endings.c.member_id)


def put(tx: Transaction, ending: Ending, image: Image) -> None:
    """Insert an ending, instead of that of a former share with the same project. A notice is never shortened.

    Both are kept as one row, so that neither a release of the last use shortens the notice with a duration, nor does that one end
    access while the image is used. If the former notice may end later, a removed member keeps access until then. For the other
    reasons, which can be cancelled without the member, the row stays that of the former share, which no cancelling removes.
    """
    columns = (endings.c.ends_at, endings.c.reason, endings.c.used_until, endings.c.least_ends_at)
    was = tx.execute(select(*columns).where(*_is_row(ending.image_id, ending.member_id))).first()
    ends_at, used_until, least_ends_at = to_time(ending.ends_at), 0, to_time(ending.ends_at)
    if ending.terms.notice.while_used and ending.least_ends_at is not None:
        used_until = to_time(ending.terms.expires_at)
        least_ends_at = min(to_microseconds(ending.least_ends_at), used_until)
    if was is not None and was.ends_at > to_microseconds(ending.began_at):
        may_end_later = was.ends_at >= ends_at or ending.terms.notice.while_used
        ends_at, used_until = max(ends_at, was.ends_at), max(used_until, was.used_until)
        least_ends_at = max(least_ends_at, was.least_ends_at if was.used_until else was.ends_at)
        if may_end_later and not ending.reason.value == was.reason == EndReason.REMOVED.value:
            kept = {"ends_at": ends_at, "used_until": used_until, "least_ends_at": least_ends_at}
            tx.execute(update(endings).where(*_is_row(ending.image_id, ending.member_id)).values(kept))
            return
    if was is not None:
        tx.execute(delete(endings).where(*_is_row(ending.image_id, ending.member_id)))
    row = {
        "image_id": ending.image_id,
        "member_id": ending.member_id,
        "status": ending.status.value,
        "reason": ending.reason.value,
        "began_at": to_microseconds(ending.began_at),
        "ends_at": ends_at,
        "image_created_at": to_microseconds(image.created_at),
        "owner": image.former_owner or image.owner,
        **members.terms_row(ending.terms),
        "used_until": used_until,
        "least_ends_at": least_ends_at,
        "offered_at": None if ending.offered_at is None else to_microseconds(ending.offered_at),
        "answered_at": None if ending.answered_at is None else to_microseconds(ending.answered_at),
    }
    tx.execute(insert(endings), row)


def lock(tx: Transaction, image_id: ImageID, member_id: ProjectID) -> None:
    """Lock a project's ending, if there is one, until the transaction ends: `take_over` of all images then leaves it."""
    tx.execute(select(endings.c.image_id).where(*_is_row(image_id, member_id)).with_for_update())


def follow_uses(
    tx: Transaction, image_id: ImageID, member_id: ProjectID, *, until: datetime | None, now: datetime
) -> Ending | None:
    """Let a running notice while-used end at `until`, None is never, within its bounds; return it if its end has moved."""
    ends_at = greatest(tx, endings.c.least_ends_at, least(tx, endings.c.used_until, to_time(until)))
    of = _is_row(image_id, member_id)
    running = (*of, endings.c.used_until > 0, endings.c.ends_at > to_microseconds(now))
    moved = update(endings).where(*running, endings.c.ends_at != ends_at).values(ends_at=ends_at)
    row = update_row(tx, moved, of, _COLUMNS)
    return None if row is None else _parse_ending(row)


def list_running(tx: Transaction, image_id: ImageID, *, now: datetime) -> list[Ending]:
    """List an image's running endings by member; for the service itself, not for callers."""
    return [_parse_ending(row) for row in tx.execute(_OF_IMAGE, {"image_id": image_id, "now": to_microseconds(now)})]


def cancel(tx: Transaction, image_id: ImageID, reason: EndReason) -> int:
    """Remove an image's endings that have this reason; return how many."""
    return tx.execute(delete(endings).where(endings.c.image_id == image_id, endings.c.reason == reason.value)).rowcount


def change_reason(
    tx: Transaction, image_id: ImageID, was: EndReason, reason: EndReason, *, member_id: ProjectID | None = None
) -> int:
    """Change the reason `was` of an image's endings, or of one member's ending; return how many changed."""
    of = [endings.c.image_id == image_id, endings.c.reason == was.value]
    if member_id is not None:
        of.append(endings.c.member_id == member_id)
    return tx.execute(update(endings).where(*of).values(reason=reason.value)).rowcount


def remove(tx: Transaction, image_id: ImageID, member_id: ProjectID) -> bool:
    """Remove one ending; return whether it existed."""
    return tx.execute(delete(endings).where(*_is_row(image_id, member_id))).rowcount == 1


def remove_covered(tx: Transaction, by: Ending) -> bool:
    """Remove the ending of a project if it can end no later than another one of the project; return whether it was removed."""
    ends_at = to_time(by.ends_at)
    covered = (endings.c.ends_at <= ends_at, endings.c.used_until <= ends_at)
    return tx.execute(delete(endings).where(*_is_row(by.image_id, by.member_id), *covered)).rowcount == 1


def remove_all(tx: Transaction, image_id: ImageID) -> int:
    """Remove every ending of an image, which an administrator takes down; return how many."""
    return tx.execute(delete(endings).where(endings.c.image_id == image_id)).rowcount


def has_ended(tx: Transaction, image_id: ImageID, *, now: datetime) -> bool:
    """Whether an image has rows of the past: endings that are over, or memberships that have expired."""
    return _SETTLING.fetch_first(tx, {"image_id": image_id, "now": to_microseconds(now)}) is not None


def take_over(
    tx: Transaction, *, now: datetime, limit_rows: int, image_id: ImageID | None = None
) -> list[tuple[Ending, ProjectID | None]]:
    """Remove endings whose notice has run out, of all images or of one, at most `limit_rows`; return them with the images' owners.

    Of all images, rows that another transaction has locked are left for the next call, as by `members.take_expired`.
    """
    key = (endings.c.image_id, endings.c.member_id)
    is_over = select(*key).where(endings.c.ends_at <= to_microseconds(now)).limit(limit_rows)
    if image_id is not None:
        is_over = is_over.where(endings.c.image_id == image_id)
    taken = take_rows(tx, endings, is_over, (*_COLUMNS, endings.c.owner), skip_locked=image_id is None)
    return [(_parse_ending(row[:-1]), row[-1]) for row in taken]


def list_abandoned(tx: Transaction, *, now: datetime, limit_rows: int) -> list[ImageID]:
    """List retained images without a running notice."""
    held = exists().where(endings.c.image_id == images.c.id, endings.c.ends_at > to_microseconds(now))
    # An administrator may set any owner, this one too: such an image is not retained.
    retained = and_(images.c.owner == RETAINED, images.c.former_owner.is_not(None))
    statement = select(images.c.id).where(retained, ~held).order_by(images.c.id).limit(limit_rows)
    return [ImageID(each) for each in tx.execute(statement).scalars()]


def add_owners(tx: Transaction) -> int:
    """Write the image's owner to the endings that lack it, because an older release made them; return how many."""
    owner = func.coalesce(images.c.former_owner, images.c.owner)
    of_image = select(owner).where(images.c.id == endings.c.image_id, owner.is_not(None))
    lacking = update(endings).where(endings.c.owner.is_(None), of_image.exists())
    return tx.execute(lacking.values(owner=of_image.scalar_subquery())).rowcount


def find_retained(tx: Transaction, caller: Caller, image_id: ImageID, *, now: datetime) -> ProjectID | None:
    """Return the project that has left the image to members whose notice runs: the caller's, to administrators any."""
    held = exists().where(endings.c.image_id == images.c.id, endings.c.ends_at > to_microseconds(now))
    retained = [images.c.id == image_id, images.c.owner == RETAINED, images.c.former_owner.is_not(None), held]
    if not caller.is_admin:
        retained.append(images.c.former_owner == caller.project_id)
    found = tx.execute(select(images.c.former_owner).where(*retained)).scalar_one_or_none()
    return None if found is None else ProjectID(found)


def _is_row(image_id: ImageID, member_id: ProjectID) -> tuple[Any, Any]:
    return endings.c.image_id == image_id, endings.c.member_id == member_id


def _parse_ending(row: Sequence[Any]) -> Ending:
    image_id, member_id, status, reason, began_at, ends_at, notice_seconds, expires_at, message, offered_at, answered_at = row
    return Ending(
        image_id=ImageID(image_id),
        member_id=ProjectID(member_id),
        status=MemberStatus(status),
        reason=EndReason(reason),
        began_at=from_microseconds(began_at),
        ends_at=from_time(ends_at),
        terms=members.terms_of(notice_seconds, expires_at, message),
        offered_at=None if offered_at is None else from_microseconds(offered_at),
        answered_at=None if answered_at is None else from_microseconds(answered_at),
    )
