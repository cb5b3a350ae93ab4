"""The cache of this node: list, fetch, remove, clean, prune, scrub. For administrators; downloads do not depend on it.

Adopted images share a content and therefore a copy: removing one from the cache keeps the copy that another cached image has.
"""

import logging
from collections.abc import Callable
from contextlib import suppress

from partage import problems
from partage.measures import CACHE_DAMAGE
from partage.model.cache import CacheState, ClearTarget
from partage.model.caller import Caller
from partage.model.ids import ImageID
from partage.model.image import Image, ImageStatus
from partage.operations import cache_entries, downloads, visible
from partage.operations.service import Cache, Service
from partage.policies import authority
from partage.policies.cache import CACHE_CLEAN, CACHE_DELETE, CACHE_IMAGE, CACHE_LIST, CACHE_PRUNE, LIST_CACHED_NODES
from partage.records import cache as rows
from partage.records import contents, images
from partage.stores.cache.cache_directory import Pruned
from partage.stores.cache.copies import WINDOW_BYTES, Copy, State
from partage.stores.cache.verifying import verify_windows

_SCRUBBED_AT_ONCE = 8
_LOG = logging.getLogger(__name__)


def show_cache(service: Service, caller: Caller) -> CacheState:
    """Return the images that this node has cached and the queue of those to fetch.

    Raises:
        PolicyForbids: the caller may not know.
        FeatureOff: there is no cache.
    """
    cache = _require(service, caller, CACHE_LIST)
    entries = cache_entries.list_valid_entries(service, cache)
    with service.database.read() as tx:
        queued = rows.list_queued(tx, cache.node)
    return CacheState(tuple(entry.image for entry in entries), tuple(queued))


def queue_image(service: Service, caller: Caller, image_id: ImageID) -> None:
    """Queue an image for this node's cache, unless it is cached. Does not wait for the data.

    Raises:
        ImageNotFound: no such image, or none the caller may know of.
        PolicyForbids: the caller may not.
        FeatureOff: there is no cache.
        Invalid: the image is not active.
    """
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id, absent=visible.IMAGE_NOT_FOUND)
    cache = _require(service, caller, CACHE_IMAGE, image)
    if image.status is not ImageStatus.ACTIVE:
        raise problems.Invalid("Only images with status active can be targeted for queueing")
    if any(entry.image.image_id == image.id for entry in cache_entries.list_valid_entries(service, cache)):
        return
    with service.database.write() as tx:
        if images.find_for_work(tx, image.id) is None:
            raise problems.ImageNotFound(visible.IMAGE_NOT_FOUND.format(image_id))
        rows.queue(tx, cache.node, image.id, now=service.clock())


def forget_image(service: Service, caller: Caller, image_id: ImageID) -> None:
    """Remove an image from this node's cache and its queue.

    Raises:
        ImageNotFound: no such image, or none the caller may know of.
        PolicyForbids: the caller may not.
        FeatureOff: there is no cache.
        StoreUnavailable: the directory cannot be changed.
    """
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id, absent=visible.IMAGE_NOT_FOUND)
    cache = _require(service, caller, CACHE_DELETE, image)
    with service.database.write() as tx:
        entries = rows.list_entries(tx, cache.node)
        rows.remove(tx, cache.node, image.id)
        rows.unqueue(tx, cache.node, image.id)
    going = {entry.content_id for entry in entries if entry.image.image_id == image.id} | {image.content_id}
    staying = {entry.content_id for entry in entries if entry.image.image_id != image.id}
    cache.directory.drop(each for each in going - staying if each is not None)


def require_clear(service: Service, caller: Caller) -> None:
    """Check that the caller may clear the cache, before the request is parsed.

    Raises:
        PolicyForbids: the caller may not.
        FeatureOff: there is no cache.
    """
    _require(service, caller, CACHE_DELETE)


def clear_cache(service: Service, caller: Caller, target: ClearTarget) -> None:
    """Empty this node's cache, its queue, or both.

    Raises:
        PolicyForbids, FeatureOff, StoreUnavailable: as `forget_image`.
    """
    cache = _require(service, caller, CACHE_DELETE)
    with service.database.write() as tx:
        if target is not ClearTarget.QUEUE:
            rows.clear(tx, cache.node)
        if target is not ClearTarget.CACHE:
            rows.clear_queue(tx, cache.node)
    if target is not ClearTarget.QUEUE:
        cache.directory.clear()


def clean_cache(service: Service, caller: Caller) -> None:
    """Remove unusable files from this node's cache.

    Raises:
        PolicyForbids, FeatureOff, StoreUnavailable: as `forget_image`.
    """
    tidy(service, _require(service, caller, CACHE_CLEAN))


def prune_cache(service: Service, caller: Caller) -> Pruned:
    """Evict images until this node's cache is below its limit; return what was evicted.

    Raises:
        PolicyForbids, FeatureOff, StoreUnavailable: as `forget_image`.
    """
    cache = _require(service, caller, CACHE_PRUNE)
    pruned = cache.directory.prune()
    cache_entries.list_valid_entries(service, cache)
    return pruned


def list_nodes(service: Service, caller: Caller, image_id: ImageID) -> list[str]:
    """List the nodes that have an image cached.

    Raises:
        PolicyForbids: the caller may not know.
        FeatureOff: there is no cache.
        ImageNotFound: no such image, or none the caller may know of.
    """
    _require(service, caller, LIST_CACHED_NODES)
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id, absent=visible.IMAGE_NOT_FOUND)
        return rows.list_nodes(tx, image.id)


def tidy(service: Service, cache: Cache) -> None:
    """Remove copies that no image has any more and those above the limit, and rows of images that are no longer cached.

    Raises:
        StoreUnavailable: the directory cannot be changed.
        DatabaseUnavailable: the database does not answer.
    """
    cache.directory.remove_former_files()
    held = cache.directory.list_contents()
    with service.database.read() as tx:
        used = contents.find_used(tx, held)
    cache.directory.drop(held - used)
    cache.directory.prune()
    cache_entries.list_valid_entries(service, cache)


def scrub(service: Service, cache: Cache, *, pace: Callable[[int], None], may_go_on: Callable[[], bool]) -> int:
    """Compare all copies with the digests of their chunks; windows with wrong bytes are filled again. Return how many there were.

    `pace` is called with the number of bytes before they are read, and may wait.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    damaged = 0
    for content_id in sorted(cache.directory.list_contents()):
        copy = cache.directory.find(content_id)
        if copy is not None and may_go_on():
            with suppress(problems.ContentCorrupt):  # it has just been deleted; a damaged manifest is the verification's business
                damaged += _scrub_copy(service, copy, pace, may_go_on)
    service.process.meter.add(CACHE_DAMAGE, by=damaged)
    return damaged


def _scrub_copy(service: Service, copy: Copy, pace: Callable[[int], None], may_go_on: Callable[[], bool]) -> int:
    damaged = 0
    for first in range(0, copy.windows, _SCRUBBED_AT_ONCE):
        states = copy.states(first, min(_SCRUBBED_AT_ONCE, copy.windows - first))
        filled = [number for number, state in enumerate(states, first) if state in (State.UNVERIFIED, State.VERIFIED)]
        if not filled or not may_go_on():
            continue
        pace(len(filled) * WINDOW_BYTES)
        start, stop = first * WINDOW_BYTES, min((first + len(states)) * WINDOW_BYTES, copy.size_bytes)
        segments = downloads.list_segments(service, copy.content_id, start, stop)
        found = verify_windows(copy, segments, first, len(states), skips_partial=True)
        wrong = [number for number in filled if found[number - first] == State.MISSING]
        for number in wrong:
            _LOG.error("content %s: MiB %d of its copy in the cache is damaged; it is read again", copy.content_id, number)
            copy.mark(number, bytes([State.MISSING]))
        damaged += len(wrong)
    return damaged


def fetch_next(service: Service, cache: Cache, *, may_go_on: Callable[[], bool]) -> bool:
    """Fetch the first image of the queue; return whether there was one. Stops soon after `may_go_on` returns False.

    After a failure the image goes to the end of the queue.

    Raises:
        StoreUnavailable: the image's store does not answer.
        DatabaseUnavailable: the database does not answer.
    """
    with service.database.read() as tx:
        waiting = rows.list_queued(tx, cache.node)
    if not waiting:
        return False
    with service.database.write() as tx:
        image = images.find_for_work(tx, waiting[0])
    if image is None:
        return True  # just deleted, and its row in the queue with it
    if downloads.ImageData(service, image).is_in_place:
        # Parts of it cannot be verified before it is in chunks; it waits for that, behind the others.
        with service.database.write() as tx:
            rows.defer(tx, cache.node, image.id, now=service.clock())
        return False
    try:
        fault = _fetch(service, cache, image, may_go_on)
    except Exception:
        with service.database.write() as tx:
            rows.defer(tx, cache.node, image.id, now=service.clock())
        raise
    if not may_go_on():
        return True  # it stays in the queue for the next process
    if fault:
        _LOG.warning("image %s was not cached: %s", image.id, fault)
    with service.database.write() as tx:
        still_there = images.find_for_work(tx, image.id) is not None
        # An administrator may have removed it from the queue meanwhile.
        if still_there and rows.unqueue(tx, cache.node, image.id) and not fault:
            rows.note(tx, cache.node, image.id, now=service.clock())
            _LOG.info("image %s is cached now", image.id)
    return True


def _fetch(service: Service, cache: Cache, image: Image, may_go_on: Callable[[], bool]) -> str:
    """Fill the copy of an image; return why that is not possible, or nothing.

    Raises:
        StoreUnavailable: the image's store does not answer.
        DatabaseUnavailable: the database does not answer.
    """
    if image.status is not ImageStatus.ACTIVE or image.content_id is None:
        return f"it is {image.status}"
    data = downloads.ImageData(service, image)
    reading = data.open_reading(0, data.size_bytes)
    position = 0
    for length in downloads.fill_copy(reading, cache):
        position += length
        if not may_go_on():
            return ""
    if position == data.size_bytes:
        return ""
    try:
        next(reading.read(position, position + 1), b"")
    except problems.ContentCorrupt as problem:
        return problem.sentence()
    return "the cache has no room for it, or its disk cannot be written"


def _require(service: Service, caller: Caller, rule: str, image: Image | None = None) -> Cache:
    """Check the rule, then that there is a cache. Source: Glance's order."""
    target = authority.project_target(caller.project_id) if image is None else authority.image_target(caller, image)
    service.authority.require(caller, rule, target)
    if service.stores.cache is None:
        raise problems.FeatureOff("Caching via API is not supported at this site.")
    return service.stores.cache
