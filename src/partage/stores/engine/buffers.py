"""Memory for image data on its way in: a fixed number of buffers of one size, which all streams of a process share and use again.

The buffers lie in one anonymous mapping outside the heap. The kernel gives a page when it is first written to, and the heap has no
holes between buffers. A stream that finds no free buffer waits behind those that asked before it: with a thread (`take`), or
without one (`ask`).
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
    """At most `count` buffers of `PIECE_BYTES`. Each takes memory when it is first needed, and keeps it. Thread-safe."""

    def __init__(self, count: int) -> None:
        """Take address space; no memory yet."""
        self.count = count
        self._space = memoryview(mmap.mmap(-1, count * PIECE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        self._lock = threading.Lock()
        self._made = 0
        self._free: list[memoryview] = []
        self._waiting: deque[Granted] = deque()

    @property
    def in_use(self) -> int:
        """Count the buffers that a stream holds."""
        with self._lock:
            return self._made - len(self._free)

    def take_now(self) -> memoryview | None:
        """Return a free buffer; None when there is none, or when others wait for one."""
        with self._lock:
            return None if self._waiting else self._spare()

    def take(self, relieve: Callable[[], None] | None = None) -> memoryview:
        """Wait for a free buffer, on the caller's thread. `relieve` is called now and then, to make those that hold some let go."""
        granted: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self.ask(granted.put)
        while True:
            try:
                return granted.get(timeout=None if relieve is None else _RELIEF_SECONDS)
            except queue.Empty:
                if relieve is not None:
                    relieve()

    def ask(self, granted: Granted) -> None:
        """Call `granted` with a buffer, now or when it is this caller's turn; then on the thread that gives a buffer back."""
        with self._lock:
            spare = None if self._waiting else self._spare()
            if spare is None:
                self._waiting.append(granted)
        if spare is not None:
            granted(spare)

    def cancel(self, granted: Granted) -> bool:
        """Forget what was asked for; say whether that was possible, because it was not granted yet."""
        with self._lock:
            try:
                self._waiting.remove(granted)
            except ValueError:
                return False
        return True

    def give_back(self, buffer: memoryview) -> None:
        """Let the next stream have a buffer. Nobody may look at it any more."""
        with self._lock:
            granted = self._waiting.popleft() if self._waiting else None
            if granted is None:
                self._free.append(buffer)
        if granted is not None:
            granted(buffer)

    def _spare(self) -> memoryview | None:
        if self._free:
            return self._free.pop()
        if self._made < self.count:
            self._made += 1
            return self._space[(self._made - 1) * PIECE_BYTES : self._made * PIECE_BYTES]
        return None


class Piece:
    """A buffer and how many of its bytes are part of a stream. It goes back when the last of its holders has let go.

    Whoever makes a piece is its first holder.
    """

    __slots__ = ("_buffers", "_holders", "_lock", "buffer", "size_bytes")

    def __init__(self, buffers: Buffers, buffer: memoryview) -> None:
        """Hold an empty piece in a buffer that was taken."""
        self._buffers = buffers
        self._lock = threading.Lock()
        self._holders = 1
        self.buffer = buffer
        self.size_bytes = 0

    @property
    def view(self) -> memoryview:
        """The bytes; not to be looked at after letting go."""
        return self.buffer[: self.size_bytes]

    @property
    def is_full(self) -> bool:
        """Say whether there is no room for more bytes."""
        return self.size_bytes == len(self.buffer)

    def append(self, data: Buffer) -> int:
        """Copy as much of `data` as there is room for; return how many bytes that is."""
        taken = memoryview(data)[: len(self.buffer) - self.size_bytes]
        self.buffer[self.size_bytes : self.size_bytes + len(taken)] = taken
        self.size_bytes += len(taken)
        return len(taken)

    def hold(self) -> Self:
        """Become one more holder."""
        with self._lock:
            self._holders += 1
        return self

    def let_go(self) -> None:
        """Hold it no more."""
        with self._lock:
            self._holders -= 1
            was_last = not self._holders
        if was_last:
            self._buffers.give_back(self.buffer)
