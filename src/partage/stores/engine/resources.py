"""What all streams of a process share while they are stored: threads and buffers, of each a fixed number.

Strands wait only for strands whose threads are of a later pool (a turn of the stream, packing, putting), and hashing waits for
nobody: so full pools end by themselves. Packs of streams that stand still would not: when buffers are short, the largest pack that
is being filled is put as it is (`relieve`).
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
    """What fills packs for one stream."""

    @property
    def held_bytes(self) -> int:
        """How much lies in packs that are not full."""

    def flush(self) -> bool:
        """Let those packs be put as they are, unless they are just being filled; say whether there was anything."""


class WriterResources:
    """Threads for hashing, packing and putting; `pieces` for bytes as they come, `extents` for packs. Thread-safe.

    A quarter of `buffer_bytes` is for pieces, the rest for packs. Threads start when they are first needed.
    """

    def __init__(self, *, buffer_bytes: int = BUFFER_BYTES) -> None:
        """Start nothing and take no memory yet."""
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
        """Ask this one, too, when buffers are short."""
        with self._lock:
            self._fillings.add(filling)

    def forget(self, filling: Filling) -> None:
        """Ask it no more."""
        with self._lock:
            self._fillings.discard(filling)

    def relieve(self) -> None:
        """Let the largest pack be put that is being filled and can be put now."""
        with self._lock:
            fillings = sorted(self._fillings, key=lambda each: each.held_bytes, reverse=True)
        for each in fillings:
            if each.flush():
                return

    def close(self) -> None:
        """End the threads, once what they do is done."""
        for pool in (self.hashing, self.packing, self.putting):
            pool.shutdown()
