"""Give stored bytes out: a manifest and a range in, verified plain bytes out. Knows no database.

No byte leaves here before its whole chunk has been compared with its BLAKE3, so a reader gets right bytes or a problem, never wrong
ones. Work runs ahead of the consumer on two threads; how far is bounded.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import NamedTuple

from partage import problems
from partage.content import digest, manifest
from partage.stores import layout
from partage.stores.compression import Decompressor
from partage.stores.index import ChunkIndex, ChunkLocation
from partage.stores.pack import Encoding
from partage.stores.store import Store

BUFFER_BYTES = 1 << 20
"""So much is fetched at a time: a chunk more or less."""

AHEAD_BUFFERS = 8
"""So many times this at most is fetched or being fetched before the consumer asks for it."""

_THREADS = 2
_LOCATE_CHUNKS_FIRST = 16
_LOCATE_CHUNKS = 512
_ZEROS = bytes(BUFFER_BYTES)


def read(
    store: Store,
    index: ChunkIndex,
    segments: Iterable[manifest.Segment],
    start: int,
    stop: int,
) -> Iterator[bytes]:
    """Yield the plain bytes [start, stop) of a content, in order, in buffers of 1 MiB at most, more or less: often a chunk each.

    `segments` are in order and without gaps; those before the range may be left out and cost little, those after it are not asked
    for. Lazy: nothing is fetched before the first buffer is asked for. Closing the iterator, or dropping it, cancels what runs
    ahead and ends its threads. One iterator is for one thread at a time; several iterators may read at once.

    Raises:
        ContentCorrupt: a chunk is missing or is not what was stored; the manifest does not cover the range.
        StoreUnavailable: the store does not answer.
    """
    wanted = _wanted(segments, start, stop)
    fetcher = _Fetcher(store, index)
    if stop - start <= BUFFER_BYTES:
        # A small range is read on the caller's thread: starting threads would cost more than it does.
        for part in _parts(_located(wanted, index)):
            yield from _zeros(part.zeros) if part.zeros else fetcher.fetch(part.slices)
        return
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="partage-read")
    try:
        yield from _ahead(_parts(_located(wanted, index)), fetcher, pool)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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


def _wanted(segments: Iterable[manifest.Segment], start: int, stop: int) -> Iterator[_Wanted]:
    """Find what of which chunks makes up the range, and insist that all of it is there."""
    position = start
    for segment in _from(segments, start):
        if position >= stop:
            return
        if segment.start != position and not (position == start and segment.start < start):
            break
        for wanted in manifest.within(segment, position, stop):
            yield wanted
            position += wanted[2] - wanted[1]
    if position < stop:
        raise problems.ContentCorrupt(
            f"The manifest of the image data should reach byte {stop} and ends at {position}; restore the database from a backup",
        )


def _from(segments: Iterable[manifest.Segment], start: int) -> Iterator[manifest.Segment]:
    """Leave out the segments that end before the range, as the next one's start tells, without decoding them."""
    for segment, following in pairwise(chain(segments, (None,))):
        if segment is not None and (following is None or following.start > start):
            yield segment


def _located(wanted: Iterator[_Wanted], index: ChunkIndex) -> Iterator[_Slice]:
    """Ask the index for many chunks at once; for few in the beginning, so that the first bytes come soon."""
    count = _LOCATE_CHUNKS_FIRST
    while some := list(islice(wanted, count)):
        yield from _asked(some, index)
        count = min(count * 2, _LOCATE_CHUNKS)


def _asked(wanted: Collection[_Wanted], index: ChunkIndex) -> tuple[_Slice, ...]:
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


def _parts(slices: Iterable[_Slice]) -> Iterator[_Part]:
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


def _ahead(parts: Iterable[_Part], fetcher: "_Fetcher", pool: ThreadPoolExecutor) -> Iterator[bytes]:
    """Keep some parts being fetched while the consumer is busy; give them out in order."""
    waiting: deque[int | Future[list[bytes]]] = deque()
    for part in parts:
        waiting.append(part.zeros or pool.submit(fetcher.fetch, part.slices))
        if len(waiting) >= AHEAD_BUFFERS:
            yield from _given(waiting.popleft())
    while waiting:
        yield from _given(waiting.popleft())


def _given(waited: int | Future[list[bytes]]) -> Iterator[bytes]:
    return _zeros(waited) if isinstance(waited, int) else iter(waited.result())


def _zeros(length: int) -> Iterator[bytes]:
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
            again = _asked([part[:3] for part in slices], self._index)
            if again == slices:
                raise
        return self._fetch(again)

    def _fetch(self, slices: tuple[_Slice, ...]) -> list[bytes]:
        decompressor = Decompressor()
        pieces: list[bytes] = []
        for run in _runs(slices):
            location = run[0].location
            if location is None:
                pieces.append(_ZEROS[: run[0].length])
                continue
            length = sum(part.location.stored_bytes for part in run if part.location)
            stored = self._store.get(layout.pack_key(location.pack_id), location.offset, length)
            plain = [_verified(part, view, decompressor) for part, view in _split(run, stored)]
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


def _runs(slices: tuple[_Slice, ...]) -> Iterator[list[_Slice]]:
    """Group slices whose chunks stand next to each other in one pack: one request gets them all."""
    run: list[_Slice] = []
    for part in slices:
        if run and not _adjacent(run[-1].location, part.location):
            yield run
            run = []
        run.append(part)
    if run:
        yield run


def _adjacent(one: ChunkLocation | None, other: ChunkLocation | None) -> bool:
    if one is None or other is None:
        return False
    return one.pack_id == other.pack_id and one.offset + one.stored_bytes == other.offset


def _split(run: list[_Slice], stored: bytes) -> Iterator[tuple[_Slice, memoryview]]:
    view = memoryview(stored)
    for part in run:
        length = part.location.stored_bytes if part.location else 0
        yield part, view[:length]
        view = view[length:]


def _verified(part: _Slice, stored: memoryview, decompressor: Decompressor) -> digest.Buffer:
    """Restore a chunk and compare it with its name.

    Raises:
        ContentCorrupt: they differ.
    """
    location = part.location
    if location is None:
        raise problems.ContentCorrupt("A chunk without a location cannot be verified")
    plain = decompressor.restore(stored, location.encoding, location.length_bytes)
    if len(plain) != part.entry.length or digest.of_chunk(plain) != part.entry.digest:
        raise problems.ContentCorrupt(
            f"Stored bytes of the image data no longer have their digest (pack {location.pack_id}, offset {location.offset}); "
            "restore that pack from a backup",
        )
    return plain
