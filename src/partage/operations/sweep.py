"""Garbage collection, mark and sweep: references are read from the manifests, never counted.

1. Contents that nothing has named for longer than the grace period are deleted.
2. Mark: chunks that no image's manifest names are marked. From then on writers do not find them and store them again.
3. Mark again: an upload may have finished while the first mark was read. What a manifest names now is unmarked. Uploads that
   finish later unmark their chunks themselves, in the transaction that names them.
4. Chunks that step 3 found marked for longer than the grace period are removed, if their mark is still the same: packs that hold
   other chunks too are rewritten without them, and packs that no chunk row points to are retired. A sweep never removes a chunk
   that only another sweep has marked, because that sweep may not have reached step 3.
5. Packs retired for longer than the grace period are removed from the store, and so is what a crash left: packs with an intent and
   without a row, once they are older than any write could take.

Nothing else is removed. An object without a row or an intent may hold data of another database, or of this one before a restore: it
is listed and left. While chunks that images need are missing, no pack that holds one of them is removed:
`operations/rebuild_index.py` finds them. Nothing is removed while a backup holds packs.

Running downloads, and uploads that found a chunk present, are safe for the grace period. Concurrent sweeps are safe.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from partage import problems
from partage.content.manifest import digests
from partage.model.ids import ChunkDigest, PackID
from partage.operations import store_identities
from partage.operations.chunk_index import chunk_rows, row_of
from partage.operations.packs import PackNames
from partage.operations.service import NamedStore, Service
from partage.records import contents, holds
from partage.records.contents import ChunkRow, PackRow
from partage.stores import layout
from partage.stores.engine import pack
from partage.stores.engine.pack import ChunkEntry, Encoding, SealedPack
from partage.stores.store import Draft

LEFTOVER_AGE = timedelta(hours=1)
"""A younger object is no leftover: a pack gets its row seconds after its last byte."""

INTENT_AGE = timedelta(days=30)
"""An intent whose pack never appeared is deleted after this time: longer than any upload."""


_Item = TypeVar("_Item")


def _go_on() -> None:
    """Go on to the end: the check of a sweep that nothing interrupts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep did. Sizes are bytes as stored.

    `postponed`, as "store: key: reason": packs and leftovers that could not be rewritten or removed; each is logged with its cause.
    `unknown`, as "store: key": objects that this database did not write. `lost`: chunks that images need and that are not where the
    index says. `held_for`: why nothing was removed from the stores.
    """

    contents: int = 0
    marked: int = 0
    chunks: int = 0
    packs: int = 0
    bytes: int = 0
    leftovers: int = 0
    postponed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    lost: int = 0
    held_for: str | None = None


def sweep(service: Service, *, grace: timedelta, check: Callable[[], None] = _go_on) -> Swept:
    """Remove data that nothing has named for longer than `grace` from every store.

    `check` is called before each step, and may raise to interrupt the sweep: what was done so far stays done.

    Raises:
        StoreUnavailable, DatabaseUnavailable: try again later; what was done so far stays done.
    """
    now = service.clock()
    with service.database.write() as tx:
        contents.mark_unnamed(tx, now=now)
        forgotten = contents.remove_unnamed(tx, unnamed_before=now - grace)
    swept = [_sweep_store(service, named, grace, check) for named in service.stores.by_id.values() if not named.read_only]
    return Swept(
        contents=forgotten,
        marked=sum(each.marked for each in swept),
        chunks=sum(each.chunks for each in swept),
        packs=sum(each.packs for each in swept),
        bytes=sum(each.bytes for each in swept),
        leftovers=sum(each.leftovers for each in swept),
        postponed=tuple(reason for each in swept for reason in each.postponed),
        unknown=tuple(key for each in swept for key in each.unknown),
        lost=sum(each.lost for each in swept),
        held_for=next((each.held_for for each in swept if each.held_for), None),
    )


def _sweep_store(service: Service, named: NamedStore, grace: timedelta, check: Callable[[], None]) -> Swept:
    now = service.clock()
    marked = _mark(service, named, now, check)
    dead, lost = _unmark(service, named, check, marked_before=now - grace)
    held_for = _find_hold(service)
    if held_for is not None:
        return Swept(marked=marked, lost=len(lost), held_for=held_for)
    removed, kept = _empty_packs(service, named, dead, check)
    packs, stored, also_kept = _remove_retired(service, _Guarded(named, lost, check), service.clock() - grace)
    leftovers, unknown, left = _remove_leftovers(service, _Guarded(named, lost, check), now - max(grace, LEFTOVER_AGE))
    return Swept(
        marked=marked,
        chunks=removed,
        packs=packs,
        bytes=stored,
        leftovers=leftovers,
        postponed=tuple(f"{named.id}: {reason}" for reason in (*kept, *also_kept, *left)),
        unknown=unknown,
        lost=len(lost),
    )


def _find_hold(service: Service) -> str | None:
    with service.database.read() as tx:
        return holds.find_reason(tx, now=service.clock())


def find_live_chunks(service: Service, named: NamedStore, check: Callable[[], None] = _go_on) -> set[ChunkDigest]:
    """Return the chunks of a store that manifests of named contents have. `check` may raise to interrupt it."""
    with service.database.read() as tx:
        return {digest for segment in _each(contents.walk_live_segments(tx, named.id), check) for digest in digests(segment)}


def _each(items: Iterable[_Item], check: Callable[[], None]) -> Iterator[_Item]:
    for item in items:
        check()
        yield item


def _mark(service: Service, named: NamedStore, now: datetime, check: Callable[[], None]) -> int:
    with service.database.read() as tx:
        indexed = [digest for digest, marked_at in contents.walk_chunks(tx, named.id) if marked_at is None]
    live = find_live_chunks(service, named, check)
    unnamed = [digest for digest in indexed if digest not in live]
    with service.database.write() as tx:
        contents.mark(tx, named.id, unnamed, now=now)
    return len(unnamed)


def _unmark(
    service: Service, named: NamedStore, check: Callable[[], None], *, marked_before: datetime
) -> tuple[dict[ChunkDigest, datetime], frozenset[ChunkDigest]]:
    """Unmark what is named again; return the chunks that are marked for long enough, each with its mark, and the lost chunks."""
    with service.database.read() as tx:
        indexed = dict(contents.walk_chunks(tx, named.id))
    live = find_live_chunks(service, named, check)
    marked = {digest: at for digest, at in indexed.items() if at is not None}
    with service.database.write() as tx:
        contents.unmark(tx, named.id, marked.keys() & live)
    dead = {digest: at for digest, at in marked.items() if digest not in live and at <= marked_before}
    return dead, _find_lost(service, named, live, indexed.keys())


def _find_lost(
    service: Service, named: NamedStore, live: set[ChunkDigest], indexed: Collection[ChunkDigest]
) -> frozenset[ChunkDigest]:
    """Return the live chunks that have no row, or whose pack is missing in the store.

    `indexed` was read before `live`, so chunks of uploads that ended in between are looked up again.
    """
    present = {layout.pack_id_or_none(key) for key in named.store.enumerate(layout.PACKS)}
    with service.database.read() as tx:
        unplaced = live.difference(indexed)
        unplaced -= contents.locate(tx, named.id, unplaced).keys()
        absent = [each.id for each in contents.list_packs(tx, named.id) if each.id not in present and each.retired_at is None]
        # Packs that were inserted since the listing are present.
        absent = [each for each in absent if named.store.stat(layout.pack_key(each)) is None]
        displaced = {row.digest for each in absent for row, _ in contents.list_chunks(tx, each)}
    return frozenset(unplaced | (displaced & live))


def _empty_packs(
    service: Service, named: NamedStore, dead: Mapping[ChunkDigest, datetime], check: Callable[[], None]
) -> tuple[int, list[str]]:
    """Remove dead chunks pack by pack; return how many, and the packs that failed, with the reasons.

    A pack that cannot be rewritten keeps its dead chunks until the next sweep. It must not stop the others: in a full store they
    make room. A missing pack may have been removed by another sweep; damage is reported by verify.
    """
    removed, postponed = 0, list[str]()
    with service.database.read() as tx:
        found = contents.find_packs(tx, named.id, dead.keys())
    for pack_id in _each(found, check):
        try:
            removed += _empty_pack(service, named, pack_id, dead)
        except (problems.StoreFull, problems.ContentCorrupt, problems.StoreUnavailable) as problem:
            postponed.append(_postpone(service, named, layout.pack_key(pack_id), problem))
    with service.database.write() as tx:
        contents.retire_empty_packs(tx, named.id, now=service.clock())
    return removed, postponed


def _empty_pack(service: Service, named: NamedStore, pack_id: PackID, dead: Mapping[ChunkDigest, datetime]) -> int:
    with service.database.read() as tx:
        rows = contents.list_chunks(tx, pack_id)
    going = {row.digest: at for row, at in rows if at is not None and dead.get(row.digest) == at}
    survivors = {row.digest for row, _ in rows if row.digest not in going}
    old = SealedPack(pack_id, 0, tuple(_entry(row) for row, _ in rows))
    names = PackNames(service, named)
    copy = pack.rewrite(named.store, old, survivors, names.draw()) if survivors else None
    if copy is not None:
        with service.database.write() as tx:
            contents.move_chunks(tx, named.id, row_of(copy), chunk_rows(copy), now=service.clock())
    with service.database.write() as tx:
        return contents.remove_marked(tx, named.id, going)


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A store from which objects are removed: not those that hold lost chunks, and none after `check` has raised."""

    named: NamedStore
    lost: frozenset[ChunkDigest]
    check: Callable[[], None]


def _remove_retired(service: Service, guarded: _Guarded, retired_before: datetime) -> tuple[int, int, list[str]]:
    named, lost = guarded.named, guarded.lost
    with service.database.read() as tx:
        every = contents.list_packs(tx, named.id)
    gone = [each for each in every if each.retired_at is not None and each.retired_at <= retired_before]
    # A hold that begins now sees these packs as retired, and needs none of them.
    if not gone or _find_hold(service) is not None:
        return 0, 0, []
    gone = [each for each in gone if not _holds_some(named, each.id, lost)]
    store_identities.raise_generation(service, named)
    removed, postponed = list[PackRow](), list[str]()
    for each in _each(gone, guarded.check):
        try:
            named.store.remove(layout.pack_key(each.id))
        except problems.StoreUnavailable as problem:
            postponed.append(_postpone(service, named, layout.pack_key(each.id), problem))
            continue
        with service.database.write() as tx:
            contents.remove_pack(tx, each.id)
        removed.append(each)
    return len(removed), sum(each.size_bytes for each in removed), postponed


def _remove_leftovers(service: Service, guarded: _Guarded, written_before: datetime) -> tuple[int, tuple[str, ...], list[str]]:
    """Remove objects that crashes of this database's processes left.

    Return how many, the names of foreign objects, and the leftovers that failed, with the reasons.
    """
    named, lost = guarded.named, guarded.lost
    keys = list(named.store.enumerate(layout.PACKS))
    drafts = list(named.store.list_drafts())
    with service.database.read() as tx:
        intents = contents.list_intents(tx, named.id)
        entered = {each.id for each in contents.list_packs(tx, named.id)}
    own = intents.keys() | entered
    written = {key: pack_id for key in keys if (pack_id := layout.pack_id_or_none(key)) in own}
    begun = {draft: pack_id for draft in drafts if (pack_id := layout.pack_id_or_none(draft.key or "")) in own}
    identities = [draft for draft in drafts if draft.key == layout.IDENTITY]  # which hold no image data
    foreign = [key for key in keys if key not in written]
    foreign += [draft.name for draft in drafts if draft not in begun and draft not in identities]
    gone, gone_drafts, postponed = set[str](), set[Draft](), list[str]()
    for key, pack_id in _each(written.items(), guarded.check):
        try:
            if pack_id not in entered and _is_old(named, key, written_before) and not _holds_some(named, pack_id, lost):
                named.store.remove(key)
                gone.add(key)
        except problems.StoreUnavailable as problem:
            postponed.append(_postpone(service, named, key, problem))
    for draft in _each((*begun, *identities), guarded.check):
        try:
            if draft.modified_at <= written_before:
                named.store.remove_draft(draft)
                gone_drafts.add(draft)
        except problems.StoreUnavailable as problem:
            postponed.append(_postpone(service, named, draft.name, problem))
    left = {pack_id for key, pack_id in written.items() if key not in gone}
    left |= {pack_id for draft, pack_id in begun.items() if draft not in gone_drafts}
    removed_ids = ({*written.values()} | {*begun.values()}) - left
    stale = {each for each, noted_at in intents.items() if each not in left and noted_at < written_before - INTENT_AGE}
    if removed_ids or stale:
        with service.database.write() as tx:
            contents.remove_intents(tx, removed_ids | stale)
    return len(gone) + len(gone_drafts), tuple(f"{named.id}: {name}" for name in foreign), postponed


def _postpone(service: Service, named: NamedStore, name: str, problem: problems.Problem) -> str:
    """Log why an object is left to the next sweep; return its name with the reason.

    Raises:
        StoreUnavailable: the store does not respond at all.
    """
    if isinstance(problem, problems.StoreUnavailable):
        store_identities.require_answer(named)
    service.process.failures.note(problem, f"sweep of {named.id}, {name}")
    return f"{name}: {problem.sentence()}"


def _is_old(named: NamedStore, key: str, written_before: datetime) -> bool:
    found = named.store.stat(key)
    return found is not None and found.modified_at <= written_before


def _holds_some(named: NamedStore, pack_id: PackID | None, lost: frozenset[ChunkDigest]) -> bool:
    """Return whether a pack holds a lost chunk, or may hold one because it cannot be read."""
    if not lost or pack_id is None:
        return False
    try:
        if named.store.stat(layout.pack_key(pack_id)) is None:
            return False
        return any(entry.digest in lost for entry in pack.read_index(named.store, pack_id).entries)
    except (problems.ContentCorrupt, problems.StoreUnavailable, ValueError):
        return True


def _entry(row: ChunkRow) -> ChunkEntry:
    return ChunkEntry(
        digest=row.digest,
        offset=row.offset,
        stored_bytes=row.stored_bytes,
        length_bytes=row.length_bytes,
        encoding=Encoding(row.encoding),
    )
