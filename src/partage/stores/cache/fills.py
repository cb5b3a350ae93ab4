"""Fills copies for the downloads of a process: readers of one content share a fill, so that its chunks are decoded once.

A fill reads ahead of the reader that is furthest, by `LEAD_WINDOWS` at most, and waits for more demand for a moment before it
ends. So a reader that goes away stops its fill, and nothing is registered that a reader could leave behind. Two processes that come
to the same windows see each other's locks: one fills, the other one waits for the marks. Who waits in vain fills the same windows.
If there is no thread for a fill, or it fails, the reader reads the store without a copy.

Readers get a window from memory as soon as it was verified, while the fill writes it. The last `LEAD_WINDOWS` windows stay in
memory until the fill ends, since they are written past the page cache (`staging.py`).
"""

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

from partage import problems
from partage.content.digest import Buffer
from partage.content.manifest import Segment
from partage.model.ids import ContentID
from partage.stores.cache.cache_directory import CacheDirectory
from partage.stores.cache.copies import WINDOW_BYTES, Copy, FilePart, State, count_windows, is_zeros
from partage.stores.cache.staging import Staging
from partage.stores.cache.verifying import verify_windows

LEAD_WINDOWS = 8
"""Also what a fill holds in memory. A further one would decode more for a reader that goes away."""

LINGER_SECONDS = 0.5
FOLLOW_SECONDS = 4.0
"""How long a fill waits for a window that another process has locked."""

_POLL_SECONDS = 0.002
_WRITTEN_AT_ONCE = 4
_LEAST_DEMAND = LEAD_WINDOWS // 2
"""A fill that waits goes on for so many windows, or for a reader that waits: each start costs two switches of threads."""

_ROOM_WINDOWS = 16
_VERIFIED_AT_ONCE = 8
_INLINE_WINDOWS = 4
"""A fill of so few windows runs on the reader's thread."""


class Origin(Protocol):
    """Where a content comes from: its stores and its manifest."""

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes [start, stop), verified.

        Raises:
            ContentCorrupt, StoreUnavailable, DatabaseUnavailable: they cannot be had.
        """

    def list_segments(self, start: int, stop: int) -> Iterator[Segment]:
        """Yield the segments of the manifest that cover [start, stop).

        Raises:
            ContentCorrupt, DatabaseUnavailable: they cannot be had.
        """


class Taken(NamedTuple):
    """The next bytes for a reader. `was_there`: they were in the file before the reader came."""

    pieces: Sequence[Buffer | FilePart]
    was_there: bool


class Fills:
    """The fills of one process, and their threads, which start on first use. Thread-safe."""

    def __init__(self, directory: CacheDirectory, *, threads: int = 4, thread_begins: Callable[[], None] | None = None) -> None:
        """Make the fills of a process; each thread first calls `thread_begins`."""
        self.directory = directory
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="partage-fill", initializer=thread_begins)
        self._changed = threading.Condition()
        self._fills: list[_Fill] = []
        self._is_closing = False

    def close(self) -> None:
        """End all fills soon, and wait for them."""
        with self._changed:
            self._is_closing = True
            for fill in self._fills:
                fill.is_ended = True  # also of one that waits for a thread: it will get none
            self._changed.notify_all()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def count(self) -> int:
        """Return the number of running fills."""
        with self._changed:
            return len(self._fills)

    def take(self, copy: Copy, position: int, stop: int, origin: Origin) -> Taken | None:
        """Wait for the first bytes of [position, stop), and return them; None if the caller must read the store.

        A fill goes on for a reader that is at `position`.
        """
        window, wanted = position // WINDOW_BYTES, count_windows(stop)
        with self._changed:
            found = self._look(copy, position, stop, was_there=True)
            if found is not None:
                for each in self._fills:
                    if each.content_id == copy.content_id and each.begin <= window < each.front + LEAD_WINDOWS:
                        self._extend(each, window, wanted)
                return found
            fill = self._find(copy, window)
            is_mine = fill is None
            if fill is None:
                fill = self._begin(copy, window, wanted, origin)
            if fill is None:
                return None
            fill.awaited = max(fill.awaited, window)
            self._extend(fill, window, wanted)
        if is_mine and fill.is_inline:
            self._run(fill)
        with self._changed:
            while not (fill.is_ended or fill.front > window):
                self._changed.wait()
            return self._look(copy, position, stop, was_there=False)

    def settle(self, content_id: ContentID) -> None:
        """Wait until fills that have come to the end of this content have written what readers got from memory."""
        with self._changed:
            while any(each.content_id == content_id and each.front == each.windows for each in self._fills):
                self._changed.wait()

    def _look(self, copy: Copy, position: int, stop: int, *, was_there: bool) -> Taken | None:
        window = position // WINDOW_BYTES
        for fill in self._fills:
            held = fill.held.get(window) if fill.content_id == copy.content_id else None
            if held is not None:
                start = window * WINDOW_BYTES
                return Taken(_cut(held, position - start, min(stop - start, WINDOW_BYTES)), was_there=False)
        part = copy.take_part(position, stop)
        return None if part is None else Taken([part], was_there)

    def _find(self, copy: Copy, window: int) -> "_Fill | None":
        """Find the fill that will come to a window. One on the thread of a short read comes to none beyond that read's."""
        for fill in self._fills:
            end = fill.wanted if fill.is_inline else fill.front + LEAD_WINDOWS
            if fill.content_id == copy.content_id and not fill.is_ended and fill.front <= window < end:
                return fill
        return None

    def _begin(self, copy: Copy, window: int, wanted: int, origin: Origin) -> "_Fill | None":
        is_inline = wanted - window <= _INLINE_WINDOWS
        if self._is_closing or (not is_inline and not self._free_thread()):
            return None
        fill = _Fill(self, copy, origin, window, min(wanted, window + LEAD_WINDOWS), is_inline=is_inline)
        self._fills.append(fill)
        if not is_inline:
            try:
                self._pool.submit(self._run, fill)
            except RuntimeError:  # no thread can be started
                self._fills.remove(fill)
                return None
        return fill

    def _free_thread(self) -> bool:
        """Return whether a fill has a thread, if need be that of a fill that waits for more demand."""
        running = [each for each in self._fills if not each.is_inline and not each.is_ended]
        idle = [each for each in running if each.is_idle and not each.is_demanded]
        if len(running) >= self._threads and idle:
            idle[0].is_ended = True
            self._changed.notify_all()
        return len(running) < self._threads or bool(idle)

    def _extend(self, fill: "_Fill", window: int, wanted: int) -> None:
        further = min(wanted, window + LEAD_WINDOWS)
        if further > fill.wanted and not fill.is_inline:
            fill.wanted = further
        if fill.is_idle and fill.is_demanded:
            self._changed.notify_all()

    def _run(self, fill: "_Fill") -> None:
        try:
            fill.run()
        finally:
            self.end(fill)

    def end(self, fill: "_Fill") -> None:
        """Forget a fill; readers that wait for it go on."""
        with self._changed:
            fill.is_ended = True
            with contextlib.suppress(ValueError):
                self._fills.remove(fill)
            self._changed.notify_all()

    def advance(self, fill: "_Fill", count: int, held: Sequence[Buffer] | None = None) -> None:
        """Note that so many more windows are filled: in the file, or one that is `held` in memory."""
        with self._changed:
            if held is not None:
                fill.held[fill.front] = held
            fill.front += count
            for window in [each for each in fill.held if each < fill.front - LEAD_WINDOWS]:
                del fill.held[window]
            self._changed.notify_all()

    def await_demand(self, fill: "_Fill", idle: Callable[[], None]) -> int:
        """Return how many windows a fill has to fill now; 0 if it is to end. Calls `idle` before it waits."""
        with self._changed:
            if fill.front < fill.wanted and not self._is_closing:
                return fill.wanted - fill.front
        if not fill.is_inline and fill.front < fill.windows:
            idle()
            with self._changed:
                fill.is_idle = True
                self._changed.wait_for(lambda: fill.is_demanded or fill.is_ended or self._is_closing, timeout=LINGER_SECONDS)
                fill.is_idle = False
                if fill.front < fill.wanted and not fill.is_ended and not self._is_closing:
                    return fill.wanted - fill.front
                fill.is_ended = True  # in the same breath, or a reader could extend a fill that ends
        return 0


class _Fill:
    """One fill, from a window on.

    `front`, `wanted`, `awaited`, `held` and `is_ended` change under the lock of its `Fills`. A window before `front` is marked in
    the file, or in `held`, or both. `awaited` is the furthest window for which a reader waits.
    """

    def __init__(self, fills: Fills, copy: Copy, origin: Origin, first: int, wanted: int, *, is_inline: bool) -> None:
        self.content_id = copy.content_id
        self.begin = self.front = first
        self.wanted = wanted
        self.is_inline = is_inline
        self.is_ended = False
        self.is_idle = False
        self.awaited = -1
        self.held: dict[int, Sequence[Buffer]] = {}
        self.windows = copy.windows
        self._is_patient = True
        self._fills = fills
        self._size_bytes = copy.size_bytes
        self._origin = origin
        self._reading: _Reading | None = None
        self._locked = range(0)
        self._grown = 0
        self._unwritten: dict[int, Sequence[Buffer]] = {}
        self._staging: Staging | None = None

    @property
    def is_demanded(self) -> bool:
        """Whether there is enough demand to go on."""
        return self.front < self.wanted and (self.front <= self.awaited or self.wanted - self.front >= _LEAST_DEMAND)

    def run(self) -> None:
        """Fill windows as long as there is demand."""
        copy = self._fills.directory.open(self.content_id, self._size_bytes)
        if copy is None or not self._fills.directory.takes:
            return
        try:
            try:
                while count := self._fills.await_demand(self, lambda: self._rest(copy)):
                    self._lock(copy)
                    self._advance(copy, count)
            finally:
                self._rest(copy)
        except OSError as error:
            self._fills.directory.rest(error)
        except (problems.Problem, _NoRoomError):
            return  # the readers find the same problem in the store, or none
        finally:
            self._close_reading()

    def _rest(self, copy: Copy) -> None:
        """Write what is to be written, and hold no locks. The read-ahead stays for a moment: there may be more demand."""
        try:
            self._write(copy)
        finally:
            copy.unlock(self._locked.start, len(self._locked))
            self._locked = range(0)

    def _close_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _lock(self, copy: Copy) -> None:
        """Lock the windows before the front, or wait until the process that has locked them has filled the first."""
        ahead = range(self.front, self.front + LEAD_WINDOWS)
        if self._locked and self.front < self._locked.start + LEAD_WINDOWS // 2:
            return
        until = time.monotonic() + FOLLOW_SECONDS
        while not copy.lock(ahead.start, len(ahead)):
            self._write(copy)  # the other process may wait for it
            if copy.states(self.front, 1)[0] >= State.VERIFIED:
                return
            if not self._is_patient or time.monotonic() >= until:
                self._is_patient = False
                return
            time.sleep(_POLL_SECONDS)
        if self._locked:
            self._write(copy)  # before another process may fill the same windows
            copy.unlock(self._locked.start, ahead.start - self._locked.start)
        self._locked = ahead

    def _advance(self, copy: Copy, count: int) -> None:
        """Take the first windows that are in the same state a step further."""
        front = self.front
        states = copy.states(front, min(count, _VERIFIED_AT_ONCE))
        ready = len(states) - len(states.lstrip(bytes([State.VERIFIED, State.ZEROS])))
        if ready:
            self._write(copy)  # windows so far behind are held no longer
            self._fills.advance(self, ready)
        elif states[0] == State.UNVERIFIED:
            left = len(states) - len(states.lstrip(bytes([State.UNVERIFIED])))
            start, stop = front * WINDOW_BYTES, min((front + left) * WINDOW_BYTES, copy.size_bytes)
            copy.mark(front, verify_windows(copy, self._origin.list_segments(start, stop), front, left))
        else:
            self._fill_window(copy, front)

    def _fill_window(self, copy: Copy, window: int) -> None:
        self._grown += 1
        if self._grown % _ROOM_WINDOWS == 1:
            if copy.is_removed:
                raise _NoRoomError
            more_bytes = min(_ROOM_WINDOWS * WINDOW_BYTES, copy.size_bytes - window * WINDOW_BYTES)
            if not self._fills.directory.make_room(copy, more_bytes):
                self._fills.directory.refuse(self.content_id, "it has no room")
                raise _NoRoomError
        if self._reading is None or self._reading.position != window * WINDOW_BYTES:
            self._close_reading()
            stop = copy.size_bytes if not self.is_inline else min(self.wanted * WINDOW_BYTES, copy.size_bytes)
            self._reading = _Reading(self._origin, window * WINDOW_BYTES, stop)
        pieces = self._reading.take(copy.measure_window(window))
        if is_zeros(pieces):
            copy.mark(window, bytes([State.ZEROS]))
            if self._unwritten and window - next(iter(self._unwritten)) >= _WRITTEN_AT_ONCE:
                self._write(copy)
            self._fills.advance(self, 1)
            return
        self._unwritten[window] = pieces
        self._fills.advance(self, 1, held=pieces)
        if len(self._unwritten) >= _WRITTEN_AT_ONCE:
            self._write(copy)

    def _write(self, copy: Copy) -> None:
        """Write and mark windows that readers have got from memory so far; all of them are forgotten if that fails."""
        unwritten, self._unwritten = self._unwritten, {}
        if self._staging is None and not self.is_inline:
            self._staging = Staging(_WRITTEN_AT_ONCE * WINDOW_BYTES)
        while unwritten:
            first = next(iter(unwritten))
            adjacent: list[Sequence[Buffer]] = []
            while first + len(adjacent) in unwritten:
                adjacent.append(unwritten.pop(first + len(adjacent)))
            copy.write(first, adjacent, self._staging)


def _cut(pieces: Sequence[Buffer], start: int, stop: int) -> list[Buffer]:
    """Return the bytes [start, stop) of pieces."""
    found: list[Buffer] = []
    for piece in pieces:
        if start < len(piece) and stop > 0:
            found.append(piece if start <= 0 and stop >= len(piece) else piece[max(start, 0) : stop])
        start, stop = start - len(piece), stop - len(piece)
    return found


class _NoRoomError(Exception):
    """The copy may not grow, or was evicted."""


class _Reading:
    """Reads a content in pieces of given sizes."""

    def __init__(self, origin: Origin, start: int, stop: int) -> None:
        self.position = start
        self._pieces = origin.read(start, stop)
        self._rest = memoryview(b"")

    def take(self, size_bytes: int) -> list[Buffer]:
        """Return the next bytes.

        Raises:
            ContentCorrupt: there are fewer.
        """
        taken: list[Buffer] = []
        left = size_bytes
        while left:
            piece = self._rest or memoryview(next(self._pieces, b""))
            if not piece:
                raise problems.ContentCorrupt("The image data ends before its size")
            taken.append(piece[:left])
            self._rest = piece[left:]
            left -= len(taken[-1])
        self.position += size_bytes
        return taken

    def close(self) -> None:
        """Release the read-ahead."""
        if isinstance(self._pieces, Generator):
            self._pieces.close()
