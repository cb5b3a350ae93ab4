"""Rows of the images that each node has cached, and of its queue."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, select, update

from partage.model.cache import CachedImage
from partage.model.ids import ContentID, ImageID
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.dialects import build_insert
from partage.records.tables import cache_queue, cached_images, images

_LIST = (
    select(
        cached_images.c.image_id,
        cached_images.c.hits,
        cached_images.c.last_accessed,
        cached_images.c.last_modified,
        images.c.size,
        images.c.checksum,
        images.c.content_id,
    )
    .join(images, images.c.id == cached_images.c.image_id)
    .where(cached_images.c.node == bindparam("node"))
    .order_by(cached_images.c.last_modified, cached_images.c.image_id)
)
_QUEUED = (
    select(cache_queue.c.image_id)
    .where(cache_queue.c.node == bindparam("node"))
    .order_by(cache_queue.c.queued_at, cache_queue.c.image_id)
)
_NODES = select(cached_images.c.node).where(cached_images.c.image_id == bindparam("image_id")).order_by(cached_images.c.node)


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """An image that a node has cached as long as it has a whole copy of the content."""

    image: CachedImage
    content_id: ContentID | None


def note(tx: Transaction, node: str, image_id: ImageID, *, now: datetime) -> None:
    """Insert the row of a cached image, or count one more read. The caller has locked the image's row."""
    moment = to_microseconds(now)
    statement = build_insert(tx, cached_images).values(
        image_id=image_id,
        node=node,
        hits=0,
        last_accessed=moment,
        last_modified=moment,
        packs="[]",
    )
    again = {"hits": cached_images.c.hits + 1, "last_accessed": moment}
    tx.execute(statement.on_conflict_do_update(index_elements=["image_id", "node"], set_=again))


def list_entries(tx: Transaction, node: str) -> list[CacheEntry]:
    """List the images that a node has cached, oldest first."""
    return [
        CacheEntry(
            CachedImage(
                image_id=ImageID(row.image_id),
                hits=row.hits,
                last_accessed=from_microseconds(row.last_accessed),
                last_modified=from_microseconds(row.last_modified),
                size=row.size or 0,
                checksum=row.checksum,
            ),
            None if row.content_id is None else ContentID(row.content_id),
        )
        for row in tx.execute(_LIST, {"node": node})
    ]


def list_nodes(tx: Transaction, image_id: ImageID) -> list[str]:
    """List the nodes that have an image cached."""
    return list(tx.execute(_NODES, {"image_id": image_id}).scalars())


def remove(tx: Transaction, node: str, image_id: ImageID) -> None:
    """Delete the row of an image that a node has cached."""
    tx.execute(delete(cached_images).where(cached_images.c.image_id == image_id, cached_images.c.node == node))


def remove_untouched(tx: Transaction, node: str, seen: CachedImage) -> None:
    """Delete the row of an image that a node has cached, unless it was read again since `seen`."""
    mine = (cached_images.c.image_id == seen.image_id, cached_images.c.node == node)
    tx.execute(delete(cached_images).where(*mine, cached_images.c.last_accessed == to_microseconds(seen.last_accessed)))


def clear(tx: Transaction, node: str) -> None:
    """Delete the rows of all images that a node has cached."""
    tx.execute(delete(cached_images).where(cached_images.c.node == node))


def queue(tx: Transaction, node: str, image_id: ImageID, *, now: datetime) -> None:
    """Queue an image for a node; an image that is queued already keeps its place."""
    statement = build_insert(tx, cache_queue).values(image_id=image_id, node=node, queued_at=to_microseconds(now))
    tx.execute(statement.on_conflict_do_nothing(index_elements=["image_id", "node"]))


def list_queued(tx: Transaction, node: str) -> list[ImageID]:
    """List the queue of a node, the next image first."""
    return [ImageID(each) for each in tx.execute(_QUEUED, {"node": node}).scalars()]


def defer(tx: Transaction, node: str, image_id: ImageID, *, now: datetime) -> None:
    """Move an image to the end of the queue."""
    mine = (cache_queue.c.image_id == image_id, cache_queue.c.node == node)
    tx.execute(update(cache_queue).where(*mine).values(queued_at=to_microseconds(now)))


def unqueue(tx: Transaction, node: str, image_id: ImageID) -> bool:
    """Remove an image from a node's queue; return whether it was queued."""
    mine = (cache_queue.c.image_id == image_id, cache_queue.c.node == node)
    return tx.execute(delete(cache_queue).where(*mine)).rowcount == 1


def clear_queue(tx: Transaction, node: str) -> None:
    """Empty a node's queue."""
    tx.execute(delete(cache_queue).where(cache_queue.c.node == node))
