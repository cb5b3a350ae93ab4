"""Take a stream in: cut it, name its chunks, keep the new ones in packs, return content and manifest. Knows no database.

    pieces ─┬─ inspect, cut, BLAKE3, ask the index ──▶ compress, pack ──▶ put durably, enter in the index
            ├─ md5                                     (a strand)         (two strands in turn)
            ├─ sha256     (a strand each; hashlib releases the interpreter lock)
            └─ sha512

The stream pushes: whoever has bytes feeds them in pieces of the pool (`buffers.py`), on a thread of its own, and then goes on or
comes back with more when there is more. Strands run on threads that all streams share (`resources.py`), so that a stream that waits
for its source holds none; of the pool it then holds what is in packs that are not full, which are put when others are short.

A pack of chunks that the index has already is put like any other and then removed (docs/decisions/0043). When `finish` returns,
every chunk that the manifest names is durable and in the index. When anything raises, whatever packs were put hold chunks that
nothing refers to, and those are the sweep's. Memory of its own: about 2 MiB for a stream, plus its manifest: 40 bytes a chunk.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from partage import problems
from partage.content import chunking, digest, inspection, manifest
from partage.model import ids
from partage.stores.engine.buffers import Piece
from partage.stores.engine.index import ChunkIndex
from partage.stores.engine.packing import Offer, Packing
from partage.stores.engine.resources import WriterResources
from partage.stores.engine.strand import Strand
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


class Writer:
    """One stream on its way into a store. One thread at a time calls, and the last call is always `close`."""

    def __init__(
        self,
        store: Store,
        index: ChunkIndex,
        resources: WriterResources,
        *,
        inspector: inspection.Watcher,
        options: WriteOptions,
        new_pack_id: Callable[[], ids.PackID],
    ) -> None:
        """Begin. `index.add_pack` will be called on other threads."""
        self._resources = resources
        self._inspector = inspector
        self._options = options
        self._packing = Packing(store, index, new_pack_id, resources)
        self._hashing = _Hashing(resources)
        self._cutting = _Cutting(index, self._packing, rehearse_known=options.rehearse_known)
        self._received_bytes = 0

    def admit(self, size_bytes: int) -> None:
        """Count bytes that will be fed.

        Raises:
            SizeMismatch: they are more than `options.announced_bytes`.
            Problem: `options.limit_problem`, when they are too many.
        """
        self._received_bytes += size_bytes
        announced = self._options.announced_bytes
        if self._received_bytes > self._options.limit_bytes:
            raise self._options.limit_problem
        if announced is not None and self._received_bytes > announced:
            raise problems.SizeMismatch(announced_bytes=announced, received_bytes=self._received_bytes)

    def feed(self, piece: Piece) -> None:
        """Take the next bytes, which were admitted, and let go of the piece in every case; wait for work that is before it.

        Raises:
            FormatRefused: the inspector refuses the stream.
            StoreFull, StoreUnavailable: an earlier pack could not be put.
        """
        try:
            self._hashing.feed(piece)
            self._inspector.feed(piece.view)
            self._cutting.feed(piece)
        finally:
            piece.let_go()

    def pause(self) -> None:
        """Hold no piece until more is fed.

        Raises:
            StoreFull, StoreUnavailable: an earlier pack could not be put.
        """
        self._cutting.hand_over()

    def new_piece(self) -> Piece:
        """Take an empty piece of the pool; wait for one on this thread, for those who have no better place to wait.

        Raises:
            StoreFull, StoreUnavailable: an earlier pack could not be put.
        """
        pieces = self._resources.pieces
        buffer = pieces.take_now()
        if buffer is None:
            self.pause()
            buffer = pieces.take()
        return Piece(pieces, buffer)

    def finish(self) -> Written:
        """Store the rest durably and return what the stream is.

        Raises:
            SizeMismatch: the stream has fewer bytes than `options.announced_bytes`.
            FormatRefused: the inspector refuses it.
            StoreFull, StoreUnavailable: a pack could not be put.
        """
        announced, size_bytes = self._options.announced_bytes, self._received_bytes
        if announced not in (None, size_bytes):
            raise problems.SizeMismatch(announced_bytes=announced or 0, received_bytes=size_bytes)
        virtual_size_bytes = self._inspector.finish(size_bytes)
        segments = self._cutting.finish()
        new_stored_bytes = self._packing.finish()
        digests = self._hashing.finish()
        content = manifest.Content(size_bytes, digests.md5, digests.sha256, digests.sha512, virtual_size_bytes)
        return Written(content, segments, new_stored_bytes)

    def close(self) -> None:
        """Give everything back. No thread works for this stream any more when this returns."""
        self._hashing.close()
        self._cutting.close()
        self._packing.close()


def write(writer: Writer, blocks: Iterable[digest.Buffer]) -> Written:
    """Feed a stream that is pulled from `blocks`, of any size, and finish. Blocking; the caller closes the writer.

    What `blocks` raises passes through.

    Raises:
        SizeMismatch, FormatRefused, StoreFull, StoreUnavailable: as `Writer`.
        Problem: `options.limit_problem`, within one block of the limit.
    """
    piece: Piece | None = None
    try:
        for block in blocks:
            writer.admit(len(block))
            rest = memoryview(block)
            while rest:
                piece = piece or writer.new_piece()
                rest = rest[piece.append(rest) :]
                if piece.is_full:
                    full, piece = piece, None
                    writer.feed(full)
        if piece is not None:
            last, piece = piece, None
            writer.feed(last)
    finally:
        if piece is not None:
            piece.let_go()
    return writer.finish()


_HASHING_DEPTH = 6
_BATCH_PIECES = 4
"""The index is asked once for the chunks of so many pieces (2 MiB)."""


class _Hashing:
    """The digests of the whole, each on a strand of its own."""

    def __init__(self, resources: WriterResources) -> None:
        self._hashers = [hashlib.new(name, usedforsecurity=False) for name in digest.ALGORITHMS]
        self._strands = [Strand[memoryview](resources.hashing, hasher.update, depth=_HASHING_DEPTH) for hasher in self._hashers]

    def feed(self, piece: Piece) -> None:
        for strand in self._strands:
            strand.give(piece.view, piece.hold().let_go)

    def finish(self) -> digest.Digests:
        for strand in self._strands:
            strand.finish()
        return digest.Digests(*(hasher.hexdigest() for hasher in self._hashers))

    def close(self) -> None:
        for strand in self._strands:
            strand.close()


class _Cutting:
    """Pieces in, manifest out; chunks go to packing, those that the store has only to rehearse it."""

    def __init__(self, index: ChunkIndex, packing: Packing, *, rehearse_known: bool) -> None:
        self._index = index
        self._packing = packing
        self._rehearse_known = rehearse_known
        self._cutter = chunking.Cutter()
        self._assembly = manifest.Assembly()
        self._segments: list[manifest.Segment] = []
        self._batch: dict[ids.ChunkDigest, memoryview] = {}
        self._pieces: list[Piece] = []

    def feed(self, piece: Piece) -> None:
        self._pieces.append(piece.hold())
        self._take(self._cutter.feed(piece.view))
        if len(self._pieces) >= _BATCH_PIECES:
            self.hand_over()

    def finish(self) -> tuple[manifest.Segment, ...]:
        self._take(self._cutter.finish())
        self.hand_over()
        self._segments += self._assembly.finish()
        return tuple(self._segments)

    def close(self) -> None:
        self._batch = {}
        self._let_go()

    def hand_over(self) -> None:
        """Give packing the chunks of a batch that no pack under way has, each with whether it is new. Views of pieces end here."""
        wanted = [name for name in self._batch if name not in self._packing.under_way]
        known = self._index.known(wanted) if wanted else set()
        offered = [Offer(name, self._batch[name], is_new=name not in known) for name in wanted]
        self._batch = {}
        taken = [offer for offer in offered if offer.is_new or self._rehearse_known]
        if taken:
            pieces, self._pieces = self._pieces, []
            self._packing.take(taken, lambda: _let_go(pieces))
        else:
            self._let_go()

    def _let_go(self) -> None:
        pieces, self._pieces = self._pieces, []
        _let_go(pieces)

    def _take(self, chunks: list[chunking.Chunk]) -> None:
        for chunk in chunks:
            name = None
            if chunk.data is not None:
                name = digest.of_chunk(chunk.data)
                self._batch.setdefault(name, chunk.data)
            self._segments += self._assembly.add(manifest.ManifestEntry(name, chunk.length))


def _let_go(pieces: Iterable[Piece]) -> None:
    for piece in pieces:
        piece.let_go()
