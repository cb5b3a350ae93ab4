"""The ChunkIndex protocol: which pack holds which chunk. The database implements it above this package; packs can rebuild it."""

from collections.abc import Collection
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
    """Chunks of one store. All verbs may be called from several threads at once: a writer adds packs on a thread of its own.

    What `known` says must stay true for the writer that asked: the sweep spares chunks that are younger than its grace
    period or than the oldest running writer, and those that were asked for since then.
    """

    def known(self, digests: Collection[ids.ChunkDigest]) -> set[ids.ChunkDigest]:
        """Say which of up to 1024 digests are in the index."""

    def add_pack(self, pack: SealedPack) -> None:
        """Enter a pack and its chunks, durably; called after the pack itself is durable.

        A digest may be there already, from another writer at the same time: either location is right. Nothing refers to the new
        chunks yet; if nothing ever does, they are the sweep's.
        """

    def locate(self, digests: Collection[ids.ChunkDigest]) -> dict[ids.ChunkDigest, ChunkLocation]:
        """Say where up to 1024 chunks are. Unknown ones are left out."""
