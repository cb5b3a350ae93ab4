"""A content in memory, and a cache directory for it: what the tests of copies are made of."""

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

from partage import problems
from partage.content import digest, manifest
from partage.model.ids import ContentID
from partage.stores.cache.cache_directory import Bounds, CacheDirectory
from partage.stores.cache.copies import LIFE_BYTES, WINDOW_BYTES, Copy, FilePart
from partage.stores.cache.fills import Fills

LIFE = bytes(LIFE_BYTES)
GIB = 1 << 30


class Content:
    """Some bytes in chunks of uneven lengths, which count how often they are read: an `Origin`."""

    def __init__(self, data: bytes, *, chunk_bytes: int = 96 << 10, name: str = "") -> None:
        self.id = ContentID(name or os.urandom(16).hex())
        self.data = data
        self.read_bytes = 0
        self.readings = 0
        self.open = 0
        self.gate = threading.Event()
        self.gate.set()
        self.fails_at: int | None = None
        self._chunks = list(_cut(data, chunk_bytes))

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """See `Origin`."""
        self.readings += 1
        self.open += 1
        try:
            for begin, entry in self._chunks:
                piece = self.data[max(begin, start) : min(begin + entry.length, stop)] if begin < stop else b""
                if piece and begin + entry.length > start:
                    self.gate.wait(10)
                    if self.fails_at is not None and begin + entry.length > self.fails_at:
                        raise problems.StoreUnavailable("The store does not answer")
                    self.read_bytes += len(piece)
                    yield piece
        finally:
            self.open -= 1

    def list_segments(self, start: int, stop: int) -> Iterator[manifest.Segment]:
        """See `Origin`."""
        del start, stop
        assembly = manifest.Assembly()
        for _begin, entry in self._chunks:
            yield from assembly.add(entry)
        yield from assembly.finish()


def _cut(data: bytes, chunk_bytes: int) -> Iterator[tuple[int, manifest.ManifestEntry]]:
    lengths = random.Random(1)
    begin = 0
    while begin < len(data):
        piece = data[begin : begin + lengths.randrange(4096, 2 * chunk_bytes, 4096)]
        yield begin, manifest.ManifestEntry(digest.compute_for_chunk(piece) if any(piece) else None, len(piece))
        begin += len(piece)


def make_fills(root: Path, *, life: bytes = LIFE, most_bytes: int = GIB, threads: int = 4) -> Fills:
    """Make the cache of a process."""
    root.mkdir(exist_ok=True)
    bounds = Bounds(free_share=1.0, most_bytes=most_bytes)
    return Fills(CacheDirectory(root, bounds=bounds, life=life), threads=threads)


def read_through(fills: Fills, content: Content, start: int = 0, stop: int | None = None) -> bytes:
    """Read bytes as a download does; what the cache does not have comes from the origin."""
    stop = len(content.data) if stop is None else stop
    found = bytearray()
    copy = fills.directory.open(content.id, len(content.data))
    while copy is not None and start < stop:
        taken = fills.take(copy, start, stop, content)
        if taken is None:
            break
        for piece in taken.pieces:
            found += read_part(piece)
            start += len(piece)
    fills.settle(content.id)
    return bytes(found) + b"".join(content.read(start, stop) if start < stop else ())


def read_part(part: FilePart | digest.Buffer) -> bytes:
    """Read a whole part."""
    return part.read(len(part)) if isinstance(part, FilePart) else bytes(part)


def file_of(fills: Fills, content: Content) -> Path:
    """Return the file of a copy."""
    [found] = list(fills.directory._root.rglob(content.id))  # noqa: SLF001
    return found


def copy_of(fills: Fills, content: Content) -> Copy:
    """Open the copy of a content, as a download does."""
    copy = fills.directory.open(content.id, len(content.data))
    assert copy is not None
    return copy


def make_mixed_data(windows: float) -> bytes:
    """Make bytes with data, zeros, and a border between them in the middle of a window."""
    size = int(windows * WINDOW_BYTES)
    data = bytearray(os.urandom(size))
    data[size // 4 : size * 3 // 4] = bytes(size * 3 // 4 - size // 4)
    return bytes(data)
