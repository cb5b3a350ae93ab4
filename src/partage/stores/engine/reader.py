"""Give stored bytes out: a manifest and a range in, verified plain bytes out. Knows no database.

No byte leaves here before its whole chunk has been compared with its BLAKE3, so a reader gets right bytes or a problem, never wrong
ones. Work runs ahead of the consumer; all reads of a process share the threads and the buffers for that (`ReadAhead`).
"""

import threading
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import NamedTuple

from partage import problems
from partage.content import digest, manifest
from partage.stores import layout
from partage.stores.engine.compression import Decompressor
from partage.stores.engine.index import ChunkIndex, ChunkLocation
from partage.stores.engine.pack import Encoding
from partage.stores.store import Store

BUFFER_BYTES = 1 << 20
"""So much is fetched at a time: a chunk more or less."""

AHEAD_BUFFERS = 8
"""So many times this at most is fetched or being fetched before the consumer asks for it."""

_AHEAD_FIRST = 2
"""A read begins with so many, and gets one more with each that its consumer has taken: who takes little wastes little."""

_FAIR_BUFFERS = 4
"""When the share of each read is less than so many buffers, a read that waits for its consumer should not have any."""

_LOCATE_CHUNKS_FIRST = 16
_LOCATE_CHUNKS = 512
_ZEROS = bytes(BUFFER_BYTES)


class ReadAhead:
    """The threads and the buffers with which all reads of a process run ahead of their consumers. Thread-safe.

    A read always gets the buffer that its consumer waits for. What goes beyond that comes out of `budget_bytes`, of which all reads
    that run have equal shares. No read ever waits for a thread or for a buffer: what no thread has begun to fetch is fetched on the
    consumer's own thread. Threads start when they are first needed.
    """

    def __init__(self, *, threads: int = 4, budget_bytes: int = 16 << 20) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="partage-read")
        self._budget_bytes = budget_bytes
        self._held_bytes = 0
        self._reads = 0
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """How much is fetched or being fetched, and not yet taken by a consumer."""
        return self._held_bytes

    @property
    def is_short(self) -> bool:
        """Say whether reads are so many that those whose consumers are busy with something else should be closed."""
        return self._reads * _FAIR_BUFFERS * BUFFER_BYTES > self._budget_bytes

    def close(self) -> None:
        """End the threads. Fetches that run are waited for."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def enter(self) -> None:
        """Note that one more read runs."""
        with self._lock:
            self._reads += 1

    def leave(self) -> None:
        """Note that a read has ended."""
        with self._lock:
            self._reads -= 1

    def begin(self, fetcher: "_Fetcher", part: "_Part", held_bytes: int | None) -> "_Fetching | None":
        """Begin to fetch a part for a read that holds so many bytes; None if its share is used up.

        `held_bytes` None: the consumer waits for this part.
        """
        size_bytes = part.held_bytes
        with self._lock:
            if held_bytes is not None:
                is_within_share = (held_bytes + size_bytes) * self._reads <= self._budget_bytes
                if not is_within_share or self._held_bytes + size_bytes > self._budget_bytes:
                    return None
            self._held_bytes += size_bytes
        future = self._pool.submit(fetcher.fetch, part.slices) if part.slices else None
        return _Fetching(self, fetcher, part, future)

    def release(self, size_bytes: int) -> None:
        """Note that buffers of so many bytes were taken by their consumer or thrown away."""
        with self._lock:
            self._held_bytes -= size_bytes


def read(
    store: Store,
    index: ChunkIndex,
    segments: Iterable[manifest.Segment],
    start: int,
    stop: int,
    *,
    ahead: ReadAhead | None = None,
) -> Iterator[bytes]:
    """Yield the plain bytes [start, stop) of a content, in order, in buffers of 1 MiB at most, more or less: often a chunk each.

    `segments` are in order and without gaps; those before the range may be left out and cost little, those after it are not asked
    for. Lazy: nothing is fetched before the first buffer is asked for. Closing the iterator, or dropping it, releases what was
    fetched ahead and waits for nothing that `ahead` fetches. Without `ahead` the read has threads of its own, which end with it.
    One iterator is for one thread at a time; several iterators may read at once.

    Raises:
        ContentCorrupt: a chunk is missing or is not what was stored; the manifest does not cover the range.
        StoreUnavailable: the store does not answer.
    """
    wanted = _find_slices(segments, start, stop)
    fetcher = _Fetcher(store, index)
    if stop - start <= BUFFER_BYTES:
        # A small range is read on the caller's thread: starting threads would cost more than it does.
        for part in _group_parts(_locate_slices(wanted, index)):
            yield from _make_zeros(part.zeros) if part.zeros else fetcher.fetch(part.slices)
        return
    parts = _group_parts(_locate_slices(wanted, index))
    if ahead is not None:
        yield from _read_ahead(parts, fetcher, ahead)
        return
    own = ReadAhead()
    try:
        yield from _read_ahead(parts, fetcher, own)
    finally:
        own.close()


class _Slice(NamedTuple):
    """The bytes [first, stop) of one chunk, wherever that is; `location` None are zeros."""

    entry: manifest.ManifestEntry
    first: int
    stop: int
    location: ChunkLocation | None

    @property
    def length(self) -> int:
        return self.stop - self.first


_Wanted = tuple[manifest.ManifestEntry, int, int]
"""A slice whose chunk nobody has looked for yet."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Neighbouring slices that make one buffer; or, without slices, `zeros` zeros in as many buffers as it takes."""

    slices: tuple[_Slice, ...]
    zeros: int = 0

    @property
    def held_bytes(self) -> int:
        """How much memory its buffers take: whole chunks are fetched, whatever is wanted of them."""
        return sum(part.entry.length for part in self.slices if part.location is not None)


class _Fetching:
    """A part that is fetched, being fetched or waiting for a thread. Belongs to one read."""

    def __init__(self, shared: ReadAhead, fetcher: "_Fetcher", part: _Part, future: Future[list[bytes]] | None) -> None:
        self._shared = shared
        self._fetcher = fetcher
        self._part = part
        self._future = future

    @property
    def held_bytes(self) -> int:
        """How much memory the part takes, or will take."""
        return self._part.held_bytes

    def buffers(self) -> Iterator[bytes]:
        """Give the part's bytes; they count as held until the next part is asked for, or the iterator is closed."""
        try:
            if self._future is None:
                yield from _make_zeros(self._part.zeros)
            elif self._future.cancel():
                yield from self._fetcher.fetch(self._part.slices)
            else:
                found, self._future = self._future, None
                yield from found.result()
        finally:
            self._shared.release(self._part.held_bytes)

    def abandon(self) -> None:
        """Throw the part away, as soon as no thread fetches it any more."""
        size_bytes = self._part.held_bytes
        if self._future is None:
            self._shared.release(size_bytes)
        else:
            self._future.cancel()
            self._future.add_done_callback(lambda _done: self._shared.release(size_bytes))


def _find_slices(segments: Iterable[manifest.Segment], start: int, stop: int) -> Iterator[_Wanted]:
    """Find what of which chunks makes up the range, and insist that all of it is there."""
    position = start
    for segment in _skip_to(segments, start):
        if position >= stop:
            return
        if segment.start != position and not (position == start and segment.start < start):
            break
        for wanted in manifest.slice_segment(segment, position, stop):
            yield wanted
            position += wanted[2] - wanted[1]
    if position < stop:
        raise problems.ContentCorrupt(
            f"The manifest of the image data should reach byte {stop} and ends at {position}; restore the database from a backup",
        )


def _skip_to(segments: Iterable[manifest.Segment], start: int) -> Iterator[manifest.Segment]:
    """Leave out the segments that end before the range, as the next one's start tells, without decoding them."""
    for segment, following in pairwise(chain(segments, (None,))):
        if segment is not None and (following is None or following.start > start):
            yield segment


def _locate_slices(wanted: Iterator[_Wanted], index: ChunkIndex) -> Iterator[_Slice]:
    """Ask the index for many chunks at once; for few in the beginning, so that the first bytes come soon."""
    count = _LOCATE_CHUNKS_FIRST
    while some := list(islice(wanted, count)):
        yield from _locate(some, index)
        count = min(count * 2, _LOCATE_CHUNKS)


def _locate(wanted: Collection[_Wanted], index: ChunkIndex) -> tuple[_Slice, ...]:
    names = {entry.digest for entry, _first, _stop in wanted if entry.digest is not None}
    locations = index.locate(names) if names else {}
    missing = names.difference(locations)
    if missing:
        raise problems.ContentCorrupt(
            f"{len(missing)} chunks of the image data are not in the index, the first is {min(missing).hex()}; "
            "rebuild the index from the packs",
        )
    return tuple(
        _Slice(entry, first, stop, None if entry.digest is None else locations[entry.digest]) for entry, first, stop in wanted
    )


def _group_parts(slices: Iterable[_Slice]) -> Iterator[_Part]:
    """Put neighbours together until they fill a buffer. Long zeros are parts of their own: nobody need wait for them."""
    held: list[_Slice] = []
    held_bytes = 0
    for part in slices:
        length = part.stop - part.first
        long_zeros = part.location is None and length >= BUFFER_BYTES
        if held and (long_zeros or held_bytes >= BUFFER_BYTES):
            yield _Part(tuple(held))
            held, held_bytes = [], 0
        if long_zeros:
            yield _Part((), length)
        else:
            held.append(part)
            held_bytes += length
    if held:
        yield _Part(tuple(held))


def _read_ahead(parts: Iterator[_Part], fetcher: "_Fetcher", shared: ReadAhead) -> Iterator[bytes]:
    """Keep some parts being fetched while the consumer is busy; give them out in order."""
    waiting: deque[_Fetching] = deque()
    most = _AHEAD_FIRST
    shared.enter()
    try:
        following = next(parts, None)
        while True:
            while following is not None and len(waiting) < most:
                begun = shared.begin(fetcher, following, sum(each.held_bytes for each in waiting) if waiting else None)
                if begun is None:
                    break
                waiting.append(begun)
                following = next(parts, None)
            if not waiting:
                return
            yield from waiting.popleft().buffers()
            most = min(most + 1, AHEAD_BUFFERS)
    finally:
        for each in waiting:
            each.abandon()
        shared.leave()


def _make_zeros(length: int) -> Iterator[bytes]:
    """Give the same buffer again and again."""
    for _ in range(length // BUFFER_BYTES):
        yield _ZEROS
    if length % BUFFER_BYTES:
        yield _ZEROS[: length % BUFFER_BYTES]


class _Fetcher:
    """Turn located slices into verified plain bytes. Keeps nothing between two fetches, so any thread may fetch."""

    def __init__(self, store: Store, index: ChunkIndex) -> None:
        self._store = store
        self._index = index

    def fetch(self, slices: tuple[_Slice, ...]) -> list[bytes]:
        """Return the bytes of the slices, in order; not joined, as most readers need them one after the other only.

        A chunk may have moved to another pack since it was located, and its old pack be gone: so before the bytes are called
        corrupt, the index is asked once more.
        """
        try:
            return self._fetch(slices)
        except problems.ContentCorrupt:
            again = _locate([part[:3] for part in slices], self._index)
            if again == slices:
                raise
        return self._fetch(again)

    def _fetch(self, slices: tuple[_Slice, ...]) -> list[bytes]:
        decompressor = Decompressor()
        pieces: list[bytes] = []
        for run in _group_runs(slices):
            location = run[0].location
            if location is None:
                pieces.append(_ZEROS[: run[0].length])
                continue
            length = sum(part.location.stored_bytes for part in run if part.location)
            stored = self._store.get(layout.pack_key(location.pack_id), location.offset, length)
            plain = [_verify(part, view, decompressor) for part, view in _split(run, stored)]
            untouched = all(part.location and part.location.encoding is Encoding.PLAIN for part in run)
            if untouched and sum(part.length for part in run) == length:
                pieces.append(stored)
            else:
                pieces += [_cut(buffer, part) for part, buffer in zip(run, plain, strict=True)]
        return pieces


def _cut(plain: digest.Buffer, part: _Slice) -> bytes:
    if isinstance(plain, bytes) and part.length == len(plain):
        return plain
    return bytes(memoryview(plain)[part.first : part.stop])


def _group_runs(slices: tuple[_Slice, ...]) -> Iterator[list[_Slice]]:
    """Group slices whose chunks stand next to each other in one pack: one request gets them all."""
    run: list[_Slice] = []
    for part in slices:
        if run and not _is_adjacent(run[-1].location, part.location):
            yield run
            run = []
        run.append(part)
    if run:
        yield run


def _is_adjacent(one: ChunkLocation | None, other: ChunkLocation | None) -> bool:
    if one is None or other is None:
        return False
    return one.pack_id == other.pack_id and one.offset + one.stored_bytes == other.offset


def _split(run: list[_Slice], stored: bytes) -> Iterator[tuple[_Slice, memoryview]]:
    view = memoryview(stored)
    for part in run:
        length = part.location.stored_bytes if part.location else 0
        yield part, view[:length]
        view = view[length:]


def _verify(part: _Slice, stored: memoryview, decompressor: Decompressor) -> digest.Buffer:
    """Restore a chunk and compare it with its name.

    Raises:
        ContentCorrupt: they differ.
    """
    location = part.location
    if location is None:
        raise problems.ContentCorrupt("A chunk without a location cannot be verified")
    plain = decompressor.restore(stored, location.encoding, location.length_bytes)
    if len(plain) != part.entry.length or digest.compute_for_chunk(plain) != part.entry.digest:
        raise problems.ContentCorrupt(
            f"Stored bytes of the image data no longer have their digest (pack {location.pack_id}, offset {location.offset}); "
            "restore that pack from a backup",
        )
    return plain
