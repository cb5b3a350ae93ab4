"""A store in memory, for tests. Not durable: its objects are lost with the process."""

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from partage import problems
from partage.content.digest import Buffer
from partage.stores import layout, store


class MemoryStore:
    """Keep objects in a dictionary. Thread-safe."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, datetime]] = {}
        self._lock = threading.Lock()

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """See `store.Store.put`."""
        with self._lock:
            self._objects[layout.check_key(key)] = (b"".join(parts), datetime.now(UTC))

    def put_if_absent(self, key: str, parts: Sequence[Buffer]) -> bool:
        """See `store.Store.put_if_absent`."""
        with self._lock:
            if layout.check_key(key) in self._objects:
                return False
            self._objects[key] = (b"".join(parts), datetime.now(UTC))
        return True

    def get(self, key: str, start: int, length: int) -> bytes:
        """See `store.Store.get`."""
        with self._lock:
            held = self._objects.get(layout.check_key(key))
        found = held[0][start : start + length] if held else b""
        if len(found) != length or not held:
            raise problems.ContentCorrupt(f"The store should hold {key} with at least {start + length} bytes and does not")
        return found

    def stat(self, key: str) -> store.Stat | None:
        """See `store.Store.stat`."""
        with self._lock:
            held = self._objects.get(layout.check_key(key))
        return store.Stat(len(held[0]), held[1]) if held else None

    def remove(self, key: str) -> None:
        """See `store.Store.remove`."""
        with self._lock:
            self._objects.pop(layout.check_key(key), None)

    def enumerate(self, prefix: str) -> Iterator[str]:
        """See `store.Store.enumerate`."""
        with self._lock:
            keys = list(self._objects)
        return (key for key in keys if key.startswith(prefix))

    def list_drafts(self) -> Iterator[store.Draft]:
        """See `store.Store.list_drafts`."""
        return iter(())

    def remove_draft(self, draft: store.Draft) -> None:
        """See `store.Store.remove_draft`."""
