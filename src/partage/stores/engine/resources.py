"""What all uploads of a process share: a fixed number of threads and buffers.

No deadlock: a queue waits only for queues of a later pool (a turn of the stream, packing, putting), and hashing waits for no other.
A stream that waits for its client would hold the buffers of its open packs: when buffers are short, the largest open pack is put
as it is (`relieve`).
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from partage.content.chunking import PIECE_BYTES
from partage.stores.engine.buffers import Buffers

BUFFER_BYTES = 64 << 20
LEAST_BUFFER_BYTES = 32 << 20
_PIECES_SHARE = 4
_PUTTING_THREADS = 16


class Filling(Protocol):
    """The open packs of one stream."""

    @property
    def held_bytes(self) -> int:
        """The bytes in packs that are not full."""

    def flush(self) -> bool:
        """Put those packs as they are, unless a thread is filling one; return whether there were any."""


class WriterResources:
    """Threads for hashing, packing and putting; `pieces` are buffers for arriving bytes, `extents` for packs. Thread-safe.

    A quarter of `buffer_bytes` is for pieces, the rest for packs. Threads start when they are first needed.
    """

    def __init__(self, *, buffer_bytes: int = BUFFER_BYTES) -> None:
        """Start no thread and take no memory yet."""
        count = max(buffer_bytes, LEAST_BUFFER_BYTES) // PIECE_BYTES
        cores = os.cpu_count() or 1
        self.pieces = Buffers(count // _PIECES_SHARE)
        self.extents = Buffers(count - count // _PIECES_SHARE)
        self.hashing = ThreadPoolExecutor(max(3, 2 * cores), thread_name_prefix="store-hash")
        self.packing = ThreadPoolExecutor(max(2, cores), thread_name_prefix="store-pack")
        self.putting = ThreadPoolExecutor(_PUTTING_THREADS, thread_name_prefix="store-put")
        self._lock = threading.Lock()
        self._fillings: set[Filling] = set()

    def watch(self, filling: Filling) -> None:
        """Include the packs of this stream when buffers are short."""
        with self._lock:
            self._fillings.add(filling)

    def forget(self, filling: Filling) -> None:
        """Exclude them again."""
        with self._lock:
            self._fillings.discard(filling)

    def relieve(self) -> None:
        """Put the largest open pack that can be put now."""
        with self._lock:
            fillings = sorted(self._fillings, key=lambda each: each.held_bytes, reverse=True)
        for each in fillings:
            if each.flush():
                return

    def close(self) -> None:
        """Stop the threads after their current work."""
        for pool in (self.hashing, self.packing, self.putting):
            pool.shutdown()
