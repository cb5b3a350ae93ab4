"""The content engine's chunk index over the database: each query and each new pack is one short transaction."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from partage.measures import CHUNK_LOOKUPS, Meter, Unmetered
from partage.model.ids import ChunkDigest, StoreID
from partage.records import contents
from partage.records.contents import ChunkRow, PackRow
from partage.records.database import Database
from partage.stores.engine.index import ChunkLocation
from partage.stores.engine.pack import Encoding, SealedPack


@dataclass(frozen=True, slots=True)
class DatabaseIndex:
    """The chunks of one store. Thread-safe: it holds nothing but the database and a clock."""

    database: Database
    store_id: StoreID
    clock: Callable[[], datetime]
    meter: Meter = field(default_factory=Unmetered)

    def find_stored(self, digests: Collection[ChunkDigest]) -> set[ChunkDigest]:
        """Return the chunks that need not be stored again."""
        with self.database.read() as tx:
            found = contents.find_stored(tx, self.store_id, digests)
        self.meter.add(CHUNK_LOOKUPS, self.store_id, "known", by=len(found))
        self.meter.add(CHUNK_LOOKUPS, self.store_id, "new", by=len(digests) - len(found))
        return found

    def add_pack(self, pack: SealedPack) -> None:
        """Insert a pack that is durable in the store; other uploads now find its chunks."""
        with self.database.write() as tx:
            contents.add_pack(tx, self.store_id, row_of(pack), chunk_rows(pack), now=self.clock())

    def locate(self, digests: Collection[ChunkDigest]) -> dict[ChunkDigest, ChunkLocation]:
        """Return the locations of these chunks."""
        with self.database.read() as tx:
            places = contents.locate(tx, self.store_id, digests)
        return {
            digest: ChunkLocation(pack_id, offset, stored_bytes, length_bytes, Encoding(encoding))
            for digest, (pack_id, offset, stored_bytes, length_bytes, encoding) in places.items()
        }


def row_of(pack: SealedPack) -> PackRow:
    """Convert a pack to its row."""
    return PackRow(id=pack.pack_id, size_bytes=pack.size_bytes, retired_at=None)


def chunk_rows(pack: SealedPack) -> list[ChunkRow]:
    """Convert a pack's chunks to their rows."""
    return [ChunkRow(each.digest, each.offset, each.stored_bytes, each.length_bytes, each.encoding) for each in pack.entries]
