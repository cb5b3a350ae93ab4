"""Rows of uses, and of the last use and the last download of an image by each project.

Rows have no foreign key to `images`: they outlive an image that can be restored. `images.remove` and `pending_deletes.remove` call
`remove_all`. A transaction that adds or releases a use has locked the image, so that counts and endings agree.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, func, not_, or_, select, tuple_, update

from partage.model.ids import ImageID, ProjectID
from partage.model.use import ImageUses, ProjectUses, Use, UseKey, UseKind
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.dialects import build_insert, greatest
from partage.records.tables import ended_uses, endings, images, last_uses, members, uses

_COLUMNS = (uses.c.image_id, uses.c.project_id, uses.c.kind, uses.c.use_id, uses.c.recorded_at, uses.c.last_seen)
_KEY = (uses.c.kind, uses.c.use_id)


def find(tx: Transaction, key: UseKey) -> Use | None:
    """Return a use, if it is recorded."""
    row = tx.execute(select(*_COLUMNS).where(*_is_row(key))).first()
    return None if row is None else _parse(row)


def put(tx: Transaction, use: Use) -> None:
    """Insert a use, or write when it was seen again, and note the project's last use. `last_seen` never goes back."""
    key, seen = use.key, to_microseconds(use.last_seen)
    statement = build_insert(tx, uses).values(
        image_id=key.image_id,
        project_id=key.project_id,
        kind=key.kind.value,
        use_id=key.use_id,
        recorded_at=to_microseconds(use.recorded_at),
        last_seen=seen,
    )
    again = {"last_seen": greatest(tx, uses.c.last_seen, statement.excluded.last_seen)}
    tx.execute(statement.on_conflict_do_update(index_elements=["image_id", "project_id", "kind", "use_id"], set_=again))
    note_use(tx, key.image_id, key.project_id, now=use.last_seen)


def remove(tx: Transaction, key: UseKey, *, seen_until: datetime | None) -> bool:
    """Delete a use that was seen last at this time or before, None is ever; return whether there was one."""
    is_old = () if seen_until is None else (uses.c.last_seen <= to_microseconds(seen_until),)
    return tx.execute(delete(uses).where(*_is_row(key), *is_old)).rowcount == 1


def count(tx: Transaction, image_id: ImageID, project_id: ProjectID) -> int:
    """Count the recorded uses of an image by one project."""
    of = _of_project(image_id, project_id)
    return int(tx.execute(select(func.count()).select_from(uses).where(*of)).scalar_one())


def has_any(tx: Transaction, image_id: ImageID, project_id: ProjectID) -> bool:
    """Whether a project is known to use an image: a use is recorded, or one could not be, because there were too many."""
    recorded = exists().where(*_of_project(image_id, project_id))
    unrecorded = exists().where(
        last_uses.c.image_id == image_id, last_uses.c.project_id == project_id, last_uses.c.exceeded_at.is_not(None)
    )
    return bool(tx.execute(select(or_(recorded, unrecorded))).scalar_one())


def list_of_project(
    tx: Transaction, image_id: ImageID, project_id: ProjectID, *, limit_rows: int, after: tuple[UseKind, str] | None = None
) -> list[Use]:
    """List the uses of an image by one project, by kind and id, after a position."""
    statement = select(*_COLUMNS).where(*_of_project(image_id, project_id))
    if after is not None:
        statement = statement.where(tuple_(*_KEY) > tuple_(*(bindparam(None, each) for each in after)))
    return [_parse(row) for row in tx.execute(statement.order_by(*_KEY).limit(limit_rows))]


def find_of_project(tx: Transaction, image_id: ImageID, project_id: ProjectID) -> ProjectUses:
    """Return what is known of one project's uses of an image."""
    found = _summarise(tx, image_id, last_uses.c.project_id == project_id, uses.c.project_id == project_id, limit_rows=1)
    return found[0] if found else ProjectUses(project_id=project_id)


def list_by_project(tx: Transaction, image_id: ImageID) -> list[ProjectUses]:
    """List what is known of each project's uses of an image, by project. Projects without a known use are not listed."""
    return _summarise(tx, image_id, limit_rows=None)


def list_for_owner(
    tx: Transaction, image_id: ImageID, owner: ProjectID | None, *, now: datetime, limit_rows: int, after: ProjectID | None = None
) -> list[ProjectUses]:
    """List what is known of the uses of an image by its owner and its members, by project, after a position.

    A project is a member as long as its membership has not expired, or a notice runs for it.
    """
    after = after or ProjectID("")
    known = and_(last_uses.c.project_id > after, _is_member(owner, now))
    return _summarise(tx, image_id, known, uses.c.project_id > after, limit_rows=limit_rows)


def count_others(tx: Transaction, image_id: ImageID, owner: ProjectID | None, *, now: datetime) -> int:
    """Count the projects that have a server or volume of an image, and are neither its owner nor its members."""
    has_uses = exists().where(uses.c.image_id == last_uses.c.image_id, uses.c.project_id == last_uses.c.project_id)
    uses_it = or_(last_uses.c.exceeded_at.is_not(None), has_uses)
    of = (last_uses.c.image_id == image_id, not_(_is_member(owner, now)), uses_it)
    return int(tx.execute(select(func.count()).select_from(last_uses).where(*of)).scalar_one())


def note_use(tx: Transaction, image_id: ImageID, project_id: ProjectID, *, now: datetime) -> None:
    """Note the latest time at which a project is known to use an image."""
    _note(tx, image_id, project_id, {"used_at": to_microseconds(now)})


def note_exceeded(tx: Transaction, image_id: ImageID, project_id: ProjectID, *, now: datetime) -> None:
    """Note that a project has a use that could not be recorded, because it has as many as may be recorded."""
    moment = to_microseconds(now)
    _note(tx, image_id, project_id, {"used_at": moment, "exceeded_at": moment})


def note_downloads(tx: Transaction, downloads: Mapping[tuple[ImageID, ProjectID], datetime]) -> None:
    """Note the last downloads of images by projects. Images that were deleted meanwhile are ignored."""
    wanted = sorted({image_id for image_id, _ in downloads})
    locked = select(images.c.id).where(images.c.id.in_(wanted)).order_by(images.c.id).with_for_update(read=True, key_share=True)
    existing = set(tx.execute(locked).scalars())
    for (image_id, project_id), moment in sorted(downloads.items()):  # in one order, so that two processes never deadlock
        if image_id in existing:
            _note(tx, image_id, project_id, {"downloaded_at": to_microseconds(moment)})


def clear_exceeded(tx: Transaction, image_id: ImageID, project_id: ProjectID, *, before: datetime) -> bool:
    """Note that all uses of a project are recorded, unless one could not be since; return whether that has changed."""
    of = (last_uses.c.image_id == image_id, last_uses.c.project_id == project_id)
    was = last_uses.c.exceeded_at < to_microseconds(before)
    return tx.execute(update(last_uses).where(*of, was).values(exceeded_at=None)).rowcount == 1


def list_exceeded(
    tx: Transaction, *, before: datetime, limit_rows: int, after: tuple[ImageID, ProjectID] | None = None
) -> list[tuple[ImageID, ProjectID]]:
    """List the projects that have had a use that could not be recorded, the last one before a time; by image, after a position."""
    columns = (last_uses.c.image_id, last_uses.c.project_id)
    statement = select(*columns).where(last_uses.c.exceeded_at < to_microseconds(before))
    if after is not None:
        statement = statement.where(tuple_(*columns) > tuple_(*(bindparam(None, each) for each in after)))
    rows = tx.execute(statement.order_by(*columns).limit(limit_rows))
    return [(ImageID(image_id), ProjectID(project_id)) for image_id, project_id in rows]


def count_by_image(tx: Transaction, *, limit_rows: int, after: tuple[ImageID, UseKind] | None = None) -> list[ImageUses]:
    """Count the recorded uses of each image and kind, by image and kind, after a position."""
    columns = (uses.c.image_id, uses.c.kind)
    statement = select(*columns, func.count(), func.count(uses.c.project_id.distinct()))
    if after is not None:
        statement = statement.where(tuple_(*columns) > tuple_(*(bindparam(None, each) for each in after)))
    rows = tx.execute(statement.group_by(*columns).order_by(*columns).limit(limit_rows))
    return [
        ImageUses(image_id=ImageID(image_id), kind=UseKind(kind), uses=number, projects=projects)
        for image_id, kind, number, projects in rows
    ]


def list_all(tx: Transaction, *, seen_until: datetime, limit_rows: int, after: UseKey | None = None) -> list[UseKey]:
    """List the uses of all images that were seen last at a time or before, after a position."""
    statement = select(*_COLUMNS).where(uses.c.last_seen <= to_microseconds(seen_until))
    position = (uses.c.image_id, uses.c.project_id, *_KEY)
    if after is not None:
        last = (after.image_id, after.project_id, after.kind, after.use_id)
        statement = statement.where(tuple_(*position) > tuple_(*(bindparam(None, each) for each in last)))
    return [_parse(row).key for row in tx.execute(statement.order_by(*position).limit(limit_rows))]


def list_keys(tx: Transaction, kind: UseKind, use_id: str) -> list[UseKey]:
    """List all uses of a server or volume, of whatever image and project."""
    statement = select(uses.c.image_id, uses.c.project_id).where(uses.c.kind == kind.value, uses.c.use_id == use_id)
    rows = tx.execute(statement.order_by(uses.c.image_id, uses.c.project_id))
    return [UseKey(image_id=ImageID(image), project_id=ProjectID(project), kind=kind, use_id=use_id) for image, project in rows]


def note_ended(tx: Transaction, kind: UseKind, use_id: str, *, now: datetime) -> None:
    """Note that a server or volume was deleted."""
    statement = build_insert(tx, ended_uses).values(kind=kind.value, use_id=use_id, ended_at=to_microseconds(now))
    tx.execute(statement.on_conflict_do_nothing(index_elements=["kind", "use_id"]))


def has_ended(tx: Transaction, kind: UseKind, use_id: str) -> bool:
    """Whether a server or volume was deleted."""
    of = (ended_uses.c.kind == kind.value, ended_uses.c.use_id == use_id)
    return tx.execute(select(ended_uses.c.ended_at).where(*of)).first() is not None


def remove_ended(tx: Transaction, *, before: datetime) -> int:
    """Forget the servers and volumes that were deleted before a time; return how many."""
    return tx.execute(delete(ended_uses).where(ended_uses.c.ended_at < to_microseconds(before))).rowcount


def remove_all(tx: Transaction, image_ids: Collection[ImageID]) -> None:
    """Delete what is known of the uses of images that are gone for good."""
    for table in (uses, last_uses):
        tx.execute(delete(table).where(table.c.image_id == bindparam("gone")), [{"gone": each} for each in image_ids])


def _summarise(
    tx: Transaction,
    image_id: ImageID,
    narrow_last: ColumnElement[bool] | None = None,
    narrow_uses: ColumnElement[bool] | None = None,
    *,
    limit_rows: int | None,
) -> list[ProjectUses]:
    columns = (last_uses.c.project_id, last_uses.c.used_at, last_uses.c.downloaded_at, last_uses.c.exceeded_at)
    known = select(*columns).where(last_uses.c.image_id == image_id).order_by(last_uses.c.project_id).limit(limit_rows)
    rows = tx.execute(known if narrow_last is None else known.where(narrow_last)).all()
    counted = select(uses.c.project_id, uses.c.kind, func.count()).where(uses.c.image_id == image_id)
    if narrow_uses is not None:
        counted = counted.where(narrow_uses)
    if limit_rows is not None and rows:
        counted = counted.where(uses.c.project_id <= rows[-1].project_id)
    counts: dict[str, dict[UseKind, int]] = {}
    for project_id, kind, number in tx.execute(counted.group_by(uses.c.project_id, uses.c.kind)):
        counts.setdefault(project_id, {})[UseKind(kind)] = number
    return [
        ProjectUses(
            project_id=ProjectID(row.project_id),
            counts=counts.get(row.project_id, {}),
            is_complete=row.exceeded_at is None,
            last_used=_optional_time(row.used_at),
            last_download=_optional_time(row.downloaded_at),
        )
        for row in rows
    ]


def _is_member(owner: ProjectID | None, now: datetime) -> ColumnElement[bool]:
    """SQL condition: the project of the row of `last_uses` is the image's owner, or its owner knows it as a member."""
    moment = to_microseconds(now)
    shared = exists().where(
        members.c.image_id == last_uses.c.image_id, members.c.member_id == last_uses.c.project_id, members.c.expires_at > moment
    )
    ending = exists().where(
        endings.c.image_id == last_uses.c.image_id, endings.c.member_id == last_uses.c.project_id, endings.c.ends_at > moment
    )
    return or_(last_uses.c.project_id == (owner or ""), shared, ending)


def _note(tx: Transaction, image_id: ImageID, project_id: ProjectID, moments: Mapping[str, int]) -> None:
    """Write later times into the row of an image and a project."""
    statement = build_insert(tx, last_uses).values(image_id=image_id, project_id=project_id, **moments)
    again = {name: greatest(tx, func.coalesce(last_uses.c[name], 0), statement.excluded[name]) for name in moments}
    tx.execute(statement.on_conflict_do_update(index_elements=["image_id", "project_id"], set_=again))


def _of_project(image_id: ImageID, project_id: ProjectID) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return uses.c.image_id == image_id, uses.c.project_id == project_id


def _is_row(key: UseKey) -> tuple[ColumnElement[bool], ...]:
    return *_of_project(key.image_id, key.project_id), uses.c.kind == key.kind.value, uses.c.use_id == key.use_id


def _parse(row: Sequence[Any]) -> Use:
    image_id, project_id, kind, use_id, recorded_at, last_seen = row
    key = UseKey(image_id=ImageID(image_id), project_id=ProjectID(project_id), kind=UseKind(kind), use_id=use_id)
    return Use(key, from_microseconds(recorded_at), from_microseconds(last_seen))


def _optional_time(stored: int | None) -> datetime | None:
    return None if stored is None else from_microseconds(stored)
