"""Chunks in, durable packs out, for one stream: one queue compresses and fills packs, two others in turn put and index full packs.

New chunks and known ones go into separate packs (docs/decisions/0043). The bytes are in buffers that all streams share, so a pack
may be put before it is full when other streams have no buffers left.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple

from partage.content.digest import Buffer
from partage.model import ids
from partage.stores import layout
from partage.stores.engine import pack
from partage.stores.engine.buffers import Extents
from partage.stores.engine.compression import Compressor
from partage.stores.engine.index import ChunkIndex
from partage.stores.engine.resources import WriterResources
from partage.stores.engine.serial_queue import Done, SerialQueue
from partage.stores.store import Store

_PACKING_DEPTH = 1
_PUTTERS = 2
"""One batch is compressed while the next is cut, two packs are put while the next is filled: this bounds the memory.

With one putter the store is idle between two packs, and the stream waits during each fsync: 1.5 times the time on a local disk.
"""


class PendingChunk(NamedTuple):
    """A chunk to pack. A chunk that is not new is packed and put like any other, then removed."""

    name: ids.ChunkDigest
    data: memoryview
    is_new: bool


class Packing:
    """The packs of one stream. One thread submits chunks and finishes; the last call is `close`."""

    def __init__(
        self,
        store: Store,
        index: ChunkIndex,
        new_pack_id: Callable[[], ids.PackID],
        resources: WriterResources,
        *,
        pack_bytes: int = pack.TARGET_BYTES,
    ) -> None:
        """Begin without a pack. Packs are put when they hold `pack_bytes`."""
        self._pack_bytes = pack_bytes
        self._store = store
        self._index = index
        self._new_pack_id = new_pack_id
        self._resources = resources
        self._compressor = Compressor()
        self._lock = threading.Lock()
        self._drafts: dict[bool, _Draft] = {}
        self._stored_bytes = 0
        self.under_way: set[ids.ChunkDigest] = set()
        self._filling: SerialQueue[list[PendingChunk]] = SerialQueue(resources.packing, self._fill, depth=_PACKING_DEPTH)
        self._turns = cycle([SerialQueue[_Draft](resources.putting, self._put, depth=1) for _ in range(_PUTTERS)])
        resources.watch(self)

    @property
    def held_bytes(self) -> int:
        """See `resources.Filling`."""
        return sum(draft.builder.size_bytes for draft in tuple(self._drafts.values()))

    def submit(self, chunks: list[PendingChunk], done: Done) -> None:
        """Queue chunks for packing, and call `done` when their bytes are no longer used; wait while the queue is full.

        Raises:
            StoreFull, StoreUnavailable: an earlier pack could not be put.
        """
        self.under_way.update(name for name, _data, _is_new in chunks)
        self._filling.put(chunks, done)

    def finish(self) -> int:
        """Wait until everything submitted is durable; return the bytes of all packs that stay.

        Raises:
            StoreFull, StoreUnavailable: a pack could not be put.
        """
        self._filling.finish()
        with self._lock:  # a concurrent flush has submitted its packs by then
            left = tuple(self._drafts)
        for stays in left:
            self._submit(stays=stays)
        for putter in self._putters():
            putter.finish()
        return self._stored_bytes

    def close(self) -> None:
        """Release all buffers, after the puts that run."""
        self._resources.forget(self)
        self._filling.close()
        for putter in self._putters():
            putter.close()
        with self._lock:
            drafts, self._drafts = tuple(self._drafts.values()), {}
        for draft in drafts:
            draft.release()

    def flush(self) -> bool:
        """See `resources.Filling`."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            begun = [draft for draft in self._drafts.values() if draft.extents.size_bytes]
            for draft in begun:
                del self._drafts[draft.stays]
                next(self._turns).put_now(draft, draft.release)
        finally:
            self._lock.release()
        return bool(begun)

    def _putters(self) -> "list[SerialQueue[_Draft]]":
        return [next(self._turns) for _ in range(_PUTTERS)]

    def _fill(self, chunks: list[PendingChunk]) -> None:
        for chunk in chunks:
            stored, encoding = self._compressor.compress(chunk.data)
            self._append(chunk, stored, encoding)
            full = self._find_full(chunk.is_new)
            if full is not None:
                self._submit(stays=full)

    def _append(self, chunk: PendingChunk, stored: Buffer, encoding: pack.Encoding) -> None:
        """Append to a draft, with more extents if needed. After a concurrent flush, append to the next draft."""
        extent: memoryview | None = None
        while True:
            with self._lock:
                draft = self._drafts.get(chunk.is_new)
                if draft is None:
                    draft = _Draft(
                        pack.PackBuilder(self._new_pack_id(), self._pack_bytes), chunk.is_new, Extents(self._resources.extents)
                    )
                    self._drafts[chunk.is_new] = draft
                if extent is not None:
                    draft.extents.extend(extent)
                if draft.append(chunk, stored, encoding):
                    return
            extent = self._resources.extents.try_acquire() or self._resources.extents.acquire(self._resources.relieve)

    def _find_full(self, is_new: bool) -> bool | None:  # noqa: FBT001 - which of two drafts
        """Return which of the two drafts to put now, or None: both together never exceed one pack."""
        with self._lock:
            draft, other = self._drafts.get(is_new), self._drafts.get(not is_new)
            if draft is None:
                return None
            if draft.builder.full:
                return is_new
            if other is not None and draft.builder.size_bytes + other.builder.size_bytes >= self._pack_bytes:
                return is_new if draft.builder.size_bytes > other.builder.size_bytes else not is_new
            return None

    def _submit(self, *, stays: bool) -> None:
        with self._lock:
            draft = self._drafts.pop(stays, None)
            putter = next(self._turns)
        if draft is not None:
            putter.put(draft, draft.release)

    def _put(self, draft: "_Draft") -> None:
        sealed, tail = draft.builder.seal()
        key = layout.pack_key(sealed.pack_id)
        self._store.put(key, [*draft.extents.list_parts(), tail])
        if draft.stays:
            self._index.add_pack(sealed)
        else:
            self._store.remove(key)
        with self._lock:
            self._stored_bytes += sealed.size_bytes if draft.stays else 0
            self.under_way.difference_update(entry.digest for entry in sealed.entries)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A pack that is being filled: to stay, or to be removed after it was put. Head and chunks are in `extents`."""

    builder: pack.PackBuilder
    stays: bool
    extents: Extents

    def append(self, chunk: PendingChunk, stored: Buffer, encoding: pack.Encoding) -> bool:
        """Append a chunk; return whether there was room for it."""
        head = b"" if self.extents.size_bytes else self.builder.head
        if len(head) + len(stored) > self.extents.room_bytes:
            return False
        self.extents.append(head)
        self.extents.append(stored)
        self.builder.add(chunk.name, stored_bytes=len(stored), length_bytes=len(chunk.data), encoding=encoding)
        return True

    def release(self) -> None:
        """Release the extents."""
        self.extents.release()
