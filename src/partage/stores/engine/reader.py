"""Read stored data: a manifest and a range in, verified plain bytes out. Knows no database.

No byte is returned before its whole chunk matches its BLAKE3 digest, so a reader gets right bytes or a problem, never wrong bytes.
Reads ahead of the consumer; all reads of a process share the threads and buffers for that (`ReadAhead`).
"""

import threading
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
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
"""Bytes fetched at a time, give or take a chunk."""

AHEAD_BUFFERS = 8
"""Maximum read-ahead of one read, in buffers."""

_AHEAD_FIRST = 2
"""Read-ahead at the start of a read; it grows by one with each consumed buffer, so that short reads waste little."""

_FAIR_BUFFERS = 4
"""If each read's share is less than this many buffers, reads whose consumers are slow should be closed."""

_LOCATE_CHUNKS_FIRST = 16
_LOCATE_CHUNKS = 512
_ZEROS = bytes(BUFFER_BYTES)


class ReadAhead:
    """The threads and the memory for the read-ahead of all reads of a process. Thread-safe.

    A read always gets the buffer that its consumer waits for. Read-ahead beyond that uses `budget_bytes`, in equal shares for all
    running reads. No read waits for a thread or a buffer: a part that no thread has begun to fetch is fetched on the consumer's
    thread. Threads start when first needed.
    """

    def __init__(self, *, threads: int = 4, budget_bytes: int = 16 << 20) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="partage-read")
        self._budget_bytes = budget_bytes
        self._held_bytes = 0
        self._reads = 0
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Bytes that are fetched or being fetched, and not yet consumed."""
        return self._held_bytes

    @property
    def is_short(self) -> bool:
        """Whether there are so many reads that those with slow consumers should be closed."""
        return self._reads * _FAIR_BUFFERS * BUFFER_BYTES > self._budget_bytes

    def close(self) -> None:
        """Stop the threads, after the running fetches."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def enter(self) -> None:
        """Count one more running read."""
        with self._lock:
            self._reads += 1

    def leave(self) -> None:
        """Count one running read less."""
        with self._lock:
            self._reads -= 1

    def begin(self, fetcher: "_Fetcher", part: "_Part", held_bytes: int | None) -> "_Fetching | None":
        """Begin to fetch a part for a read that holds `held_bytes`; None if its share is used up.

        `held_bytes` None: the consumer waits for this part.
        """
        size_bytes = part.held_bytes
        with self._lock:
            if held_bytes is not None:
                is_within_share = (held_bytes + size_bytes) * self._reads <= self._budget_bytes
                if not is_within_share or self._held_bytes + size_bytes > self._budget_bytes:
                    return None
            self._held_bytes += size_bytes
        future = self._pool.submit(copy_context().run, fetcher.fetch, part.slices) if part.slices else None
        return _Fetching(self, fetcher, part, future)

    def release(self, size_bytes: int) -> None:
        """Return bytes to the budget: their buffers were consumed or discarded."""
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

    `segments` are in order and without gaps; those before the range may be left out, those after it are not read. Lazy. Closing or
    dropping the iterator releases the read-ahead without waiting for fetches. Without `ahead` the read has its own threads, which
    end with it. One thread at a time may use an iterator; several iterators may run at once.

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
    """The bytes [first, stop) of one chunk; `location` None means zeros."""

    entry: manifest.ManifestEntry
    first: int
    stop: int
    location: ChunkLocation | None

    @property
    def length(self) -> int:
        return self.stop - self.first


_Wanted = tuple[manifest.ManifestEntry, int, int]
"""A slice whose chunk is not located yet."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Adjacent slices that make one buffer; or, without slices, `zeros` zero bytes in any number of buffers."""

    slices: tuple[_Slice, ...]
    zeros: int = 0

    @property
    def held_bytes(self) -> int:
        """Memory of its buffers: whole chunks are fetched, even for a part of them."""
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
        """Memory that the part takes, or will take."""
        return self._part.held_bytes

    def buffers(self) -> Iterator[bytes]:
        """Yield the part's bytes; they count as held until the next part is read, or the iterator is closed."""
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
        """Discard the part, as soon as no thread fetches it."""
        size_bytes = self._part.held_bytes
        if self._future is None:
            self._shared.release(size_bytes)
        else:
            self._future.cancel()
            self._future.add_done_callback(lambda _done: self._shared.release(size_bytes))


def _find_slices(segments: Iterable[manifest.Segment], start: int, stop: int) -> Iterator[_Wanted]:
    """Yield the slices of the range; raise if the manifest does not cover it."""
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
    """Skip the segments that end before the range, without decoding them: the next one's start shows it."""
    for segment, following in pairwise(chain(segments, (None,))):
        if segment is not None and (following is None or following.start > start):
            yield segment


def _locate_slices(wanted: Iterator[_Wanted], index: ChunkIndex) -> Iterator[_Slice]:
    """Locate many chunks with one query; few at first, so that the first bytes come soon."""
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
    """Group adjacent slices until they fill a buffer. Long zeros are separate parts, which need no fetch."""
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
    """Fetch some parts ahead of the consumer; yield them in order."""
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
    """Yield the same buffer of zeros repeatedly."""
    for _ in range(length // BUFFER_BYTES):
        yield _ZEROS
    if length % BUFFER_BYTES:
        yield _ZEROS[: length % BUFFER_BYTES]


class _Fetcher:
    """Turns located slices into verified plain bytes. Stateless, so any thread may fetch."""

    def __init__(self, store: Store, index: ChunkIndex) -> None:
        self._store = store
        self._index = index

    def fetch(self, slices: tuple[_Slice, ...]) -> list[bytes]:
        """Return the bytes of the slices, in order; not joined, because most readers need them one after the other.

        Before reporting corruption, locates and fetches once more: a sweep may have moved a chunk to another pack since it was
        located, and bytes may have been damaged between the store and this process, not in the store.
        """
        try:
            return self._fetch(slices)
        except problems.ContentCorrupt:
            return self._fetch(_locate([part[:3] for part in slices], self._index))

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
    """Group slices whose chunks are adjacent in one pack: one request reads them all."""
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
    """Decompress a chunk and compare it with its digest.

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
