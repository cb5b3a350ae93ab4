"""A store on the disk of the cache: when it is full, the cache gives up its copies, once, before that is an error."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from partage import problems
from partage.content.digest import Buffer
from partage.stores.cache.cache_directory import CacheDirectory
from partage.stores.store import Draft, Stat, Store

Result = TypeVar("Result")


class YieldingStore:
    """Puts objects into `store`, whose files are below `path`. Copies on the same disk make room for them.

    Passes the same suite as the store behind it.
    """

    def __init__(self, store: Store, path: Path, directory: CacheDirectory) -> None:
        self._store = store
        self._path = path
        self._directory = directory

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """See `store.Store.put`."""
        self._with_room(lambda: self._store.put(key, parts))

    def put_if_absent(self, key: str, parts: Sequence[Buffer]) -> bool:
        """See `store.Store.put_if_absent`."""
        return self._with_room(lambda: self._store.put_if_absent(key, parts))

    def get(self, key: str, start: int, length: int) -> bytes:
        """See `store.Store.get`."""
        return self._store.get(key, start, length)

    def stat(self, key: str) -> Stat | None:
        """See `store.Store.stat`."""
        return self._store.stat(key)

    def remove(self, key: str) -> None:
        """See `store.Store.remove`."""
        self._store.remove(key)

    def enumerate(self, prefix: str) -> Iterator[str]:
        """See `store.Store.enumerate`."""
        return self._store.enumerate(prefix)

    def list_drafts(self) -> Iterator[Draft]:
        """See `store.Store.list_drafts`."""
        return self._store.list_drafts()

    def remove_draft(self, draft: Draft) -> None:
        """See `store.Store.remove_draft`."""
        self._store.remove_draft(draft)

    def _with_room(self, put: Callable[[], Result]) -> Result:
        try:
            return put()
        except problems.StoreFull:
            if not self._directory.give_way(self._path):
                raise
        return put()
