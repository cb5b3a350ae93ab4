"""Take a stream in: cut it, name its chunks, keep the new ones in packs, return content and manifest. Knows no database.

    blocks ─ regrouped ─┬─ inspect, cut, BLAKE3, ask the index ──▶ compress, pack ──▶ put durably, enter in the index
                        ├─ md5                                     (a line)           (two lines in turn)
                        ├─ sha256     (a line each; hashlib releases the interpreter lock)
                        └─ sha512

A pack of chunks that the index has already is put like any other and then removed (docs/decisions/0043). When `write` returns,
every chunk that the manifest names is durable and in the index. When it raises, whatever packs were put hold chunks that nothing
refers to, and those are the sweep's. Memory: about 30 MiB for a stream, plus its manifest: 40 bytes a chunk.
"""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple

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
    """What the stream may be. `limit_problem` is raised when it has more than `limit_bytes`; `announced_bytes` None is unknown.

    With `rehearse_known`, chunks that the store has are packed, put durably and removed again: a clock hardly tells them from new
    ones (docs/decisions/0043). Without, they cost nothing; that is for streams of which it is no secret.
    """

    limit_bytes: int
    limit_problem: problems.Problem
    announced_bytes: int | None = None
    rehearse_known: bool = True


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

    What `blocks` raises passes through. Threads have ended when this returns or raises.

    Raises:
        SizeMismatch: the stream has more or fewer bytes than `options.announced_bytes`.
        FormatRefused: the inspector refuses it.
        StoreFull, StoreUnavailable: a pack could not be put.
        Problem: `options.limit_problem`, within one block of the limit.
    """
    with contextlib.ExitStack() as lines:
        packing = _Packing(store, index, new_pack_id, lines)
        hashing = _Hashing(lines)
        cutting = _Cutting(index, packing, rehearse_known=options.rehearse_known)
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
    """Pieces in, manifest out; chunks go to packing, those that the store has only to rehearse it."""

    def __init__(self, index: ChunkIndex, packing: "_Packing", *, rehearse_known: bool) -> None:
        self._index = index
        self._packing = packing
        self._rehearse_known = rehearse_known
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
        """Give packing the chunks of a batch that no pack under way has, each with whether it is new. Views of pieces end here."""
        wanted = [name for name in self._batch if name not in self._packing.under_way]
        known = self._index.known(wanted) if wanted else set()
        offered = [_Offer(name, self._batch[name], is_new=name not in known) for name in wanted]
        self._batch = {}
        taken = [offer for offer in offered if offer.is_new or self._rehearse_known]
        if taken:
            self._packing.take(taken)


class _Offer(NamedTuple):
    """A chunk for packing. One that is not new is packed and put like any other, and then removed."""

    name: ids.ChunkDigest
    data: memoryview
    is_new: bool


class _Filled(NamedTuple):
    """A pack to be put: to stay, or to be removed again."""

    builder: pack.PackBuilder
    stays: bool


class _Packing:
    """Chunks in, durable packs out: one line compresses and fills, others in turn put and enter what it filled.

    New chunks and known ones go into packs of their own. Of both together there is never more than one pack's worth in memory.
    """

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
        self._builders: dict[bool, pack.PackBuilder] = {}
        self._stored_bytes = 0
        self._stored = threading.Lock()
        self.under_way: set[ids.ChunkDigest] = set()
        # Entered first means left last: the line that fills packs ends before those that it gives them to.
        self._putters: list[Line[_Filled]] = [lines.enter_context(Line("put", self._put, depth=1)) for _ in range(_PUTTERS)]
        self._turns = cycle(self._putters)
        self._filling: Line[list[_Offer]] = lines.enter_context(Line("pack", self._fill, depth=_PACKING_DEPTH))

    def take(self, chunks: list[_Offer]) -> None:
        self.under_way.update(name for name, _data, _is_new in chunks)
        self._filling.give(chunks)

    def finish(self) -> int:
        """Wait until everything taken is durable; return the bytes of all packs that stay."""
        self._filling.finish()
        for is_new in tuple(self._builders):
            self._hand_over(stays=is_new)
        for putter in self._putters:
            putter.finish()
        return self._stored_bytes

    def _fill(self, chunks: list[_Offer]) -> None:
        for name, data, is_new in chunks:
            builder = self._builders.get(is_new)
            if builder is None:
                builder = self._builders[is_new] = pack.PackBuilder(self._new_pack_id())
            stored, encoding = self._compressor.compress(data)
            builder.append(name, stored, length_bytes=len(data), encoding=encoding)
            other = self._builders.get(not is_new)
            if builder.full:
                self._hand_over(stays=is_new)
            elif other is not None and builder.size_bytes + other.size_bytes >= pack.TARGET_BYTES:
                self._hand_over(stays=is_new if builder.size_bytes > other.size_bytes else not is_new)

    def _hand_over(self, *, stays: bool) -> None:
        next(self._turns).give(_Filled(self._builders.pop(stays), stays))

    def _put(self, filled: _Filled) -> None:
        sealed, parts = filled.builder.seal()
        key = layout.pack_key(sealed.pack_id)
        self._store.put(key, parts)
        if filled.stays:
            self._index.add_pack(sealed)
        else:
            self._store.remove(key)
        with self._stored:
            self._stored_bytes += sealed.size_bytes if filled.stays else 0
            self.under_way.difference_update(entry.digest for entry in sealed.entries)
