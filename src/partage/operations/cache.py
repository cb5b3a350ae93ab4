"""The cache of this node: list, fetch, remove, clean, prune. For administrators; downloads do not depend on it.

Images share chunks and therefore packs: removing an image from the cache keeps the packs that other cached images need.
"""

import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from partage import problems
from partage.content.manifest import digests
from partage.model.cache import CacheState, ClearTarget
from partage.model.caller import Caller
from partage.model.ids import ContentID, ImageID, PackID
from partage.model.image import Image, ImageStatus
from partage.operations import cache_entries, downloads, visible
from partage.operations.chunk_index import DatabaseIndex
from partage.operations.service import Cache, NamedStore, Service
from partage.policies import authority
from partage.policies.cache import CACHE_CLEAN, CACHE_DELETE, CACHE_IMAGE, CACHE_LIST, CACHE_PRUNE, LIST_CACHED_NODES
from partage.records import cache as rows
from partage.records import contents, images
from partage.stores import layout
from partage.stores.cache.cache_directory import Pruned

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
    going = {pack for entry in entries if entry.image.image_id == image.id for pack in entry.packs}
    staying = {pack for entry in entries if entry.image.image_id != image.id for pack in entry.packs}
    cache.directory.drop(going - staying)


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
    """Evict packs until this node's cache is below its limit; return what was evicted.

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
    """Remove drafts that a crash left, packs that no store has any more, and rows of images that are no longer cached.

    Raises:
        StoreUnavailable: the directory cannot be changed.
        DatabaseUnavailable: the database does not answer.
    """
    cache.directory.remove_stalled()
    held = cache.directory.list_packs()
    with service.database.read() as tx:
        known = contents.find_pack_sizes(tx, held)
    cache.directory.drop(held - known.keys())
    cache.directory.prune()
    cache_entries.list_valid_entries(service, cache)


def fetch_next(service: Service, cache: Cache, *, may_go_on: Callable[[], bool]) -> bool:
    """Fetch the first image of the queue; return whether there was one. Stops before the next pack once `may_go_on` returns False.

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
    try:
        fetched = _fetch(service, cache, image, may_go_on)
    except Exception:
        with service.database.write() as tx:
            rows.defer(tx, cache.node, image.id, now=service.clock())
        raise
    if not may_go_on():
        return True  # it stays in the queue for the next process
    if fetched.fault:
        _LOG.warning("image %s was not cached: %s", image.id, fetched.fault)
    with service.database.write() as tx:
        still_there = images.find_for_work(tx, image.id) is not None
        # An administrator may have removed it from the queue meanwhile.
        if still_there and rows.unqueue(tx, cache.node, image.id) and fetched.is_new:
            rows.note(tx, cache.node, image.id, fetched.packs, now=service.clock())
    return True


@dataclass(frozen=True, slots=True)
class _Fetched:
    """The result of fetching an image: it is cached now (`is_new`), was cached before, or `fault` says why it is not."""

    fault: str = ""
    is_new: bool = False
    packs: frozenset[PackID] = frozenset()


def _fetch(service: Service, cache: Cache, image: Image, may_go_on: Callable[[], bool]) -> _Fetched:
    if image.status is not ImageStatus.ACTIVE or image.content_id is None:
        return _Fetched(f"it is {image.status}")
    if any(entry.image.image_id == image.id for entry in cache_entries.list_valid_entries(service, cache)):
        return _Fetched()
    fault = "no store has it"
    for named in downloads.ImageData(service, image).stores():
        packs = _find_packs(service, named, image.content_id)
        size_bytes = sum(packs.values())
        if size_bytes > cache.directory.limit_bytes:
            return _Fetched(f"it takes {size_bytes} bytes, and the cache may have {cache.directory.limit_bytes}")
        fault = "some of its packs are damaged, or the cache could not keep them, or its store is one that is not cached"
        with suppress(problems.ContentCorrupt):
            _fetch_packs(named, packs.keys(), may_go_on)
            if cache.directory.holds(packs):
                return _Fetched(is_new=True, packs=frozenset(packs))
    return _Fetched(fault)


def _find_packs(service: Service, named: NamedStore, content_id: ContentID) -> dict[PackID, int]:
    """Return the packs that hold a content in a store, with their sizes."""
    found: set[PackID] = set()
    index = DatabaseIndex(service.database, named.id, service.clock, found)
    with service.database.read() as tx:
        content = contents.find(tx, content_id)
    for segment in downloads.list_segments(service, content_id, 0, 0 if content is None else content.size_bytes):
        index.locate(set(digests(segment)))
    with service.database.read() as tx:
        return contents.find_pack_sizes(tx, found)


def _fetch_packs(named: NamedStore, packs: Collection[PackID], may_go_on: Callable[[], bool]) -> None:
    """Read one byte of each pack, which caches the whole pack."""
    for pack_id in sorted(packs):
        if not may_go_on():
            return
        named.store.get(layout.pack_key(pack_id), 0, 1)


def _require(service: Service, caller: Caller, rule: str, image: Image | None = None) -> Cache:
    """Check the rule, then that there is a cache. Source: Glance's order."""
    target = authority.project_target(caller.project_id) if image is None else authority.image_target(caller, image)
    service.authority.require(caller, rule, target)
    if service.stores.cache is None:
        raise problems.FeatureOff("Caching via API is not supported at this site.")
    return service.stores.cache
