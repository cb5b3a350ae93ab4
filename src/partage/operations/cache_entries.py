"""What this node is noted to have near, held against what its directory really has.

An image is noted once all packs that a whole read of it took lie in the directory. When the directory loses one, to a newer image
or to damage, the note is untrue from that moment and is removed as soon as anybody looks.
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
    """Note a whole read of an image, whose bytes are all given out by now: whatever goes wrong here is not the reader's matter."""
    if service.cache is None:
        return
    try:
        note(service, service.cache, image_id, packs)
    except problems.DatabaseUnavailable as problem:
        _LOG.warning("a download of image %s is not counted in the cache: %s", image_id, problem)


def note(service: Service, cache: Cache, image_id: ImageID, packs: Collection[PackID]) -> bool:
    """Note that an image is near, or was read once more, if its packs are; say whether they are.

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
    """List what is near, and forget what is not any more.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with service.database.read() as tx:
        noted = rows.list_entries(tx, cache.node)
    # The directory after the notes: what is missing now was there when its note was written, and has gone since.
    held = cache.directory.list_packs() if noted else set()
    untrue = [entry for entry in noted if not entry.packs <= held]
    if untrue:
        with service.database.write() as tx:
            for entry in untrue:
                rows.remove_untouched(tx, cache.node, entry.image)
    return [entry for entry in noted if entry.packs <= held]
