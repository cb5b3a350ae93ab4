"""Hand-written doubles of the two protocols, for tests only: a chunk index in memory, and a store whose N-th call fails."""

import contextlib
import errno
import itertools
import threading
import uuid
from typing import Any

from partage import problems
from partage.content import inspection
from partage.model import ids
from partage.stores.engine import index as chunk_index
from partage.stores.engine import writer
from partage.stores.engine.resources import WriterResources

RESOURCES = WriterResources(buffer_bytes=64 << 20)
"""What the streams of all tests share, as those of a process do."""


class MemoryIndex:
    """A ChunkIndex in a dictionary."""

    def __init__(self) -> None:
        self.places = {}
        self.packs = {}
        self.lock = threading.Lock()

    def find_stored(self, digests: Any) -> Any:
        with self.lock:
            return {digest for digest in digests if digest in self.places}

    def add_pack(self, pack: Any) -> None:
        with self.lock:
            self.packs[pack.pack_id] = pack
            for e in pack.entries:
                place = chunk_index.ChunkLocation(pack.pack_id, e.offset, e.stored_bytes, e.length_bytes, e.encoding)
                self.places.setdefault(e.digest, place)

    def locate(self, digests: Any) -> Any:
        with self.lock:
            return {digest: self.places[digest] for digest in digests if digest in self.places}


class WatchedStore:
    """A real store that notes what is put into it and removed from it: (verb, key, bytes)."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.done: list[tuple[str, str, int]] = []

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._store, verb)

    def put(self, key: str, parts: Any) -> None:
        self.done.append(("put", key, sum(map(len, parts))))
        self._store.put(key, parts)

    def remove(self, key: str) -> None:
        self.done.append(("remove", key, 0))
        self._store.remove(key)

    def sizes_put(self) -> list[int]:
        """How large the objects were that were put, and forget them."""
        sizes = [size for verb, _key, size in self.done if verb == "put"]
        self.done.clear()
        return sizes


class FailingStore:
    """A real store in front of which the N-th call fails, once. Counts calls; passes the contract suite when N is never reached."""

    def __init__(self, store: Any, *, fail_at: Any = 0, error: Any = errno.EIO) -> None:
        self._store = store
        self._fail_at = fail_at
        self._error = error
        self._calls = itertools.count(1)
        self.calls = 0

    def _count(self) -> None:
        self.calls = next(self._calls)
        if self.calls == self._fail_at:
            if self._error in (errno.ENOSPC, errno.EDQUOT):
                raise problems.StoreFull("The store has no room")
            raise problems.StoreUnavailable("The store does not answer")

    def put(self, key: str, parts: Any) -> None:
        self._count()
        self._store.put(key, parts)

    def put_if_absent(self, key: str, parts: Any) -> Any:
        self._count()
        return self._store.put_if_absent(key, parts)

    def get(self, key: str, start: int, length: int) -> Any:
        self._count()
        return self._store.get(key, start, length)

    def stat(self, key: str) -> Any:
        self._count()
        return self._store.stat(key)

    def remove(self, key: str) -> None:
        self._count()
        self._store.remove(key)

    def enumerate(self, prefix: str) -> Any:
        self._count()
        return self._store.enumerate(prefix)

    def list_drafts(self) -> Any:
        self._count()
        return self._store.list_drafts()

    def remove_draft(self, draft: Any) -> None:
        self._count()
        self._store.remove_draft(draft)


def new_pack_id() -> Any:
    return ids.PackID(uuid.uuid4().hex)


def options(**changes: Any) -> Any:
    given = {
        "limit_bytes": 1 << 40,
        "limit_problem": problems.ImageTooLarge("too large"),
        "announced_bytes": None,
        "algorithms": ("md5", "sha512"),
    }
    return writer.WriteOptions(**(given | changes))


def written(store: Any, index: Any, blocks: int, *, inspector: Any = None, **changes: Any) -> Any:
    """Write a raw image with the options that matter to a test."""
    into = writer.Writer(
        store,
        index,
        RESOURCES,
        inspector=inspector or inspection.Inspector("raw", "bare"),
        options=options(**changes),
        new_pack_id=new_pack_id,
    )
    with contextlib.closing(into):
        return writer.write(into, blocks)
