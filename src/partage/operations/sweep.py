"""Free what nothing names. Mark and sweep: references are asked of the manifests, never counted.

1. Contents that no image has named for longer than the grace period are forgotten.
2. Mark: chunks that no image's manifest names are condemned. From then on writers do not find them and store them anew.
3. Mark again: an upload may have finished while the first mark was read. What a manifest names now is spared. Uploads that finish
   later spare their chunks themselves, in the transaction that names them.
4. Chunks that were condemned for longer than the grace period when they were marked again, and are so since the same moment, go:
   packs that still hold others are rewritten without them, and packs that no chunk row points to are retired. A sweep never takes
   what only another one has condemned, as that one may not have marked again yet.
5. Packs retired for longer than the grace period are removed from the store, and so are objects that no row knows: a pack is
   written before its row, so such an object is the leftover of a crash once it is older than any write could take.

The grace period is what downloads under way, and uploads that found a chunk present, may rely on. The sweep is safe beside
both, and beside itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from partage import problems
from partage.content.manifest import digests
from partage.model.ids import ChunkDigest, PackID
from partage.operations.chunk_index import chunk_rows, row_of
from partage.operations.service import NamedStore, Service
from partage.records import contents
from partage.records.contents import ChunkRow
from partage.stores import layout, pack
from partage.stores.pack import ChunkEntry, Encoding, SealedPack

LEFTOVER_AGE = timedelta(hours=1)
"""No object younger than this is taken for a leftover: between a pack's last byte and its row lie seconds."""

_PREFIXES = (layout.PACKS, layout.INCOMING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep did. Sizes are bytes as stored; `postponed` packs were left as they are, damaged or for lack of room."""

    contents: int = 0
    condemned: int = 0
    chunks: int = 0
    packs: int = 0
    bytes: int = 0
    leftovers: int = 0
    postponed: int = 0


def sweep(service: Service, *, grace: timedelta) -> Swept:
    """Remove from every store what nothing has named for longer than `grace`.

    Raises:
        StoreUnavailable, DatabaseUnavailable: come back later; what was done so far stays done and is safe.
    """
    now = service.clock()
    with service.database.write() as tx:
        contents.mark_unnamed(tx, now=now)
        forgotten = contents.remove_unnamed(tx, unnamed_before=now - grace)
    swept = [_sweep_store(service, named, grace) for named in service.stores.values() if not named.read_only]
    return Swept(
        contents=forgotten,
        condemned=sum(each.condemned for each in swept),
        chunks=sum(each.chunks for each in swept),
        packs=sum(each.packs for each in swept),
        bytes=sum(each.bytes for each in swept),
        leftovers=sum(each.leftovers for each in swept),
        postponed=sum(each.postponed for each in swept),
    )


def _sweep_store(service: Service, named: NamedStore, grace: timedelta) -> Swept:
    now = service.clock()
    condemned = _condemn(service, named, now)
    dead = _spare(service, named, condemned_before=now - grace)
    removed, postponed = _empty_packs(service, named, dead)
    packs, stored = _remove_retired(service, named, service.clock() - grace)
    leftovers = _remove_leftovers(service, named, now - max(grace, LEFTOVER_AGE))
    return Swept(condemned=condemned, chunks=removed, packs=packs, bytes=stored, leftovers=leftovers, postponed=postponed)


def _live(service: Service, named: NamedStore) -> set[ChunkDigest]:
    with service.database.read() as tx:
        return {digest for segment in contents.live_segments(tx, named.id) for digest in digests(segment)}


def _condemn(service: Service, named: NamedStore, now: datetime) -> int:
    with service.database.read() as tx:
        indexed = [digest for digest, condemned_at in contents.every_chunk(tx, named.id) if condemned_at is None]
    live = _live(service, named)
    unnamed = [digest for digest in indexed if digest not in live]
    with service.database.write() as tx:
        contents.condemn(tx, named.id, unnamed, now=now)
    return len(unnamed)


def _spare(service: Service, named: NamedStore, *, condemned_before: datetime) -> dict[ChunkDigest, datetime]:
    """Spare what is named again; return what has been condemned for long enough, with the moment of its sentence."""
    with service.database.read() as tx:
        condemned = {digest: at for digest, at in contents.every_chunk(tx, named.id) if at is not None}
    live = _live(service, named)
    with service.database.write() as tx:
        contents.spare(tx, named.id, condemned.keys() & live)
    return {digest: at for digest, at in condemned.items() if digest not in live and at <= condemned_before}


def _empty_packs(service: Service, named: NamedStore, dead: Mapping[ChunkDigest, datetime]) -> tuple[int, int]:
    """Remove dead chunks pack by pack; return how many, and how many packs that was not possible in.

    A pack that cannot be rewritten keeps its dead chunks until the next sweep. It must not hold up the others: in a full store they
    are what makes room. A damaged one may have been taken by another sweep meanwhile; otherwise that is for verify to tell.
    """
    removed = postponed = 0
    with service.database.read() as tx:
        found = contents.packs_holding(tx, named.id, dead.keys())
    for pack_id in found:
        try:
            removed += _empty_pack(service, named, pack_id, dead)
        except (problems.StoreFull, problems.ContentCorrupt):
            postponed += 1
    with service.database.write() as tx:
        contents.retire_empty_packs(tx, named.id, now=service.clock())
    return removed, postponed


def _empty_pack(service: Service, named: NamedStore, pack_id: PackID, dead: Mapping[ChunkDigest, datetime]) -> int:
    with service.database.read() as tx:
        rows = contents.chunks_of_pack(tx, pack_id)
    going = {row.digest: at for row, at in rows if at is not None and dead.get(row.digest) == at}
    survivors = {row.digest for row, _ in rows if row.digest not in going}
    old = SealedPack(pack_id, 0, tuple(_entry(row) for row, _ in rows))
    copy = pack.rewrite(named.store, old, survivors, PackID(service.new_id().replace("-", "")))
    if copy is not None:
        with service.database.write() as tx:
            contents.move_chunks(tx, named.id, row_of(copy), chunk_rows(copy), now=service.clock())
    with service.database.write() as tx:
        return contents.remove_condemned(tx, named.id, going)


def _remove_retired(service: Service, named: NamedStore, retired_before: datetime) -> tuple[int, int]:
    with service.database.read() as tx:
        every = contents.every_pack(tx, named.id)
    gone = [each for each in every if each.retired_at is not None and each.retired_at <= retired_before]
    for each in gone:
        named.store.remove(layout.pack_key(each.id))
        with service.database.write() as tx:
            contents.remove_pack(tx, each.id)
    return len(gone), sum(each.size_bytes for each in gone)


def _remove_leftovers(service: Service, named: NamedStore, written_before: datetime) -> int:
    keys = [key for prefix in _PREFIXES for key in named.store.enumerate(prefix)]
    with service.database.read() as tx:
        expected = {layout.pack_key(each.id) for each in contents.every_pack(tx, named.id)}
    return sum(_remove_leftover(named, key, written_before) for key in keys if key not in expected)


def _remove_leftover(named: NamedStore, key: str, written_before: datetime) -> bool:
    found = named.store.stat(key)
    if found is None or found.modified_at > written_before:
        return False
    named.store.remove(key)
    return True


def _entry(row: ChunkRow) -> ChunkEntry:
    return ChunkEntry(
        digest=row.digest,
        offset=row.offset,
        stored_bytes=row.stored_bytes,
        length_bytes=row.length_bytes,
        encoding=Encoding(row.encoding),
    )
