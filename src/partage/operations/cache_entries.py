"""The rows of images that this node has cached, compared with its directory.

A row is written when the directory has all packs that a whole read of the image used. When one is evicted or damaged, the row is
stale; the next listing removes it.
"""

import logging
from collections.abc import Collection

from partage import problems
from partage.model.ids import ImageID, PackID
from partage.operations.service import Cache, Service
from partage.records import cache as rows
from partage.records import images
from partage.records.cache import CacheEntry

_LOG = logging.getLogger(__name__)


def note_read(service: Service, image_id: ImageID, packs: Collection[PackID]) -> None:
    """Record a whole read of an image, after its last byte was sent. Failures are only logged."""
    if service.stores.cache is None:
        return
    try:
        note(service, service.stores.cache, image_id, packs)
    except problems.DatabaseUnavailable as problem:
        _LOG.warning("a download of image %s is not counted in the cache: %s", image_id, problem)


def note(service: Service, cache: Cache, image_id: ImageID, packs: Collection[PackID]) -> bool:
    """Record that an image is cached, or was read again, if all its packs are cached; return whether they are.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    if not cache.directory.holds(packs):
        return False
    with service.database.write() as tx:
        if images.find_for_work(tx, image_id) is not None:  # otherwise it was deleted while it was read
            rows.note(tx, cache.node, image_id, packs, now=service.clock())
    return True


def list_valid_entries(service: Service, cache: Cache) -> list[CacheEntry]:
    """List the cached images, and delete the rows of those that are no longer cached.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with service.database.read() as tx:
        noted = rows.list_entries(tx, cache.node)
    # The directory after the rows: a pack that is missing now was there when the row was written.
    held = cache.directory.list_packs() if noted else set()
    untrue = [entry for entry in noted if not entry.packs <= held]
    if untrue:
        with service.database.write() as tx:
            for entry in untrue:
                rows.remove_untouched(tx, cache.node, entry.image)
    return [entry for entry in noted if entry.packs <= held]
