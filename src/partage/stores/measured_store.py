"""A store whose calls are measured: how long each takes, which fail, and how many bytes pass."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from partage import problems
from partage.content.digest import Buffer
from partage.measures import STORE_BYTES, STORE_CALL_SECONDS, STORE_FAILURES, Meter
from partage.stores.store import Draft, Stat, Store

Result = TypeVar("Result")


class MeasuredStore:
    """Measures the calls of `store`, which is called `name`. Thread-safe, and passes the same suite as the store behind it."""

    def __init__(self, store: Store, name: str, meter: Meter) -> None:
        self._store = store
        self._name = name
        self._meter = meter

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """See `store.Store.put`."""
        self._measure("put", lambda: self._store.put(key, parts))
        self._meter.add(STORE_BYTES, self._name, "put", by=sum(map(len, parts)))

    def put_if_absent(self, key: str, parts: Sequence[Buffer]) -> bool:
        """See `store.Store.put_if_absent`."""
        return self._measure("put", lambda: self._store.put_if_absent(key, parts))

    def get(self, key: str, start: int, length: int) -> bytes:
        """See `store.Store.get`."""
        found = self._measure("get", lambda: self._store.get(key, start, length))
        self._meter.add(STORE_BYTES, self._name, "get", by=len(found))
        return found

    def stat(self, key: str) -> Stat | None:
        """See `store.Store.stat`."""
        return self._measure("stat", lambda: self._store.stat(key))

    def remove(self, key: str) -> None:
        """See `store.Store.remove`."""
        self._measure("remove", lambda: self._store.remove(key))

    def enumerate(self, prefix: str) -> Iterator[str]:
        """See `store.Store.enumerate`. Not measured: its time is that of its reader."""
        return self._store.enumerate(prefix)

    def list_drafts(self) -> Iterator[Draft]:
        """See `store.Store.list_drafts`. Not measured: its time is that of its reader."""
        return self._store.list_drafts()

    def remove_draft(self, draft: Draft) -> None:
        """See `store.Store.remove_draft`."""
        self._measure("remove", lambda: self._store.remove_draft(draft))

    def _measure(self, call: str, act: Callable[[], Result]) -> Result:
        began_at = time.perf_counter()
        try:
            return act()
        except problems.Problem:
            self._meter.add(STORE_FAILURES, self._name, call)
            raise
        finally:
            self._meter.time(STORE_CALL_SECONDS, time.perf_counter() - began_at, self._name, call)
