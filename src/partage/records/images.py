"""Rows of images with their tags and properties: find, page, add, save, change status, remove."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Table,
    and_,
    bindparam,
    case,
    delete,
    exc,
    false,
    func,
    insert,
    literal,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ContentID, ImageID, ProjectID, StoreID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.location import Reference
from partage.model.query import ImageQuery, Position
from partage.records import guards, paging, selective, uses, visibility
from partage.records.compiled import CompiledSelect
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.dialects import build_insert
from partage.records.paging import QueryShape
from partage.records.tables import (
    claim_codes,
    deleted_images,
    endings,
    image_properties,
    image_tags,
    images,
    members,
    pending_deletes,
)
from partage.records.unindexed import Unindexed

_COLUMNS = tuple(column for column in images.c if column.name != "details_bytes")
_BY_ID = select(*_COLUMNS).where(images.c.id == bindparam("image_id"))
_IS_HIDDEN_BY_OWNER = or_(
    images.c.visibility == visibility.literal(Visibility.PRIVATE),
    images.c.status == literal_column(f"'{ImageStatus.DEACTIVATED.value}'"),
)
# In the same statement as the image: in a transaction that writes, a second one sees what others have committed since.
_IS_PROMISED = case((_IS_HIDDEN_BY_OWNER, visibility.has_notice()), else_=false()).label("promised")
_VISIBLE = select(*_COLUMNS, _IS_PROMISED).where(images.c.id == bindparam("image_id"))
_FIND = {is_admin: CompiledSelect(_VISIBLE.where(visibility.visible_by_id(is_admin=is_admin))) for is_admin in (False, True)}
_HAS_NOTICE = CompiledSelect(select(images.c.id).where(images.c.id == bindparam("image_id"), visibility.has_notice()))
_FIND_PUBLIC = CompiledSelect(_VISIBLE.where(visibility.PUBLIC))
_FIND_FOR_CHANGE = {is_admin: CompiledSelect(found.statement.with_for_update(of=images)) for is_admin, found in _FIND.items()}
_FIND_PUBLIC_FOR_CHANGE = CompiledSelect(_FIND_PUBLIC.statement.with_for_update(of=images))
_FIND_FOR_WORK = _BY_ID.with_for_update()
_LOCK = select(images.c.id).where(images.c.id == bindparam("image_id")).with_for_update()
_ID_WAS_USED = union_all(
    select(deleted_images.c.id).where(deleted_images.c.id == bindparam("image_id")),
    select(pending_deletes.c.image_id).where(pending_deletes.c.image_id == bindparam("image_id")),
)
_CHANGE_STATUS = update(images).where(images.c.id == bindparam("image_id"), images.c.status == bindparam("was"))


def find(tx: Transaction, caller: Caller, image_id: ImageID, *, now: datetime) -> Image:
    """Return the image as the caller sees it, see `view`.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
    """
    statement = _FIND_PUBLIC if caller.is_anonymous else _FIND[caller.is_admin]
    image, is_promised = _find_row(tx, statement, caller, image_id, now)
    return image.as_shared() if is_promised and _can_differ_for(caller, image) else image


def find_for_change(tx: Transaction, caller: Caller, image_id: ImageID, *, now: datetime) -> Image:
    """Return the image as its row has it, and lock the row until the transaction ends.

    Raises:
        ImageNotFound: as `find`.
    """
    statement = _FIND_PUBLIC_FOR_CHANGE if caller.is_anonymous else _FIND_FOR_CHANGE[caller.is_admin]
    given = visibility.bind_caller(caller, now) | {"image_id": image_id}
    plain = _FIND_PUBLIC if caller.is_anonymous else _FIND[caller.is_admin]
    while (row := statement.fetch_first(tx, given)) is None:
        # On PostgreSQL, a statement that has waited for the lock reads the image anew, but members and endings as they were before.
        # So it does not find an image that was retained meanwhile. A new statement does; if the image is not there, it raises.
        _find_row(tx, plain, caller, image_id, now)
    image = _image(row[:-1])
    # For the same reason it finds an image that the caller sees no more, unless the caller owns it.
    return image if image.owner == caller.project_id else _find_row(tx, plain, caller, image_id, now)[0]


def view(tx: Transaction, caller: Caller, image: Image, *, now: datetime) -> Image:
    """Return an image as the caller sees it: a member whose notice runs sees it as it was shared."""
    if not _can_differ_for(caller, image):
        return image
    has_notice = _HAS_NOTICE.fetch_first(tx, visibility.bind_caller(caller, now) | {"image_id": image.id}) is not None
    return image.as_shared() if has_notice else image


def _can_differ_for(caller: Caller, image: Image) -> bool:
    """Whether the image would look different to a member whose notice runs: it is private or deactivated."""
    if caller.is_admin or caller.project_id is None or image.owner == caller.project_id:
        return False
    return image.visibility is Visibility.PRIVATE or image.status is ImageStatus.DEACTIVATED


def find_for_work(tx: Transaction, image_id: ImageID) -> Image | None:
    """Return the image, locked, without regard to visibility; for workers. None if it was deleted."""
    row = tx.execute(_FIND_FOR_WORK, {"image_id": image_id}).first()
    return None if row is None else _image(row)


def find_or_none(tx: Transaction, image_id: ImageID) -> Image | None:
    """Return the image, not locked, without regard to visibility; for operators. None if there is no such image."""
    row = tx.execute(_BY_ID, {"image_id": image_id}).first()
    return None if row is None else _image(row)


def lock(tx: Transaction, image_id: ImageID) -> None:
    """Lock the image's row, if it exists, until the transaction ends.

    A transaction that changes an image and its upload locks the image first, to avoid deadlocks.
    """
    tx.execute(_LOCK, {"image_id": image_id})


@dataclass(frozen=True, slots=True)
class Slice:
    """Some images of a list, and whether there are more."""

    images: Sequence[Image]
    has_more: bool


def page(tx: Transaction, caller: Caller, query: ImageQuery, *, after: Position | None, most_bytes: int, now: datetime) -> Slice:
    """Return at most `query.limit` matching images in order, from the position `after` or from the start.

    Images for which the caller's notice runs are filtered and returned as they were shared. The page ends early, after at least one
    image, where tags, properties and locations would together take more than `most_bytes`.
    """
    restricted = visibility.restrict_to_public(query, caller)
    if restricted is None:
        return Slice((), has_more=False)
    bounds = {"rows": query.limit + 1, "most_bytes": most_bytes}
    given = visibility.bind_caller(caller, now) | paging.bind_query(restricted, after) | bounds
    start = selective.choose(tx, restricted, given)
    # Only an index by name has the images of all projects in order; by time, shares and endings are in the order of the list.
    is_by_name = query.sort[0].attribute == "name" and not start
    shape = paging.shape_of(
        restricted,
        is_admin=caller.is_admin,
        has_position=after is not None,
        start=start,
        has_few_shares=is_by_name and selective.has_few_shares(tx, given),
        has_few_endings=not is_by_name or selective.has_few_endings(tx, given),
        merges=tx.dialect.name == "sqlite",
    )
    # Large statements are not cached: one with 190 filters takes 5 MiB, and a few hundred of them would exhaust the memory.
    statement = _compile_page(shape) if shape.is_large else _recall_page(shape)
    rows = statement.fetch_all(tx, given)
    found = [_decode_listed(row) for row in rows[: query.limit]]
    return Slice(found, has_more=bool(rows) and rows[0][-1] > len(found))


def add(tx: Transaction, image: Image) -> None:
    """Insert an image with its tags and properties.

    Raises:
        ImageExists: another image has the id, or had it before it was deleted.
    """
    taken = problems.ImageExists(f"Image ID {image.id} already exists!")
    try:
        tx.execute(insert(images), _row(image))
    except exc.IntegrityError as error:
        raise taken from error
    # After the insert, which waits for a concurrent deletion of the same id; a check before it would not see that deletion.
    if tx.execute(_ID_WAS_USED, {"image_id": image.id}).first() is not None:
        raise taken
    _add_details(tx, image)


def was_deleted(tx: Transaction, image_id: ImageID) -> bool:
    """Return whether an image had this id and was deleted, restorable or not."""
    return tx.execute(_ID_WAS_USED, {"image_id": image_id}).first() is not None


def note_deleted(tx: Transaction, image_ids: Collection[ImageID], *, now: datetime) -> int:
    """Record ids of images that another service has deleted, so that they are never used here; return how many are new."""
    statement = build_insert(tx, deleted_images).on_conflict_do_nothing(index_elements=["id"])
    return sum(tx.execute(statement.values(id=each, deleted_at=to_microseconds(now))).rowcount for each in image_ids)


def save(tx: Transaction, image: Image, *, was: Image) -> None:
    """Write a changed image over the one that `find_for_change` returned in this transaction."""
    tx.execute(update(images).where(images.c.id == image.id), _row(image))
    if image.tags != was.tags or image.properties != was.properties:
        tx.execute(delete(image_tags).where(image_tags.c.image_id == image.id))
        tx.execute(delete(image_properties).where(image_properties.c.image_id == image.id))
        _add_details(tx, image)
    owner, former = image.former_owner or image.owner, was.former_owner or was.owner
    if owner != former:
        for table in (members, endings, claim_codes):
            tx.execute(update(table).where(table.c.image_id == image.id).values(owner=owner))


def change_status(tx: Transaction, image: Image, *, was: ImageStatus) -> bool:
    """Write status, size, digests and content if the status still is `was` (compare-and-set); return whether it was.

    Other attributes keep their values in the database: the owner may have changed them during the upload.
    """
    names = ("status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "updated_at", "content_id", "stores",
             "location_references")  # fmt: skip
    values = {name: value for name, value in _row(image).items() if name in names}
    statement = _CHANGE_STATUS.values(values)
    return tx.execute(statement, {"image_id": image.id, "was": was.value}).rowcount == 1


def queue_again(tx: Transaction, image_id: ImageID, *, now: datetime) -> bool:
    """Set an image that is `saving` or `uploading` back to `queued`; return whether it was."""
    waiting = images.c.status.in_((ImageStatus.SAVING.value, ImageStatus.UPLOADING.value))
    statement = update(images).where(images.c.id == image_id, waiting)
    return tx.execute(statement.values(status=ImageStatus.QUEUED.value, updated_at=to_microseconds(now))).rowcount == 1


def remove(tx: Transaction, image: Image) -> None:
    """Delete an image with its members, tags, properties and uses, and record its id as used. The sweep removes its content."""
    tx.execute(delete(images).where(images.c.id == image.id))
    uses.remove_all(tx, [image.id])
    guards.remove_all(tx, [image.id])
    tx.execute(insert(deleted_images), {"id": image.id, "deleted_at": to_microseconds(image.updated_at)})


def soft_delete(tx: Transaction, image: Image) -> None:
    """Delete an image whose row in `pending_deletes` has all of it, including its id."""
    tx.execute(delete(images).where(images.c.id == image.id))


def encode(image: Image) -> str:
    """Encode an image as JSON, for its row in `pending_deletes`."""
    return orjson.dumps(_row(image)).decode()


def decode(encoded: str) -> Image:
    """Decode an image that `encode` encoded."""
    row = orjson.loads(encoded)
    return _image([row.get(column.name) for column in _COLUMNS])


def list_owned(tx: Transaction, project_id: ProjectID, *, after: Image | None = None, limit_rows: int) -> list[Image]:
    """List a project's own images, oldest first, after an image or from the first; for the service itself, not for callers."""
    key = (images.c.created_at, images.c.id)
    statement = select(*_COLUMNS).where(images.c.owner == project_id)
    if after is not None:
        statement = statement.where(tuple_(*key) > tuple_(literal(to_microseconds(after.created_at)), literal(str(after.id))))
    return [_image(row) for row in tx.execute(statement.order_by(*key).limit(limit_rows))]


_LIST_RECENT = CompiledSelect(
    select(*_COLUMNS)
    .where(images.c.owner == bindparam("owner"), images.c.status == bindparam("status"))
    .order_by(images.c.created_at.desc(), images.c.id.desc())
    .limit(bindparam("limit_rows"))
)


def list_recent(tx: Transaction, project_id: ProjectID, *, limit_rows: int) -> list[Image]:
    """List a project's own active images, newest first."""
    given = {"owner": project_id, "status": ImageStatus.ACTIVE.value, "limit_rows": limit_rows}
    return [_image(row) for row in _LIST_RECENT.fetch_all(tx, given)]


def list_by_content(tx: Transaction, content_id: ContentID) -> list[Image]:
    """List the images that have this content; for verification, not for callers."""
    return [_image(row) for row in tx.execute(select(*_COLUMNS).where(images.c.content_id == content_id))]


def _find_row(tx: Transaction, statement: CompiledSelect, caller: Caller, image_id: ImageID, now: datetime) -> tuple[Image, bool]:
    """Return an image as its row has it, and whether a notice of the caller's project shows it otherwise."""
    row = statement.fetch_first(tx, visibility.bind_caller(caller, now) | {"image_id": image_id})
    if row is None:
        raise problems.ImageNotFound(f"No image found with ID {image_id}")
    return _image(row[:-1]), bool(row[-1])


def _decode_listed(row: Sequence[Any]) -> Image:
    *columns, is_promised, _count = row
    image = _image(columns)
    return image.as_shared() if is_promised else image


def _compile_page(shape: QueryShape) -> CompiledSelect:
    """Compile a list. In an order that shares do not have, PostgreSQL plans it by value: it depends on how many there are."""
    return CompiledSelect(_page_statement(shape), is_planned_by_value=not paging.is_by_time(shape))


_recall_page = lru_cache(maxsize=512)(_compile_page)


def _page_statement(shape: QueryShape) -> Select[tuple[object, ...]]:
    """Build the statement of a page.

    1. Each branch selects the sort keys of its images in list order, with the page's limit. If the list starts from the few images
       that match a filter, the branches select from these.
    2. The union of the branches is sorted and limited again. If it is merged, this gives the branches their order and their limit.
    3. A running sum of sizes cuts the page where its images would take too many bytes. It reads only numbers.
    4. The full rows, which may be long, are read for the remaining images.
    """
    branches = _start_from_filter(shape) if shape.start else [each for branch in _branches(shape) for each in _walk(shape, branch)]
    found: CompoundSelect[tuple[object, ...]] = union_all(
        *(branches if shape.is_merged else (select(each.subquery()) for each in branches))
    )
    candidates = found.subquery("candidates")
    sorted_keys = [candidates.c[f"key_{number}"] for number in range(len(shape.sort))]
    chosen_rows = select(candidates).order_by(*paging.order(shape, sorted_keys)).limit(paging.ROWS)
    if shape.start:
        chosen_rows = chosen_rows.where(paging.is_after(shape, sorted_keys))
    chosen = chosen_rows.subquery("chosen")
    own_bytes = images.c.details_bytes + func.length(images.c.location_references)
    in_order = paging.order(shape, [chosen.c[f"key_{number}"] for number in range(len(shape.sort))])
    sized = (
        select(
            *chosen.c,
            own_bytes.label("own_bytes"),
            func.sum(own_bytes).over(order_by=in_order, rows=(None, 0)).label("total_bytes"),
            func.count().over().label("found"),
        )
        .join(images, images.c.id == chosen.c.image_id)
        .subquery("sized")
    )
    final_keys = [sized.c[f"key_{number}"] for number in range(len(shape.sort))]
    return (
        select(*_COLUMNS, sized.c.promised, sized.c.found)
        .join(sized, sized.c.image_id == images.c.id)
        .where(or_(sized.c.total_bytes <= paging.MOST_BYTES, sized.c.total_bytes == sized.c.own_bytes))
        .order_by(*paging.order(shape, final_keys))
    )


@dataclass(frozen=True, slots=True)
class _Branch:
    """A part of a list: the images that match `clause`, joined with `through` where the branch walks a project's shares.

    `is_promised`: the images are listed as they were shared, whatever their owner changed since.
    """

    clause: ColumnElement[bool]
    through: Table | None = None
    is_promised: bool = False


def _start_from_filter(shape: QueryShape) -> list[Select[tuple[object, ...]]]:
    """Select the sort keys of the images that match the shape's filter `start`, if the caller's list has them."""
    if shape.start is None:
        raise TypeError(shape)
    few = selective.select_ids(shape.start, most=selective.MOST_FOUND).cte("few")
    for dialect in ("sqlite", "postgresql"):  # MariaDB has no such word, and evaluates a subquery with a limit by itself
        few = few.prefix_with("MATERIALIZED", dialect=dialect)
    found = []
    for is_promised in (False, True):
        seen = _AS_SHARED if is_promised else {}
        clauses = [_restrict_image(each) for each in _branches(shape, is_by_id=True) if each.is_promised is is_promised]
        if not clauses:
            continue
        columns: list[ColumnElement[object]] = [paging.sort_column(key.attribute, seen) for key in shape.sort]
        keys = [column.label(f"key_{number}") for number, column in enumerate(columns)]
        promised: ColumnElement[int] = literal_column(str(int(is_promised))).label("promised")
        statement = select(images.c.id.label("image_id"), promised, *keys).join(few, few.c.image_id == images.c.id)
        # OFFSET keeps the page's position out of the subquery: PostgreSQL read an index of it besides the few images.
        found.append(statement.where(or_(*clauses), paging.matches(shape, seen)).offset(literal_column("0")))
    return found


def _restrict_image(branch: _Branch) -> ColumnElement[bool]:
    """SQL condition on an image: the branch has it."""
    if branch.through is None:
        return branch.clause
    share = branch.through.c
    return visibility.exists_for_each(select(share.image_id).where(share.image_id == images.c.id, branch.clause).correlate(images))


def _walk(shape: QueryShape, branch: _Branch) -> list[Select[tuple[object, ...]]]:
    """Select the sort keys of a branch in the order of the list, from each range of its index."""
    seen = dict(_AS_SHARED) if branch.is_promised else {}
    if branch.through is not None:
        # A share has a copy of its image's created_at and id, so its index returns rows in the default order, and those of a time.
        seen |= {"created_at": branch.through.c.image_created_at, "id": branch.through.c.image_id}
    columns: list[ColumnElement[object]] = [paging.sort_column(key.attribute, seen) for key in shape.sort]
    keys = [column.label(f"key_{number}") for number, column in enumerate(columns)]
    promised: ColumnElement[int] = literal_column("1" if branch.is_promised else "0").label("promised")
    statement = select(images.c.id.label("image_id"), promised, *keys).where(branch.clause, paging.matches(shape, seen))
    if branch.through is not None:
        statement = statement.join(branch.through, branch.through.c.image_id == images.c.id)
    if not shape.is_merged:
        statement = statement.order_by(*paging.order(shape, columns)).limit(literal_column(str(shape.most_rows)))
    return [statement.where(each) for each in paging.list_ranges(shape, columns)]


_AS_SHARED: Mapping[str, ColumnElement[Any]] = {
    "status": case(
        (images.c.status == ImageStatus.DEACTIVATED.value, literal_column(f"'{ImageStatus.ACTIVE.value}'")), else_=images.c.status
    ),
    "visibility": case(
        (images.c.visibility == visibility.literal(Visibility.PRIVATE), visibility.literal(Visibility.SHARED)),
        else_=images.c.visibility,
    ),
    "owner": func.coalesce(images.c.former_owner, images.c.owner),
}
"""Attributes that a list shows differently from the image's row while a notice runs."""


def _branches(shape: QueryShape, *, is_by_id: bool = False) -> list[_Branch]:
    """Split a list into disjoint branches, each of which walks one index; none if images are found `is_by_id`."""
    # By an expression, no index is used: SQLite finds the images by the only condition that is left, their ids.
    owner = Unindexed(images.c.owner) if is_by_id else images.c.owner
    of = Unindexed(images.c.visibility) if is_by_id else images.c.visibility
    if shape.is_admin:
        existing = visibility.is_owned_or_held()
        if shape.visibility is not None:
            return [_Branch(and_(existing, of == visibility.literal(Visibility(shape.visibility))))]
        if shape.all_visibilities:
            return [_Branch(existing)]
        return [_Branch(and_(existing, or_(of != visibility.literal(Visibility.COMMUNITY), owner == visibility.PROJECT)))]
    mine = owner == visibility.PROJECT
    mine_of = of if paging.is_by_time(shape) else Unindexed(images.c.visibility)  # else SQLite walks the images of all projects
    branches = [
        _Branch(mine if shape.visibility is None else and_(mine, mine_of == visibility.literal(Visibility(shape.visibility))))
    ]
    wanted = [Visibility(shape.visibility)] if shape.visibility else [Visibility.SHARED, Visibility.PUBLIC]
    if shape.all_visibilities:
        wanted.append(Visibility.COMMUNITY)
    for each in wanted:
        theirs = and_(of == visibility.literal(each), visibility.NOT_MINE)
        if each is Visibility.SHARED:
            shared = Unindexed(images.c.visibility) if shape.from_shares else of
            offered = and_(shared == visibility.literal(each), visibility.NOT_MINE, *_build_member_conditions(shape))
            by_share = _Branch(offered, through=members)
            is_by_name = shape.sort[0].attribute == "name" and not shape.from_shares
            branches.append(_Branch(and_(of == visibility.literal(each), _restrict_image(by_share))) if is_by_name else by_share)
        elif each is not Visibility.PRIVATE:
            branches.append(_Branch(and_(theirs, not_(visibility.has_notice()))))
    noticed = _build_notice_branch(shape, wanted)
    if shape.from_endings or is_by_id:
        return [*branches, noticed]
    held = {*wanted, Visibility.PRIVATE} if Visibility.SHARED in wanted else {*wanted}  # private ones are listed as shared
    by_name = _restrict_image(noticed)
    return branches + [
        _Branch(and_(of == visibility.literal(each), by_name), is_promised=True) for each in Visibility if each in held
    ]


def _build_member_conditions(shape: QueryShape) -> list[ColumnElement[bool]]:
    offered = [
        members.c.member_id == visibility.PROJECT,
        visibility.UNEXPIRED,
        visibility.SHOWN,
        not_(visibility.member_has_notice()),
    ]
    return offered if shape.any_member_status else [*offered, members.c.status == bindparam("member_status")]


def _build_notice_branch(shape: QueryShape, wanted: Sequence[Visibility]) -> _Branch:
    """Build the branch of images for which the caller's notice runs, with the visibilities in `wanted`."""
    of = Unindexed(images.c.visibility)
    shared = or_(of == visibility.literal(Visibility.SHARED), of == visibility.literal(Visibility.PRIVATE))
    if not shape.any_member_status:
        shared = and_(shared, endings.c.status == bindparam("member_status"))
    seen = [
        shared if each is Visibility.SHARED else of == visibility.literal(each) for each in wanted if each is not Visibility.PRIVATE
    ]
    mine = (endings.c.member_id == visibility.PROJECT, visibility.RUNNING, visibility.NOT_MINE)
    return _Branch(and_(*mine, or_(false(), *seen)), through=endings, is_promised=True)


def _add_details(tx: Transaction, image: Image) -> None:
    if image.tags:
        tx.execute(insert(image_tags), [{"image_id": image.id, "tag": tag} for tag in image.tags])
    if image.properties:
        rows = [{"image_id": image.id, "name": name, "value": value} for name, value in image.properties.items()]
        tx.execute(insert(image_properties), rows)


def _row(image: Image) -> dict[str, object]:
    return {
        "id": image.id,
        "owner": image.owner,
        "name": image.name,
        "status": image.status.value,
        "visibility": image.visibility.value,
        "protected": image.protected,
        "os_hidden": image.os_hidden,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "size": image.size,
        "virtual_size": image.virtual_size,
        "checksum": image.checksum,
        "os_hash_algo": image.os_hash_algo,
        "os_hash_value": image.os_hash_value,
        "created_at": to_microseconds(image.created_at),
        "updated_at": to_microseconds(image.updated_at),
        "content_id": image.content_id,
        "stores": orjson.dumps(image.stores).decode(),
        "location_references": orjson.dumps([[each.url, each.store, each.metadata] for each in image.references]).decode(),
        "external_url": image.external_url,
        "former_owner": image.former_owner,
        "former_visibility": None if image.former_visibility is None else image.former_visibility.value,
        "former_status": None if image.former_status is None else image.former_status.value,
        "tags": orjson.dumps(image.tags).decode(),
        "properties": orjson.dumps(dict(image.properties)).decode(),
        "details_bytes": image.details_bytes,
    }


_STATUS = {each.value: each for each in ImageStatus}
_VISIBILITY = {each.value: each for each in Visibility}


def _image(row: Sequence[Any]) -> Image:
    (image_id, owner, name, status, visible, protected, os_hidden, min_disk, min_ram, disk_format, container_format, size,
     virtual_size, checksum, algorithm, value, created_at, updated_at, content_id, stores, references, external_url,
     former_owner, former_visibility, former_status, tags, properties) = row  # fmt: skip
    return Image(
        id=ImageID(image_id),
        owner=None if owner is None else ProjectID(owner),
        name=name,
        status=_STATUS[status],
        visibility=_VISIBILITY[visible],
        protected=bool(protected),
        os_hidden=bool(os_hidden),
        min_disk=min_disk,
        min_ram=min_ram,
        disk_format=disk_format,
        container_format=container_format,
        size=size,
        virtual_size=virtual_size,
        checksum=checksum,
        os_hash_algo=algorithm,
        os_hash_value=value,
        created_at=from_microseconds(created_at),
        updated_at=from_microseconds(updated_at),
        content_id=None if content_id is None else ContentID(content_id),
        stores=tuple(orjson.loads(stores)),
        references=() if references == "[]" else _references(references),
        external_url=external_url,
        former_owner=None if former_owner is None else ProjectID(former_owner),
        former_visibility=None if former_visibility is None else _VISIBILITY[former_visibility],
        former_status=None if former_status is None else _STATUS[former_status],
        tags=tuple(orjson.loads(tags)),
        properties=orjson.loads(properties),
    )


def _references(text: str) -> tuple[Reference, ...]:
    return tuple(Reference(url=url, store=StoreID(store), metadata=metadata) for url, store, metadata in orjson.loads(text))
