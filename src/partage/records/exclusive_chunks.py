"""Which contents an image names, and which chunks nothing else names. Reads only, a bounded number of manifest segments.

`known_to` restricts what else is looked at to images that a project knows: its own, and those that are retained after it deleted
them. Images that it deleted and can restore are left out.
"""

from collections.abc import Collection, Iterator
from itertools import chain

from sqlalchemy import Select, bindparam, exists, or_, select, union_all

from partage.content.manifest import Segment
from partage.model.ids import ChunkDigest, ContentID, ImageID, ProjectID, StoreID
from partage.records import content_references, contents
from partage.records.content_references import REFERENCES
from partage.records.database import Transaction
from partage.records.tables import endings, images, manifests

_NAMED_BY_OTHERS = or_(
    *(
        exists(
            select(each.column).where(
                each.column == manifests.c.content_id, each.image_id != bindparam("image_id"), each.is_in_store
            )
        )
        for each in REFERENCES
    )
)
"""SQL condition on manifests: something other than the image names the content in the store of `bind_store`."""

_OF_PROJECT = or_(
    images.c.owner == bindparam("project_id"),
    # An index finds the retained images of a project by their endings only.
    images.c.id.in_(select(endings.c.image_id).where(endings.c.owner == bindparam("project_id")))
    & (images.c.former_owner == bindparam("project_id")),
)
_KNOWN = union_all(
    *(
        select(each.column.label("content_id")).where(
            each.image_id.in_(select(images.c.id).where(_OF_PROJECT)),
            each.image_id != bindparam("image_id"),
            each.is_in_store,
            each.column.is_not(None),
        )
        for each in REFERENCES
    )
).subquery()
"""The contents that other images of a project name in the store of `bind_store`."""


def list_named(tx: Transaction, image_id: ImageID, store_id: StoreID) -> list[ContentID]:
    """List the contents that an image names in a store."""
    given = content_references.bind_store(store_id)
    statements = (
        select(each.column).where(each.image_id == image_id, each.is_in_store, each.column.is_not(None)) for each in REFERENCES
    )
    found = (tx.execute(each, given).scalars() for each in statements)
    return sorted({ContentID(each) for each in chain.from_iterable(found)})


def is_named_by_others(
    tx: Transaction, content_id: ContentID, image_id: ImageID, store_id: StoreID, *, known_to: ProjectID | None = None
) -> bool:
    """Whether something other than the image names the content in the store."""
    given = content_references.bind_store(store_id)
    if known_to is not None:
        known = select(_KNOWN.c.content_id).where(_KNOWN.c.content_id == content_id).limit(1)
        return tx.execute(known, {**given, "image_id": image_id, "project_id": known_to}).first() is not None
    return any(
        tx.execute(
            select(each.column).where(each.column == content_id, each.image_id != image_id, each.is_in_store).limit(1), given
        ).first()
        for each in REFERENCES
    )


def list_segments(tx: Transaction, content_ids: Collection[ContentID], *, limit_rows: int) -> list[Segment]:
    """List the manifest segments of contents, at most `limit_rows`."""
    return list(_walk(tx, select(*_SEGMENT).where(manifests.c.content_id.in_(content_ids)), limit_rows, {}))


def walk_segments_of_others(
    tx: Transaction, image_id: ImageID, store_id: StoreID, *, limit_rows: int, known_to: ProjectID | None = None
) -> Iterator[Segment]:
    """Yield the manifest segments of the contents that something other than the image names in the store, at most `limit_rows`."""
    given = {**content_references.bind_store(store_id), "image_id": image_id}
    if known_to is not None:
        known = manifests.c.content_id.in_(select(_KNOWN.c.content_id))
        yield from _walk(tx, select(*_SEGMENT).where(known), limit_rows, {**given, "project_id": known_to})
        return
    yield from _walk(tx, select(*_SEGMENT).where(_NAMED_BY_OTHERS), limit_rows, given)


def sum_stored_bytes(tx: Transaction, store_id: StoreID, digests: Collection[ChunkDigest]) -> int:
    """Sum the stored sizes of chunks. Chunks that the index does not have count as none."""
    return sum(each.stored_bytes for each in contents.locate(tx, store_id, digests).values())


_SEGMENT = (manifests.c.start, manifests.c.encoded)


def _walk(tx: Transaction, statement: Select[tuple[int, bytes]], limit_rows: int, given: dict[str, str]) -> Iterator[Segment]:
    for row in tx.execute(statement.limit(limit_rows), given):
        yield Segment(start=row.start, encoded=row.encoded)
