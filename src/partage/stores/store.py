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
    """What a store knows of an object. `modified_at` is UTC, aware: when it was put, by the store's clock."""

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
    StoreUnavailable when the store does not answer or denies, ContentCorrupt when what it holds is not what was put.
    """

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Keep the concatenation of `parts` under `key`, durably: when this returns, a power cut does not lose it.

        All or nothing: what is seen under `key` is never a part. Idempotent. Does not keep or change the buffers. A failed write is
        abandoned as a whole, never retried in place; whether the object is there after a failure is not known.

        Raises:
            StoreFull: no space or quota left.
            StoreUnavailable: anything else that kept the store from making it durable.
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
            StoreUnavailable: the store does not give it at the moment.
        """

    def stat(self, key: str) -> Stat | None:
        """Say how large the object is and since when it is there; None when it is absent.

        Raises:
            StoreUnavailable: the store does not tell.
        """

    def remove(self, key: str) -> None:
        """Forget the object, durably; absent is fine. Who calls this knows that nothing names the object any more.

        Raises:
            StoreUnavailable: the store refuses or does not answer.
        """

    def enumerate(self, prefix: str) -> Iterator[str]:
        """Name every object whose key begins with `prefix`, each once, in no particular order. Lazy.

        Objects put or removed meanwhile may or may not be named. Objects whose put has not returned are not.

        Raises:
            StoreUnavailable: the store does not tell.
        """

    def list_drafts(self) -> Iterator[Draft]:
        """List the objects whose put has not returned, in no particular order. Nothing, for a driver that leaves none.

        Raises:
            StoreUnavailable: the store does not tell.
        """

    def remove_draft(self, draft: Draft) -> None:
        """Remove a draft; absent is fine. The caller knows that no process is writing it.

        Raises:
            StoreUnavailable: the store refuses or does not answer.
        """
