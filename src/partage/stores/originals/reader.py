"""The protocol of what reads originals: whole files and objects of Glance, by the URL that Glance has of them."""

from collections.abc import Iterator
from typing import Protocol


class OriginalReader(Protocol):
    """Reads one store of Glance. Threads and forked processes may share it."""

    def find_size(self, url: str) -> int:
        """Return how many bytes are at a URL.

        Raises:
            ContentCorrupt: nothing is there.
            StoreUnavailable: the URL is not one of this store, or the store does not respond or refuses.
        """

    def read(self, url: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of [start, stop). Close the iterator to stop early.

        Raises:
            ContentCorrupt: nothing is there, or fewer bytes.
            StoreUnavailable: the URL is not one of this store, or the store does not respond or refuses.
        """

    def remove(self, url: str) -> None:
        """Remove what is at a URL; absent is fine.

        Raises:
            StoreUnavailable: the URL is not one of this store, or the store does not respond or refuses.
        """
