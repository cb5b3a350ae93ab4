"""Store a stream: cut it into chunks, deduplicate, write new chunks into packs, return content and manifest. Knows no database.

    pieces ─┬─ inspect, cut, BLAKE3, ask the index ──▶ compress, pack ──▶ put durably, enter in the index
            └─ md5, sha512: the digests that something needs       (a queue)          (two queues in turn)
               (a queue each; hashlib releases the interpreter lock)

The caller pushes: it feeds pieces of the shared pool (`buffers.py`) on its own thread, whenever it has bytes. The queues
(`serial_queue.py`) run on threads that all streams share (`resources.py`), so a stream that waits for its source holds no thread.
It holds the buffers of its open packs, which are put early when buffers are short.

Copies of a byte: from the socket to a piece, from the piece to an extent of a pack (through a compressor, if that saves space), and
from there to the disk without one (`drivers/file_writing.py`). Of each piece the chunk at its end is copied twice more.

A pack of known chunks is put like any other and then removed (docs/decisions/0043), unless the uploader has them already
(docs/decisions/0070). When `finish` returns, every chunk of the
manifest is durable and in the index. After a failure, packs that were put contain unreferenced chunks, which the sweep removes.
Memory: about 2 MiB for each stream, plus 40 bytes of manifest a chunk.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from partage import problems
from partage.content import chunking, digest, inspection, manifest
from partage.model import ids
from partage.stores.engine import pack
from partage.stores.engine.buffers import Piece
from partage.stores.engine.index import ChunkIndex, OwnChunks
from partage.stores.engine.packing import Packing, PendingChunk
from partage.stores.engine.resources import WriterResources
from partage.stores.engine.serial_queue import SerialQueue
from partage.stores.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """Limits of the stream. `limit_problem` is raised beyond `limit_bytes`; `announced_bytes` None means unknown.

    Of the whole stream the digests by `algorithms` are computed. Packs are put when they hold `pack_bytes`. A stream that is a part
    of image data, from `offset_bytes` on, is cut at the same blocks as the whole.

    With `hide_deduplication_timing`, known chunks are packed, put durably and removed, which hides the timing of deduplication
    (docs/decisions/0043). Without it they are skipped; that is for streams whose timing is no secret. Known chunks among
    `own_chunks` are skipped in any case.
    """

    limit_bytes: int
    limit_problem: problems.Problem
    announced_bytes: int | None = None
    algorithms: tuple[str, ...] = ()
    hide_deduplication_timing: bool = True
    own_chunks: OwnChunks | None = None
    offset_bytes: int = 0
    pack_bytes: int = pack.TARGET_BYTES


@dataclass(frozen=True, slots=True)
class Written:
    """A stored stream: its content, its manifest in order, and by how many bytes the store grew."""

    content: manifest.Content
    segments: tuple[manifest.Segment, ...]
    new_stored_bytes: int


class Writer:
    """Stores one stream. One thread at a time calls, and the last call is always `close`."""

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
        self._packing = Packing(store, index, new_pack_id, resources, pack_bytes=options.pack_bytes)
        self._hashing = _Hashing(resources, options.algorithms)
        self._cutting = _Cutting(index, self._packing, options)
        self._received_bytes = 0

    def admit(self, size_bytes: int) -> None:
        """Count bytes that will be fed, and check the limits.

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
        """Take the next bytes, which were admitted, and release the piece in every case; wait while the queues are full.

        Raises:
            FormatRefused: the inspector refuses the stream.
            StoreFull, StoreUnavailable: an earlier pack could not be put.
        """
        try:
            self._hashing.feed(piece)
            self._inspector.feed(piece.view)
            self._cutting.feed(piece)
        finally:
            piece.release()

    def pause(self) -> None:
        """Release all pieces until more is fed.

        Raises:
            StoreFull, StoreUnavailable: an earlier pack could not be put.
        """
        self._cutting.flush_batch()

    def new_piece(self) -> Piece:
        """Acquire an empty piece of the pool; block this thread until there is one.

        Raises:
            StoreFull, StoreUnavailable: an earlier pack could not be put.
        """
        pieces = self._resources.pieces
        buffer = pieces.try_acquire()
        if buffer is None:
            self.pause()
            buffer = pieces.acquire()
        return Piece(pieces, buffer)

    def finish(self) -> Written:
        """Store the rest durably; return content and manifest.

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
        content = manifest.Content(size_bytes, self._hashing.finish(), virtual_size_bytes)
        return Written(content, segments, new_stored_bytes)

    def close(self) -> None:
        """Release everything. When this returns, no thread works for this stream."""
        self._hashing.close()
        self._cutting.close()
        self._packing.close()


def write(writer: Writer, blocks: Iterable[digest.Buffer]) -> Written:
    """Read `blocks`, of any size, into the writer and finish. Blocks; the caller closes the writer.

    Exceptions of `blocks` pass through.

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
            piece.release()
    return writer.finish()


_HASHING_DEPTH = 6
_BATCH_PIECES = 4
"""One query to the index covers the chunks of this many pieces (2 MiB)."""


class _Hashing:
    """The digests of the whole stream, each on a queue of its own."""

    def __init__(self, resources: WriterResources, algorithms: Collection[str]) -> None:
        self._hashers = digest.Hashers(algorithms)
        updates = [hasher.update for hasher in self._hashers.by_name.values()]
        self._queues = [SerialQueue[memoryview](resources.hashing, update, depth=_HASHING_DEPTH) for update in updates]

    def feed(self, piece: Piece) -> None:
        for queue in self._queues:
            queue.put(piece.view, piece.retain().release)

    def finish(self) -> digest.Digests:
        for queue in self._queues:
            queue.finish()
        return self._hashers.finish()

    def close(self) -> None:
        for queue in self._queues:
            queue.close()


class _Cutting:
    """Cuts pieces into chunks, submits them for packing, and assembles the manifest."""

    def __init__(self, index: ChunkIndex, packing: Packing, options: WriteOptions) -> None:
        self._index = index
        self._packing = packing
        self._options = options
        self._cutter = chunking.Cutter(offset_bytes=options.offset_bytes)
        self._assembly = manifest.Assembly()
        self._segments: list[manifest.Segment] = []
        self._cut_bytes = 0
        self._batch: dict[ids.ChunkDigest, _Cut] = {}
        self._pieces: list[Piece] = []

    def feed(self, piece: Piece) -> None:
        self._pieces.append(piece.retain())
        self._take(self._cutter.feed(piece.view))
        if len(self._pieces) >= _BATCH_PIECES:
            self.flush_batch()

    def finish(self) -> tuple[manifest.Segment, ...]:
        self._take(self._cutter.finish())
        self.flush_batch()
        self._segments += self._assembly.finish()
        return tuple(self._segments)

    def close(self) -> None:
        self._batch = {}
        self._release()

    def flush_batch(self) -> None:
        """Submit the chunks of the batch for packing, except those that are being packed already; release the pieces."""
        batch, self._batch = self._batch, {}
        wanted = [name for name in batch if name not in self._packing.under_way]
        known = self._index.find_stored(wanted) if wanted else set()
        skipped = known & self._find_skippable(batch)
        taken = [PendingChunk(name, batch[name].data, is_new=name not in known) for name in wanted if name not in skipped]
        del batch
        if taken:
            pieces, self._pieces = self._pieces, []
            self._packing.submit(taken, lambda: _release(pieces))
        else:
            self._release()

    def _find_skippable(self, batch: "Mapping[ids.ChunkDigest, _Cut]") -> AbstractSet[ids.ChunkDigest]:
        """Return the chunks that are not written again if they are known. Does not depend on which are known."""
        if not self._options.hide_deduplication_timing:
            return batch.keys()
        if self._options.own_chunks is None:
            return frozenset()
        return self._options.own_chunks.find({name: cut.offset for name, cut in batch.items()})

    def _release(self) -> None:
        pieces, self._pieces = self._pieces, []
        _release(pieces)

    def _take(self, chunks: list[chunking.Chunk]) -> None:
        for chunk in chunks:
            name = None
            if chunk.data is not None:
                name = digest.compute_for_chunk(chunk.data)
                self._batch.setdefault(name, _Cut(chunk.data, self._cut_bytes))
            self._cut_bytes += chunk.length
            self._segments += self._assembly.add(manifest.ManifestEntry(name, chunk.length))


class _Cut(NamedTuple):
    """A chunk's bytes, and its offset in the stream."""

    data: memoryview
    offset: int


def _release(pieces: Iterable[Piece]) -> None:
    for piece in pieces:
        piece.release()
