"""A pool of buffers for uploads: a fixed number of one size, which all streams of a process share.

The buffers are one anonymous mapping outside the heap, so the heap does not fragment; the kernel allocates a page at its first
write. Each begins at a page, as direct writes need it (`drivers/file_writing.py`). A forked process does not have them.
Waiting is first in, first out: on a thread (`acquire`), or with a callback (`request`).
"""

import mmap
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Self

from partage.content.chunking import PIECE_BYTES
from partage.content.digest import Buffer

_RELIEF_SECONDS = 0.05

Granted = Callable[[memoryview], None]


class Buffers:
    """At most `count` buffers of `PIECE_BYTES`. Each takes memory when first used, and keeps it. Thread-safe."""

    def __init__(self, count: int) -> None:
        """Reserve address space; no memory yet."""
        self.count = count
        space = mmap.mmap(-1, count * PIECE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        # The disk reads this memory during direct writes, beside which fork(2) is safe only so. Source: open(2), "O_DIRECT".
        space.madvise(mmap.MADV_DONTFORK)
        self._space = memoryview(space)
        self._lock = threading.Lock()
        self._made = 0
        self._free: list[memoryview] = []
        self._waiting: deque[Granted] = deque()

    @property
    def in_use(self) -> int:
        """The number of buffers that streams hold."""
        with self._lock:
            return self._made - len(self._free)

    def try_acquire(self) -> memoryview | None:
        """Return a free buffer; None if there is none, or if other callers wait for one."""
        with self._lock:
            return None if self._waiting else self._find_free()

    def acquire(self, relieve: Callable[[], None] | None = None) -> memoryview:
        """Block until a buffer is free. Calls `relieve` from time to time, to make streams release buffers."""
        granted: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self.request(granted.put)
        while True:
            try:
                return granted.get(timeout=None if relieve is None else _RELIEF_SECONDS)
            except queue.Empty:
                if relieve is not None:
                    relieve()

    def request(self, granted: Granted) -> None:
        """Call `granted` with a buffer: now, or in turn, on the thread that releases a buffer."""
        with self._lock:
            found = None if self._waiting else self._find_free()
            if found is None:
                self._waiting.append(granted)
        if found is not None:
            granted(found)

    def cancel(self, granted: Granted) -> bool:
        """Withdraw a request; return False if it was granted already."""
        with self._lock:
            try:
                self._waiting.remove(granted)
            except ValueError:
                return False
        return True

    def release(self, buffer: memoryview) -> None:
        """Pass a buffer to the next waiting stream, or to the free list. The caller must not use it any more."""
        with self._lock:
            granted = self._waiting.popleft() if self._waiting else None
            if granted is None:
                self._free.append(buffer)
        if granted is not None:
            granted(buffer)

    def _find_free(self) -> memoryview | None:
        if self._free:
            return self._free.pop()
        if self._made < self.count:
            self._made += 1
            return self._space[(self._made - 1) * PIECE_BYTES : self._made * PIECE_BYTES]
        return None


class Piece:
    """A reference-counted buffer with some bytes of a stream. The last `release` returns it to the pool.

    The creator has the first reference.
    """

    __slots__ = ("_buffers", "_lock", "_references", "buffer", "size_bytes")

    def __init__(self, buffers: Buffers, buffer: memoryview) -> None:
        """Wrap an acquired buffer as an empty piece."""
        self._buffers = buffers
        self._lock = threading.Lock()
        self._references = 1
        self.buffer = buffer
        self.size_bytes = 0

    @property
    def view(self) -> memoryview:
        """The bytes; not to be used after `release`."""
        return self.buffer[: self.size_bytes]

    @property
    def is_full(self) -> bool:
        """Whether there is no room for more bytes."""
        return self.size_bytes == len(self.buffer)

    def append(self, data: Buffer) -> int:
        """Copy as much of `data` as there is room for; return how many bytes were copied."""
        taken = memoryview(data)[: len(self.buffer) - self.size_bytes]
        self.buffer[self.size_bytes : self.size_bytes + len(taken)] = taken
        self.size_bytes += len(taken)
        return len(taken)

    def retain(self) -> Self:
        """Add a reference."""
        with self._lock:
            self._references += 1
        return self

    def release(self) -> None:
        """Drop a reference."""
        with self._lock:
            self._references -= 1
            was_last = not self._references
        if was_last:
            self._buffers.release(self.buffer)


class Extents:
    """Bytes in a row of buffers, each full but the last: so all of them can be written directly. Not thread-safe.

    The caller acquires the buffers, because that can wait.
    """

    __slots__ = ("_buffers", "_held", "size_bytes")

    def __init__(self, buffers: Buffers) -> None:
        """Begin without a buffer."""
        self._buffers = buffers
        self._held: list[memoryview] = []
        self.size_bytes = 0

    @property
    def room_bytes(self) -> int:
        """How many bytes can be appended before another buffer is needed."""
        return len(self._held) * PIECE_BYTES - self.size_bytes

    def extend(self, buffer: memoryview) -> None:
        """Take over an acquired buffer as further room."""
        self._held.append(buffer)

    def append(self, stored: Buffer) -> None:
        """Copy bytes, for which there is room."""
        rest = memoryview(stored)
        while rest:
            number, start = divmod(self.size_bytes, PIECE_BYTES)
            taken = rest[: PIECE_BYTES - start]
            self._held[number][start : start + len(taken)] = taken
            self.size_bytes += len(taken)
            rest = rest[len(taken) :]

    def list_parts(self) -> list[memoryview]:
        """List the bytes, in order; not to be used after `release`."""
        ends = range(self.size_bytes, 0, -PIECE_BYTES)
        return [buffer[: min(end, PIECE_BYTES)] for buffer, end in zip(self._held, ends, strict=False)]

    def release(self) -> None:
        """Release the buffers."""
        for buffer in self._held:
            self._buffers.release(buffer)
        self._held = []
        self.size_bytes = 0
