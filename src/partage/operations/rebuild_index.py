"""Rebuild the chunk index from the packs: for packs without a row, and chunks whose pack is missing.

A database that was restored from a backup is older than its stores: packs written since have no row, and sweeps have rewritten and
removed packs that it names. Each pack ends with an index of its chunks, from which the rows are inserted.

1. Insert packs without a row, with every chunk that has no row or whose pack is missing. Packs with an intent are left out: an
   upload is writing them, or a crash left them to the sweep.
2. Look for chunks that are still missing in all other packs, retired packs too.
3. Delete rows of chunks whose pack is missing: an upload of the same bytes then stores them again, and so repairs the image.
4. Give database and store the same generation, so that the service starts.

Removes no data; the next sweep removes what no image names. Does not verify chunks: `operations/verify.py` does.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from partage import problems
from partage.model.ids import ChunkDigest, PackID
from partage.operations import store_identities
from partage.operations.chunk_index import chunk_rows, row_of
from partage.operations.holding import Hold, hold_packs
from partage.operations.service import NamedStore, Service
from partage.operations.sweep import find_live_chunks
from partage.records import contents
from partage.stores import layout
from partage.stores.engine import pack
from partage.stores.engine.pack import SealedPack


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """The result: `packs` that had no row, and `chunks` whose rows were added or corrected."""

    packs: int = 0
    chunks: int = 0
    unreadable: tuple[str, ...] = ()
    lost: int = 0


def rebuild_index(service: Service) -> Rebuilt:
    """Insert the packs that the database does not know, store by store.

    Raises:
        StoreFull, StoreUnavailable, DatabaseUnavailable: try again later; what was done so far stays done.
    """
    with hold_packs(service, "the index is being rebuilt") as hold:
        found = [_Rebuilding(service, named, hold).rebuild() for named in service.stores.by_id.values()]
    for named in service.stores.by_id.values():
        store_identities.align_generations(service, named)
    return Rebuilt(
        packs=sum(each.packs for each in found),
        chunks=sum(each.chunks for each in found),
        unreadable=tuple(name for each in found for name in each.unreadable),
        lost=sum(each.lost for each in found),
    )


class _Rebuilding:
    """The rebuilding of one store's index."""

    def __init__(self, service: Service, named: NamedStore, hold: Hold) -> None:
        self._service = service
        self._named = named
        self._hold = hold
        self._packs = 0
        self._chunks = 0
        self._unreadable: list[str] = []

    def rebuild(self) -> Rebuilt:
        present = {pack_id for key in self._named.store.enumerate(layout.PACKS) if (pack_id := layout.pack_id_or_none(key))}
        with self._service.database.read() as tx:
            intents = contents.list_intents(tx, self._named.id)
            known = {each.id for each in contents.list_packs(tx, self._named.id)}
        absent = [each for each in known - present if self._named.store.stat(layout.pack_key(each)) is None]
        displaced = self._list_chunks_of(absent)
        for sealed in self._read(sorted(present - known - intents.keys())):
            self._enter(sealed, displaced)
        wanted = self._list_chunks_of(absent) | self._find_unplaced()
        if wanted:
            self._look_further(sorted(present & (known | intents.keys())), known, wanted)
        lost = (self._list_chunks_of(absent) | self._find_unplaced()) & find_live_chunks(self._service, self._named)
        for each in absent:
            with self._service.database.write() as tx:
                contents.forget_places(tx, self._named.id, each)
        return Rebuilt(packs=self._packs, chunks=self._chunks, unreadable=tuple(self._unreadable), lost=len(lost))

    def _enter(self, sealed: SealedPack, displaced: set[ChunkDigest]) -> None:
        now = self._service.clock()
        with self._service.database.write() as tx:
            entered = contents.enter_found_pack(tx, self._named.id, row_of(sealed), chunk_rows(sealed), displaced, now=now)
        if entered is not None:
            self._packs += 1
            self._chunks += len(entered)
            displaced -= entered

    def _look_further(self, pack_ids: Iterable[PackID], known: set[PackID], wanted: set[ChunkDigest]) -> None:
        for sealed in self._read(pack_ids):
            if not any(entry.digest in wanted for entry in sealed.entries):
                continue
            if sealed.pack_id not in known:
                self._enter(sealed, wanted)
                continue
            rows = [row for row in chunk_rows(sealed) if row.digest in wanted]
            with self._service.database.write() as tx:
                is_there = contents.use_again(tx, self._named.id, sealed.pack_id, rows)
            if is_there:
                self._chunks += len(rows)
                wanted -= {row.digest for row in rows}

    def _read(self, pack_ids: Iterable[PackID]) -> Iterable[SealedPack]:
        for pack_id in pack_ids:
            self._hold.renew_if_due()
            try:
                yield pack.read_index(self._named.store, pack_id)
            except (problems.ContentCorrupt, problems.StoreUnavailable, ValueError) as error:
                if isinstance(error, problems.StoreUnavailable):
                    store_identities.require_answer(self._named)
                self._unreadable.append(f"{self._named.id}: {layout.pack_key(pack_id)}")

    def _list_chunks_of(self, pack_ids: Iterable[PackID]) -> set[ChunkDigest]:
        with self._service.database.read() as tx:
            return {row.digest for each in pack_ids for row, _ in contents.list_chunks(tx, each)}

    def _find_unplaced(self) -> set[ChunkDigest]:
        """Return the chunks that manifests name and that have no row. Reads manifests first: their chunks have rows before them."""
        live = find_live_chunks(self._service, self._named)
        with self._service.database.read() as tx:
            return live.difference(digest for digest, _ in contents.walk_chunks(tx, self._named.id))
