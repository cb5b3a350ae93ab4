"""Read an image of another Partage by its chunks: fetch those that are not here, read the others here, yield all bytes in order.

The other service is trusted with nothing. Its manifest has to cover the image's size without gaps, each fetched chunk is compared
with its digest, and the caller compares the whole with the digest in the image's document. What may be read here is decided by
`Here` (docs/decisions/0075). A service that has no manifest is a Glance, or an older Partage: the caller downloads the image whole.

Memory: a page of the manifest, and up to `_AHEAD` batches of 4 MiB.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import NamedTuple, Protocol, TypeVar

import blake3

from partage import problems
from partage.content import chunking, digest, manifest, parts
from partage.content.manifest import ManifestEntry
from partage.content.parts import Range
from partage.model.ids import ChunkDigest, StoreID
from partage.outbound import fetch
from partage.outbound.ahead import run_ahead
from partage.outbound.cancelling import Cancellation
from partage.outbound.rules import Rules

SEGMENTS = "application/vnd.partage.manifest"
PAGE_CHUNKS = 8192
PAGE_BYTES = 1 << 20
"""The most bytes of a page: 8192 chunks take 40 bytes each, and a few heads."""

_AHEAD = 3
_ATTEMPTS = 5
_PASSING = (None, 429, 502, 503, 504)
"""Statuses after which a request is repeated. None: there was no answer, or not all of it."""

_ZEROS = bytes(fetch.BLOCK_BYTES)
_Result = TypeVar("_Result")


class Received(NamedTuple):
    """What an earlier run of the same task has received: the bytes before `stop`.

    The digest is one of the store that got them, and of their part of the manifest.
    """

    stop: int
    digest: bytes


class Here(Protocol):
    """What this service has of the image already. One thread at a time calls it."""

    @property
    def store_id(self) -> StoreID:
        """The store that gets the image."""

    @property
    def progress(self) -> Received | None:
        """What an earlier run has received; None if nothing is known."""

    def find(self, wanted: Mapping[ChunkDigest, int], received: set[ChunkDigest]) -> set[ChunkDigest]:
        """Return which of the wanted chunks may be read here and are in the store.

        Each is given with its offset in the image, in ascending order, also from call to call. `received` are those that an
        earlier run has received.
        """

    def read(self, start: int, entries: Sequence[ManifestEntry]) -> Iterator[bytes]:
        """Yield the bytes of chunks that `find` has found, which begin at `start` of the image.

        Raises:
            ContentCorrupt: one of them is damaged, or gone by now.
        """

    def note(self, received: Received) -> None:
        """Record what has been received so far. Called often; writes now and then."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One image of another service. `url` is its address in the sharing API.

    `until` is the time of `time.monotonic()` at which the transfer is given up. A request that fails in passing is repeated after
    `delay_seconds`, and then after four times as long each time.
    """

    url: str
    rules: Rules
    headers: Mapping[str, str] = field(repr=False)
    cancellation: Cancellation
    until: float
    delay_seconds: float

    def get(self, path: str, *, limit_bytes: int, accept: str) -> bytes:
        """Fetch a document of at most `limit_bytes`; repeat what may succeed the next time.

        Raises:
            FetchFailed: the service refuses, or does not respond.
            RemoteImageRefused: the document is longer.
        """
        return self._repeat(lambda: self._get(path, limit_bytes, accept))

    def _repeat(self, request: Callable[[], _Result]) -> _Result:
        for attempt in range(1, _ATTEMPTS):
            try:
                return request()
            except problems.FetchFailed as problem:
                if problem.status not in _PASSING or time.monotonic() >= self.until:
                    raise
            self.cancellation.sleep(self.delay_seconds * 4 ** (attempt - 1))
        return request()

    def _get(self, path: str, limit_bytes: int, accept: str) -> bytes:
        rules = replace(self.rules, total_seconds=max(0.0, self.until - time.monotonic()))
        headers = {**self.headers, "Accept": accept}
        try:
            with fetch.open_url(
                self.url + path, rules, limit_bytes=limit_bytes, headers=headers, cancellation=self.cancellation
            ) as answer:
                return b"".join(answer.blocks)
        except problems.ImageTooLarge as problem:
            raise _refuse("sends more than was asked for") from problem


def open_blocks(peer: Peer, size_bytes: int, here: Here) -> Generator[bytes, None, None] | None:
    """Return an iterator over all bytes of the image, in order; None if the service has no manifest of it.

    The consumer closes it. It raises FetchFailed and RemoteImageRefused as well.

    Raises:
        FetchFailed: the service does not respond.
        RemoteImageRefused: its manifest is not one of an image of this size.
    """
    try:
        first = peer.get(_name_page(0), limit_bytes=PAGE_BYTES, accept=SEGMENTS)
    except problems.FetchFailed as problem:
        if problem.status is None:
            raise
        return None
    if not manifest.is_segment(first):
        return None
    return _Transfer(peer, size_bytes, here).blocks(_read_page(first, 0, size_bytes))


class _Transfer:
    """One image on its way. `_proof` is the digest of the store, and of the manifest as far as it has been yielded."""

    def __init__(self, peer: Peer, size_bytes: int, here: Here) -> None:
        self._peer = peer
        self._size_bytes = size_bytes
        self._here = here
        self._proof = _begin_proof(here.store_id)
        self._received_until = 0

    def blocks(self, page: list[ManifestEntry]) -> Generator[bytes, None, None]:
        """Yield all bytes. `page` is the first one of the manifest."""
        self._received_until = self._find_received(page)
        position = 0
        while True:
            yield from self._page_blocks(position, page)
            position += sum(entry.length for entry in page)
            if position == self._size_bytes:
                return
            page = self._fetch_page(position)

    def _fetch_page(self, start: int) -> list[ManifestEntry]:
        page = self._peer.get(_name_page(start), limit_bytes=PAGE_BYTES, accept=SEGMENTS)
        return _read_page(page, start, self._size_bytes)

    def _find_received(self, page: list[ManifestEntry]) -> int:
        """Return how many bytes of this manifest an earlier run has received: all or none of those that it has noted.

        The store and their part of the manifest must be the same. Otherwise another manifest, or another store, could tell which
        chunks others have stored here.
        """
        noted = self._here.progress
        if noted is None:
            return 0
        proof, position = _begin_proof(self._here.store_id), 0
        while True:
            for entry in page:
                position += entry.length
                _prove(proof, entry)
                if position >= noted.stop:
                    return noted.stop if (position, proof.digest()) == noted else 0
            if position >= self._size_bytes:
                return 0
            page = self._fetch_page(position)

    def _page_blocks(self, start: int, page: Sequence[ManifestEntry]) -> Iterator[bytes]:
        placed = _place(start, page)
        here = self._find_here(placed)
        missing = [each for each in placed if each.digest is not None and each.digest not in here]
        with closing(run_ahead((partial(self._fetch_batch, batch) for batch in _batch(missing)), at_once=_AHEAD)) as batches:
            held: dict[ChunkDigest, bytes] = {}
            for is_here, run in groupby(placed, key=lambda each: each.digest is not None and each.digest in here):
                found = list(run)
                if is_here:
                    yield from self._read_run(found)
                    self._note(found)
                    continue
                for each in found:
                    if each.digest is None:
                        yield from _make_zeros(each.size_bytes)
                    else:
                        if each.digest not in held:
                            held = next(batches)
                        yield held[each.digest]
                    self._note([each])

    def _find_here(self, placed: Sequence["_Placed"]) -> set[ChunkDigest]:
        wanted: dict[ChunkDigest, int] = {}
        for each in placed:
            if each.digest is not None:
                wanted.setdefault(each.digest, each.start)
        received = {each.digest for each in placed if each.digest is not None and each.stop <= self._received_until}
        return self._here.find(wanted, received) if wanted else set()

    def _read_run(self, run: Sequence["_Placed"]) -> Iterator[bytes]:
        """Yield chunks from the store; from the first one on that the store cannot give, from the other service."""
        position = run[0].start
        try:
            for block in self._here.read(position, [ManifestEntry(each.digest, each.size_bytes) for each in run]):
                position += len(block)
                yield block
        except problems.ContentCorrupt:
            left = [each for each in run if each.stop > position]
            for each, data in self._fetch_each(left):
                yield data[max(0, position - each.start) :]

    def _fetch_each(self, wanted: Sequence["_Placed"]) -> Iterator[tuple["_Placed", bytes]]:
        batches = (self._fetch_batch(batch) for batch in _batch(wanted))
        held: dict[ChunkDigest, bytes] = {}
        for each in wanted:
            if each.digest is None:
                continue
            if each.digest not in held:
                held = next(batches)
            yield each, held[each.digest]

    def _fetch_batch(self, batch: Sequence["_Placed"]) -> dict[ChunkDigest, bytes]:
        """Fetch chunks, and compare each with its digest.

        Raises:
            RemoteImageRefused: the service sends other bytes.
        """
        size_bytes = sum(each.size_bytes for each in batch)
        path = f"/chunks?ranges={parts.format_ranges(_join(batch))}"
        frame = self._peer.get(path, limit_bytes=parts.limit_frame(size_bytes), accept="application/zstd")
        try:
            plain = memoryview(parts.decompress(frame, size_bytes))
        except problems.ContentCorrupt as problem:
            raise _refuse("sends chunks that cannot be read") from problem
        found: dict[ChunkDigest, bytes] = {}
        for each in batch:
            data, plain = plain[: each.size_bytes], plain[each.size_bytes :]
            name = digest.compute_for_chunk(data)
            if name != each.digest:
                raise _refuse(f"sends other bytes than its manifest names, at byte {each.start}")
            found[name] = bytes(data)
        return found

    def _note(self, passed: Iterable["_Placed"]) -> None:
        stop = 0
        for each in passed:
            _prove(self._proof, ManifestEntry(each.digest, each.size_bytes))
            stop = each.stop
        # What an earlier run has noted holds until this one has more: it may die as well.
        if stop > self._received_until:
            self._here.note(Received(stop, self._proof.digest()))


class _Placed(NamedTuple):
    """A chunk and its bytes [start, stop) of the image."""

    digest: ChunkDigest | None
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        return self.stop - self.start


def _place(start: int, page: Iterable[ManifestEntry]) -> list[_Placed]:
    placed = []
    for entry in page:
        placed.append(_Placed(entry.digest, start, start + entry.length))
        start += entry.length
    return placed


def _batch(wanted: Iterable[_Placed]) -> Iterator[list[_Placed]]:
    """Group chunks into requests. A chunk that is in the request already is not asked for again."""
    batch: list[_Placed] = []
    names: set[ChunkDigest | None] = set()
    size_bytes = 0
    for each in wanted:
        if each.digest in names:
            continue
        if batch and (size_bytes + each.size_bytes > parts.MOST_BYTES or len(batch) >= parts.MOST_RANGES):
            yield batch
            batch, names, size_bytes = [], set(), 0
        batch.append(each)
        names.add(each.digest)
        size_bytes += each.size_bytes
    if batch:
        yield batch


def _join(batch: Iterable[_Placed]) -> list[Range]:
    """Join adjacent chunks to ranges."""
    ranges: list[Range] = []
    for each in batch:
        if ranges and ranges[-1].stop == each.start:
            ranges[-1] = Range(ranges[-1].start, each.stop)
        else:
            ranges.append(Range(each.start, each.stop))
    return ranges


def _name_page(start: int) -> str:
    return f"/manifest?marker={start}&limit={PAGE_CHUNKS}"


def _read_page(encoded: bytes, start: int, size_bytes: int) -> list[ManifestEntry]:
    """Read a page of the other service's manifest, which begins at byte `start` of the image.

    Raises:
        RemoteImageRefused: it does not go on there, goes beyond the image's end, or has chunks that no image has.
    """
    entries: list[ManifestEntry] = []
    position = start
    try:
        for segment in manifest.split(encoded):
            if segment.start != position:
                raise _refuse(f"sends a manifest with a gap at byte {position}")
            for entry in manifest.decode(segment):
                position += entry.length
                _require_possible(entry, position, size_bytes)
                entries.append(entry)
    except (problems.ContentCorrupt, ValueError) as problem:
        raise _refuse("sends a manifest that cannot be read") from problem
    if not entries:
        raise _refuse(f"sends a manifest that ends at byte {position} of {size_bytes}")
    return entries


def _require_possible(entry: ManifestEntry, stop: int, size_bytes: int) -> None:
    """Refuse what would let a manifest be endless, or a chunk take any memory. Chunks are runs of whole blocks."""
    if stop > size_bytes:
        raise _refuse(f"sends a manifest that goes beyond the image's {size_bytes} bytes")
    if entry.length <= 0 or (stop != size_bytes and entry.length % chunking.BLOCK_BYTES):
        raise _refuse(f"sends a manifest with a chunk of {entry.length} bytes")
    if entry.digest is not None and entry.length > parts.MOST_BYTES:
        raise _refuse(f"sends a manifest with a chunk of {entry.length} bytes")


def _begin_proof(store_id: StoreID) -> blake3.blake3:
    return blake3.blake3(blake3.blake3(store_id.encode()).digest())


def _prove(proof: blake3.blake3, entry: ManifestEntry) -> None:
    proof.update(entry.length.to_bytes(8, "little") + (entry.digest or bytes(32)))


def _make_zeros(size_bytes: int) -> Iterator[bytes]:
    while size_bytes:
        block = _ZEROS[:size_bytes]
        yield block
        size_bytes -= len(block)


def _refuse(words: str) -> problems.RemoteImageRefused:
    return problems.RemoteImageRefused(f"The image service of the other region {words}; ask its operator")
