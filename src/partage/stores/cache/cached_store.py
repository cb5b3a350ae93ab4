"""A store with a read cache: a read of any part of a pack caches the whole pack, verified.

Reads always return what the store has: packs are immutable and keys are used once, each read of a copy is verified, and after any
failure of the cache the requested bytes are read from the store.
"""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from partage import problems
from partage.content import digest
from partage.model.ids import PackID
from partage.stores import layout, store
from partage.stores.cache.cache_directory import CacheDirectory
from partage.stores.engine import pack
from partage.stores.engine.compression import Decompressor

LARGEST_BYTES = 4 * pack.TARGET_BYTES
"""A pack is in memory while it is fetched. Larger packs, which this release does not write, are not cached."""

_REFUSAL_SECONDS = 60.0
_REFUSALS = 1000


class CachedStore:
    """Read packs of `store` through `cache`. Thread-safe, and passes the same suite as the store behind it."""

    def __init__(self, behind: store.Store, cache: CacheDirectory) -> None:
        self._behind = behind
        self._cache = cache
        self._lock = threading.Lock()
        self._locks: dict[PackID, _PackLock] = {}
        self._refused: dict[PackID, float] = {}

    def put(self, key: str, parts: Sequence[digest.Buffer]) -> None:
        """See `store.Store.put`. Does not cache: only reads do."""
        self._behind.put(key, parts)

    def put_if_absent(self, key: str, parts: Sequence[digest.Buffer]) -> bool:
        """See `store.Store.put_if_absent`."""
        return self._behind.put_if_absent(key, parts)

    def get(self, key: str, start: int, length: int) -> bytes:
        """See `store.Store.get`. Reading any byte of a pack caches the whole pack."""
        pack_id = layout.pack_id_or_none(layout.check_key(key))
        if pack_id is None:
            return self._behind.get(key, start, length)
        found = self._cache.read(pack_id, start, length)
        if found is None and self._may_fetch(pack_id):
            with self._lock_pack(pack_id):
                found = self._cache.read(pack_id, start, length) or self._fetch(pack_id, start, length)
        return self._behind.get(key, start, length) if found is None else found

    def stat(self, key: str) -> store.Stat | None:
        """See `store.Store.stat`."""
        return self._behind.stat(key)

    def remove(self, key: str) -> None:
        """See `store.Store.remove`. If the cached copy cannot be removed, cleaning removes it later, as on other hosts."""
        self._behind.remove(key)
        pack_id = layout.pack_id_or_none(key)
        if pack_id is not None:
            with contextlib.suppress(problems.StoreUnavailable):
                self._cache.drop([pack_id])

    def enumerate(self, prefix: str) -> Iterator[str]:
        """See `store.Store.enumerate`."""
        return self._behind.enumerate(prefix)

    def list_drafts(self) -> Iterator[store.Draft]:
        """See `store.Store.list_drafts`."""
        return self._behind.list_drafts()

    def remove_draft(self, draft: store.Draft) -> None:
        """See `store.Store.remove_draft`."""
        self._behind.remove_draft(draft)

    def _may_fetch(self, pack_id: PackID) -> bool:
        return self._cache.takes and self._refused.get(pack_id, 0.0) <= time.monotonic()

    def _fetch(self, pack_id: PackID, start: int, length: int) -> bytes | None:
        """Fetch a pack and cache it if every chunk matches its digest; None if the caller must read only the part from the store.

        After a failure the pack is not fetched for a while: otherwise every read of a part of it would try again.
        """
        if not self._may_fetch(pack_id):
            return None
        key = layout.pack_key(pack_id)
        try:
            found = self._behind.stat(key)
            if found is None or not start + length <= found.size_bytes <= LARGEST_BYTES:
                return None
            whole = self._behind.get(key, 0, found.size_bytes)
            _verify(pack_id, whole)
        except problems.StoreUnavailable:
            part = self._behind.get(key, start, length)  # if this fails too, the store is at fault and not the pack
            self._refuse(pack_id)
            return part
        except (problems.ContentCorrupt, ValueError):
            self._refuse(pack_id)
            return None
        self._cache.keep(pack_id, whole)
        return whole[start : start + length]

    def _refuse(self, pack_id: PackID) -> None:
        with self._lock:
            if len(self._refused) >= _REFUSALS:
                self._refused.clear()
            self._refused[pack_id] = time.monotonic() + _REFUSAL_SECONDS

    @contextlib.contextmanager
    def _lock_pack(self, pack_id: PackID) -> Iterator[None]:
        """Let one thread at a time fetch a pack: concurrent reads of one image need parts of the same pack."""
        with self._lock:
            held = self._locks.setdefault(pack_id, _PackLock())
            held.users += 1
        try:
            with held.lock:
                yield
        finally:
            with self._lock:
                held.users -= 1
                if not held.users:
                    del self._locks[pack_id]


@dataclass(slots=True)
class _PackLock:
    """The lock for fetching one pack; `users` is the number of threads that hold it or wait for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


def _verify(pack_id: PackID, whole: bytes) -> None:
    """Compare every chunk of a pack with its digest in the pack's index.

    Raises:
        ContentCorrupt: one differs, or the index does.
        ValueError: a newer version of the service wrote the pack.
    """
    decompressor = Decompressor()
    view = memoryview(whole)
    for entry in pack.index_of(whole, pack_id).entries:
        stored = view[entry.offset : entry.offset + entry.stored_bytes]
        plain = decompressor.restore(stored, entry.encoding, entry.length_bytes)
        if len(plain) != entry.length_bytes or digest.compute_for_chunk(plain) != entry.digest:
            raise problems.ContentCorrupt(f"The pack {pack_id} is damaged; restore it from a backup")
