"""The Store protocol: eight verbs over immutable objects named by keys.

Every driver passes tests/contract/test_stores.py. Callers never write two different byte strings under one key: keys are random.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from partage.content.digest import Buffer


@dataclass(frozen=True, slots=True)
class Stat:
    """Size and age of an object. `modified_at` is UTC, aware: when it was put, by the store's clock."""

    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Draft:
    """An object whose put has not returned: it is being written, or a crash has left it.

    `name` is the driver's own. `key` is the key that the object would get, or None if the driver cannot tell. `modified_at` is UTC,
    by the store's clock.
    """

    name: str
    key: str | None
    modified_at: datetime


class Store(Protocol):
    """Duties of both sides. All verbs may be called from several threads at once.

    Keys are relative paths of letters, digits, `-`, `_`, `.` between `/` (stores/layout.py makes them); a driver refuses others
    with ValueError, as they are a programming mistake. Failures are problems: StoreFull when there is no room,
    StoreUnavailable when the store does not respond or refuses, ContentCorrupt when an object is not what was put.
    """

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store the concatenation of `parts` under `key`, durably: a power cut after the return does not lose it.

        Atomic: no reader sees a part. Idempotent. Does not keep or change the buffers. A failed write is abandoned, never retried
        in place; after a failure the object may or may not exist.

        Raises:
            StoreFull: no space or quota left.
            StoreUnavailable: any other failure.
        """

    def put_if_absent(self, key: str, parts: Sequence[Buffer]) -> bool:
        """Put as `put` does, but only where there is no object under `key`; return whether this call put it.

        Atomic: of several calls at the same time, in any processes on any hosts, exactly one returns True.

        Raises:
            StoreFull, StoreUnavailable: as `put`.
        """

    def get(self, key: str, start: int, length: int) -> bytes:
        """Return exactly the bytes [start, start + length) of the object.

        Raises:
            ContentCorrupt: there is no such object, or it is too short.
            StoreUnavailable: the store does not respond or refuses.
        """

    def stat(self, key: str) -> Stat | None:
        """Return the size and age of the object; None if it is absent.

        Raises:
            StoreUnavailable: the store does not respond or refuses.
        """

    def remove(self, key: str) -> None:
        """Remove the object, durably; absent is fine. The caller knows that nothing names the object any more.

        Raises:
            StoreUnavailable: the store does not respond or refuses.
        """

    def enumerate(self, prefix: str) -> Iterator[str]:
        """Yield the key of every object whose key begins with `prefix`, each once, in no particular order. Lazy.

        Objects that are put or removed meanwhile may or may not be included. Objects whose put has not returned are not.

        Raises:
            StoreUnavailable: the store does not respond or refuses.
        """

    def list_drafts(self) -> Iterator[Draft]:
        """List the objects whose put has not returned, in no particular order. Nothing, for a driver that leaves none.

        Raises:
            StoreUnavailable: the store does not respond or refuses.
        """

    def remove_draft(self, draft: Draft) -> None:
        """Remove a draft; absent is fine. The caller knows that no process is writing it.

        Raises:
            StoreUnavailable: the store does not respond or refuses.
        """
