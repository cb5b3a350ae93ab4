"""Take a stream in: cut it, name its chunks, keep the new ones in packs, return content and manifest. Knows no database.

    blocks ─ regrouped ─┬─ inspect, cut, BLAKE3, ask the index ──▶ compress, pack ──▶ put durably, enter in the index
                        ├─ md5                                     (a line)           (two lines in turn)
                        ├─ sha256     (a line each; hashlib releases the interpreter lock)
                        └─ sha512

When `write` returns, every chunk that the manifest names is durable and in the index. When it raises, whatever packs were put hold
chunks that nothing refers to, and those are the sweep's. Memory: about 30 MiB for a stream, plus its manifest: 40 bytes a chunk.
"""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle

from partage import problems
from partage.content import chunking, digest, inspection, manifest
from partage.model import ids
from partage.stores import layout, pack
from partage.stores.compression import Compressor
from partage.stores.index import ChunkIndex
from partage.stores.line import Line
from partage.stores.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """What the stream may be. `limit_problem` is raised when it has more than `limit_bytes`; `announced_bytes` None is unknown."""

    limit_bytes: int
    limit_problem: problems.Problem
    announced_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A stream that is stored: its content, its manifest in order, and how many bytes the store grew by."""

    content: manifest.Content
    segments: tuple[manifest.Segment, ...]
    new_stored_bytes: int


def write(
    store: Store,
    index: ChunkIndex,
    blocks: Iterable[digest.Buffer],
    *,
    inspector: inspection.Watcher,
    options: WriteOptions,
    new_pack_id: Callable[[], ids.PackID],
) -> Written:
    """Store a stream durably and return what it is. Blocks may have any size; `index.add_pack` is called on another thread.

    What `blocks` raises passes through. Threads have ended when this returns or raises. The same work is done for bytes that are
    known already as for new ones, up to the moment of storing them (reliability rule C4).

    Raises:
        SizeMismatch: the stream has more or fewer bytes than `options.announced_bytes`.
        FormatRefused: the inspector refuses it.
        StoreFull, StoreUnavailable: a pack could not be put.
        Problem: `options.limit_problem`, within one block of the limit.
    """
    with contextlib.ExitStack() as lines:
        packing = _Packing(store, index, new_pack_id, lines)
        hashing = _Hashing(lines)
        cutting = _Cutting(index, packing)
        size_bytes = 0
        for piece in chunking.regrouped(_limited(blocks, options), chunking.PIECE_BYTES):
            hashing.feed(piece)
            inspector.feed(piece)
            cutting.feed(piece)
            size_bytes += len(piece)
        if options.announced_bytes not in (None, size_bytes):
            raise problems.SizeMismatch(announced_bytes=options.announced_bytes or 0, received_bytes=size_bytes)
        virtual_size_bytes = inspector.finish(size_bytes)
        segments = cutting.finish()
        new_stored_bytes = packing.finish()
        digests = hashing.finish()
    content = manifest.Content(size_bytes, digests.md5, digests.sha256, digests.sha512, virtual_size_bytes)
    return Written(content, segments, new_stored_bytes)


_HASHING_DEPTH = 6
_BATCH_PIECES = 4
"""The index is asked once for the chunks of so many pieces (2 MiB); twice as many would cost 15 MiB of memory."""
_PACKING_DEPTH = 1
_PUTTERS = 2
"""One batch is being compressed while the next is cut, two packs are being put while the next is filled: that bounds the memory.

One alone would leave the store idle between two packs, and everybody waiting while it flushes: 1.5 times the time on a local disk.
"""


def _limited(blocks: Iterable[digest.Buffer], options: WriteOptions) -> Iterator[digest.Buffer]:
    """Pass blocks on until there are too many bytes."""
    received = 0
    for block in blocks:
        received += len(block)
        if received > options.limit_bytes:
            raise options.limit_problem
        if options.announced_bytes is not None and received > options.announced_bytes:
            raise problems.SizeMismatch(announced_bytes=options.announced_bytes, received_bytes=received)
        yield block


class _Hashing:
    """The digests of the whole, each on a line of its own."""

    def __init__(self, lines: contextlib.ExitStack) -> None:
        self._hashers = [hashlib.new(name, usedforsecurity=False) for name in digest.ALGORITHMS]
        self._lines: list[Line[bytes]] = [
            lines.enter_context(Line(name, hasher.update, depth=_HASHING_DEPTH))
            for name, hasher in zip(digest.ALGORITHMS, self._hashers, strict=True)
        ]

    def feed(self, piece: bytes) -> None:
        for line in self._lines:
            line.give(piece)

    def finish(self) -> digest.Digests:
        for line in self._lines:
            line.finish()
        return digest.Digests(*(hasher.hexdigest() for hasher in self._hashers))


class _Cutting:
    """Pieces in, manifest out; chunks that nobody has go to packing."""

    def __init__(self, index: ChunkIndex, packing: "_Packing") -> None:
        self._index = index
        self._packing = packing
        self._cutter = chunking.Cutter()
        self._assembly = manifest.Assembly()
        self._segments: list[manifest.Segment] = []
        self._batch: dict[ids.ChunkDigest, memoryview] = {}
        self._pieces = 0

    def feed(self, piece: bytes) -> None:
        self._take(self._cutter.feed(piece))
        self._pieces += 1
        if self._pieces % _BATCH_PIECES == 0:
            self._hand_over()

    def finish(self) -> tuple[manifest.Segment, ...]:
        self._take(self._cutter.finish())
        self._hand_over()
        self._segments += self._assembly.finish()
        return tuple(self._segments)

    def _take(self, chunks: list[chunking.Chunk]) -> None:
        for chunk in chunks:
            name = None
            if chunk.data is not None:
                name = digest.of_chunk(chunk.data)
                self._batch.setdefault(name, chunk.data)
            self._segments += self._assembly.add(manifest.ManifestEntry(name, chunk.length))

    def _hand_over(self) -> None:
        """Give the chunks of a batch that neither the index nor a pack under way has to packing. Views of pieces end here."""
        wanted = [name for name in self._batch if name not in self._packing.under_way]
        known = self._index.known(wanted) if wanted else set()
        new = [(name, self._batch[name]) for name in wanted if name not in known]
        self._batch = {}
        if new:
            self._packing.take(new)


class _Packing:
    """New chunks in, durable packs out: one line compresses and fills, others in turn put and enter what it filled."""

    def __init__(
        self,
        store: Store,
        index: ChunkIndex,
        new_pack_id: Callable[[], ids.PackID],
        lines: contextlib.ExitStack,
    ) -> None:
        self._store = store
        self._index = index
        self._new_pack_id = new_pack_id
        self._compressor = Compressor()
        self._builder: pack.PackBuilder | None = None
        self._stored_bytes = 0
        self._stored = threading.Lock()
        self.under_way: set[ids.ChunkDigest] = set()
        # Entered first means left last: the line that fills packs ends before those that it gives them to.
        self._putters: list[Line[pack.PackBuilder]] = [
            lines.enter_context(Line("put", self._put, depth=1)) for _ in range(_PUTTERS)
        ]
        self._turns = cycle(self._putters)
        self._filling: Line[list[tuple[ids.ChunkDigest, memoryview]]] = lines.enter_context(
            Line("pack", self._fill, depth=_PACKING_DEPTH),
        )

    def take(self, chunks: list[tuple[ids.ChunkDigest, memoryview]]) -> None:
        self.under_way.update(name for name, _data in chunks)
        self._filling.give(chunks)

    def finish(self) -> int:
        """Wait until everything taken is durable; return the bytes of all packs."""
        self._filling.finish()
        if self._builder is not None:
            next(self._turns).give(self._builder)
            self._builder = None
        for putter in self._putters:
            putter.finish()
        return self._stored_bytes

    def _fill(self, chunks: list[tuple[ids.ChunkDigest, memoryview]]) -> None:
        for name, data in chunks:
            if self._builder is None:
                self._builder = pack.PackBuilder(self._new_pack_id())
            stored, encoding = self._compressor.compress(data)
            self._builder.append(name, stored, length_bytes=len(data), encoding=encoding)
            if self._builder.full:
                next(self._turns).give(self._builder)
                self._builder = None

    def _put(self, builder: pack.PackBuilder) -> None:
        sealed, parts = builder.seal()
        self._store.put(layout.pack_key(sealed.pack_id), parts)
        self._index.add_pack(sealed)
        with self._stored:
            self._stored_bytes += sealed.size_bytes
            self.under_way.difference_update(entry.digest for entry in sealed.entries)
