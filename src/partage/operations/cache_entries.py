"""The rows of images that this node has cached, compared with its directory.

A row is written when a whole read of the image has found a copy that misses nothing. When the copy is evicted, or a part of it is
damaged, the row is stale; the next listing removes it.
"""

import logging

from partage import problems
from partage.model.ids import ContentID
from partage.model.image import Image
from partage.operations.service import Cache, Service
from partage.records import cache as rows
from partage.records import images
from partage.records.cache import CacheEntry

_LOG = logging.getLogger(__name__)


def note_read(service: Service, image: Image) -> None:
    """Record a whole read of an image, after its last byte was sent. Failures are only logged."""
    if service.stores.cache is None:
        return
    try:
        note(service, service.stores.cache, image)
    except problems.DatabaseUnavailable as problem:
        _LOG.warning("a download of image %s is not counted in the cache: %s", image.id, problem)


def note(service: Service, cache: Cache, image: Image) -> None:
    """Record that an image is cached, or was read again, if it is cached.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    if not is_cached(cache, image.content_id, image.size or 0):
        return
    with service.database.write() as tx:
        if images.find_for_work(tx, image.id) is not None:  # otherwise it was deleted while it was read
            rows.note(tx, cache.node, image.id, now=service.clock())


def is_cached(cache: Cache, content_id: ContentID | None, size_bytes: int) -> bool:
    """Return whether all bytes of a content are in this node's cache; no bytes always are."""
    return content_id is not None and (size_bytes == 0 or cache.directory.holds(content_id))


def list_valid_entries(service: Service, cache: Cache) -> list[CacheEntry]:
    """List the cached images, and delete the rows of those that are no longer cached.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with service.database.read() as tx:
        noted = rows.list_entries(tx, cache.node)
    # The directory after the rows: a copy that is missing now was there when the row was written.
    valid = [entry for entry in noted if is_cached(cache, entry.content_id, entry.image.size)]
    if len(valid) < len(noted):
        with service.database.write() as tx:
            for entry in noted:
                if entry not in valid:
                    rows.remove_untouched(tx, cache.node, entry.image)
    return valid
