"""The ChunkIndex protocol: which pack holds which chunk. The database implements it above this package; packs can rebuild it."""

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

from partage.model import ids
from partage.stores.engine.pack import Encoding, SealedPack


class ChunkLocation(NamedTuple):
    """Where a chunk's bytes are: `stored_bytes` from `offset` of the pack's object, `length_bytes` once decoded."""

    pack_id: ids.PackID
    offset: int
    stored_bytes: int
    length_bytes: int
    encoding: Encoding


class ChunkIndex(Protocol):
    """Chunks of one store. Thread-safe: a writer adds packs on another thread.

    What `find_stored` returns may be swept before the writer ends. The operation that names the chunks in a manifest checks them
    again (`records/contents.py`, `unmark`).
    """

    def find_stored(self, digests: Collection[ids.ChunkDigest]) -> set[ids.ChunkDigest]:
        """Return which of up to 1024 digests need not be stored again."""

    def add_pack(self, pack: SealedPack) -> None:
        """Insert a pack and its chunks, durably; called after the pack itself is durable.

        A concurrent writer may have inserted a digest already: either location is right. The sweep removes chunks that no manifest
        ever references.
        """

    def locate(self, digests: Collection[ids.ChunkDigest]) -> dict[ids.ChunkDigest, ChunkLocation]:
        """Return the locations of up to 1024 chunks; unknown chunks are absent."""


class OwnChunks(Protocol):
    """Chunks that are no secret to the uploader of one stream. Not thread-safe."""

    def find(self, offsets: Mapping[ids.ChunkDigest, int]) -> set[ids.ChunkDigest]:
        """Return which of these chunks the uploader has, as far as that is found; each with its offset in the stream.

        The work must not depend on what others have. Calls come in the order of the stream.
        """
