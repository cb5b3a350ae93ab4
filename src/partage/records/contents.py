"""Rows of contents and manifests, and the index from chunk digests to places in packs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Insert, LargeBinary, bindparam, delete, exists, func, insert, null, select, tuple_, update

from partage.content.digest import ALGORITHMS, Digests
from partage.content.manifest import Content, Segment
from partage.model.ids import ChunkDigest, ContentID, PackID, StoreID
from partage.records import content_references
from partage.records.compiled import CompiledSelect
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.dialects import choose_insert
from partage.records.tables import chunks, contents, images, manifests, pack_intents, packs

_Value = TypeVar("_Value", ChunkDigest, ContentID, PackID)

_IN_ONE_STATEMENT = 900
_LENGTHS = (8, 32, 128, _IN_ONE_STATEMENT)
"""How many values one IN list takes: SQLite refuses more than 999 parameters where it was built with the old default."""


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """Where a chunk lies in its pack; lengths in bytes."""

    digest: ChunkDigest
    offset: int
    stored_bytes: int
    length_bytes: int
    encoding: int


class ChunkPlace(NamedTuple):
    """Where a chunk lies: the pack that holds it, and then as `ChunkRow`."""

    pack_id: PackID
    offset: int
    stored_bytes: int
    length_bytes: int
    encoding: int


@dataclass(frozen=True, slots=True)
class PackRow:
    """A pack as the index knows it. `retired_at` is set once no chunk row points to it."""

    id: PackID
    size_bytes: int
    retired_at: datetime | None


def add(tx: Transaction, content_id: ContentID, content: Content, segments: Sequence[Segment], *, now: datetime) -> None:
    """Insert a content and its manifest. A digest that was not computed is an empty text."""
    row = {
        "id": content_id,
        "size": content.size_bytes,
        **dict.fromkeys(ALGORITHMS, ""),
        **content.digests.by_algorithm,
        "created_at": to_microseconds(now),
    }
    tx.execute(insert(contents), row)
    if segments:
        rows = [{"content_id": content_id, "start": each.start, "encoded": each.encoded} for each in segments]
        tx.execute(insert(manifests), rows)


def add_in_place(tx: Transaction, content_id: ContentID, content: Content, *, now: datetime) -> None:
    """Insert a content without a manifest: its bytes are in a store of Glance. Its digests are those that Glance recorded."""
    row = {"id": content_id, "size": content.size_bytes, **dict.fromkeys(ALGORITHMS, ""), "created_at": to_microseconds(now)}
    tx.execute(insert(contents), row | dict(content.digests.by_algorithm))


def add_manifest(tx: Transaction, content_id: ContentID, content: Content, segments: Sequence[Segment]) -> bool:
    """Insert the manifest of a content that had none, with its digests; return False if the content is gone."""
    found = tx.execute(update(contents).where(contents.c.id == content_id).values(dict(content.digests.by_algorithm)))
    if found.rowcount and segments:
        rows = [{"content_id": content_id, "start": each.start, "encoded": each.encoded} for each in segments]
        tx.execute(insert(manifests), rows)
    return bool(found.rowcount)


def lock(tx: Transaction, content_id: ContentID) -> bool:
    """Lock a content until the end of the transaction, so that only one at a time decides whether it is in place; False if gone."""
    return tx.execute(select(contents.c.id).where(contents.c.id == content_id).with_for_update()).first() is not None


def find(tx: Transaction, content_id: ContentID) -> Content | None:
    """Return a content's size and digests, or None when it is gone."""
    columns = (contents.c.size, contents.c.md5, contents.c.sha256, contents.c.sha512)
    row = tx.execute(select(*columns).where(contents.c.id == content_id)).first()
    if row is None:
        return None
    digests = Digests(md5=row.md5 or None, sha256=row.sha256 or None, sha512=row.sha512 or None)
    return Content(size_bytes=row.size, digests=digests, virtual_size_bytes=None)


def sum_sizes(tx: Transaction, content_ids: Collection[ContentID]) -> int:
    """Sum the sizes of contents, in bytes of image data."""
    return int(tx.execute(select(func.coalesce(func.sum(contents.c.size), 0)).where(contents.c.id.in_(content_ids))).scalar_one())


_NAMED = content_references.is_named(contents.c.id)
_LIVE = select(manifests.c.start, manifests.c.encoded).where(content_references.is_named_in_store(manifests.c.content_id))
_SEGMENTS = (
    select(manifests.c.start, manifests.c.encoded)
    .where(manifests.c.content_id == bindparam("content_id"), manifests.c.start < bindparam("stop"))
    .where(
        manifests.c.start
        >= select(func.coalesce(func.max(manifests.c.start), 0))
        .where(manifests.c.content_id == bindparam("content_id"), manifests.c.start <= bindparam("start"))
        .scalar_subquery(),
    )
    .order_by(manifests.c.start)
    .limit(bindparam("rows"))
)


_FEW, _MANY = 32, 512
"""Questions take lists of these lengths: the chunks of 2 MiB, and those of 48 MiB."""


def _one_of(count: int) -> ColumnElement[bool]:
    return chunks.c.digest.in_([bindparam(f"digest_{number}", type_=LargeBinary) for number in range(count)])


_KNOWN = CompiledSelect(
    select(chunks.c.digest).where(_one_of(_FEW), chunks.c.store_id == bindparam("store_id"), chunks.c.marked_at.is_(None)),
)
_PLACES = select(
    chunks.c.digest,
    chunks.c.pack_id,
    chunks.c.offset,
    chunks.c.stored_bytes,
    chunks.c.length_bytes,
    chunks.c.encoding,
).where(chunks.c.store_id == bindparam("store_id"))
_LOCATE_FEW = CompiledSelect(_PLACES.where(_one_of(_FEW)))
_LOCATE = CompiledSelect(_PLACES.where(_one_of(_MANY)))


def find_segments(tx: Transaction, content_id: ContentID, start: int, stop: int, *, limit_rows: int) -> list[Segment]:
    """List the manifest segments that cover bytes [start, stop), in order, at most `limit_rows`."""
    given = {"content_id": content_id, "start": start, "stop": stop, "rows": limit_rows}
    return [Segment(start=row.start, encoded=row.encoded) for row in tx.execute(_SEGMENTS, given)]


class ContentPosition(NamedTuple):
    """Where a content is in the order of age."""

    created_at: int
    id: ContentID


def page_contents(tx: Transaction, after: ContentPosition | None = None, *, limit_rows: int = 1000) -> list[ContentPosition]:
    """List contents, oldest first, after that position."""
    order = (contents.c.created_at, contents.c.id)
    statement = select(*order).order_by(*order).limit(limit_rows)
    if after is not None:
        statement = statement.where(tuple_(*order) > tuple_(*after))
    return [ContentPosition(created_at, ContentID(content_id)) for created_at, content_id in tx.execute(statement)]


def walk_live_segments(tx: Transaction, store_id: StoreID) -> Iterator[Segment]:
    """Yield the manifest segments of every content that something names in this store."""
    for row in tx.execute(_LIVE, content_references.bind_store(store_id)):
        yield Segment(start=row.start, encoded=row.encoded)


def mark_unnamed(tx: Transaction, *, now: datetime) -> None:
    """Set `unnamed_at` of contents that nothing names; clear it where something does."""
    tx.execute(update(contents).where(contents.c.unnamed_at.is_not(None), _NAMED).values(unnamed_at=None))
    tx.execute(update(contents).where(contents.c.unnamed_at.is_(None), ~_NAMED).values(unnamed_at=to_microseconds(now)))


def remove_unnamed(tx: Transaction, *, unnamed_before: datetime) -> int:
    """Delete the contents that nothing has named since that time, with their manifests; return how many."""
    return tx.execute(delete(contents).where(contents.c.unnamed_at <= to_microseconds(unnamed_before), ~_NAMED)).rowcount


def find_stored(tx: Transaction, store_id: StoreID, digests: Collection[ChunkDigest]) -> set[ChunkDigest]:
    """Return which of these chunks the store has and will keep. Marked chunks are omitted, so that a writer stores them again."""
    found: set[ChunkDigest] = set()
    for given in _bind_digests(digests, _FEW):
        found.update(ChunkDigest(bytes(digest)) for (digest,) in _KNOWN.fetch_all(tx, {"store_id": store_id, **given}))
    return found


def locate(tx: Transaction, store_id: StoreID, digests: Collection[ChunkDigest]) -> dict[ChunkDigest, ChunkPlace]:
    """Return the positions of these chunks. Chunks that the index does not have are omitted."""
    found: dict[ChunkDigest, ChunkPlace] = {}
    statement, count = (_LOCATE_FEW, _FEW) if len(digests) <= _FEW else (_LOCATE, _MANY)
    for given in _bind_digests(digests, count):
        for digest, *place in statement.fetch_all(tx, {"store_id": store_id, **given}):
            found[ChunkDigest(bytes(digest))] = ChunkPlace._make(place)
    return found


def add_pack(tx: Transaction, store_id: StoreID, pack: PackRow, rows: Sequence[ChunkRow], *, now: datetime) -> None:
    """Insert a pack and its chunks. A chunk that is there already keeps its place, unless it was marked."""
    _insert_pack(tx, store_id, pack, now=now)
    _put_chunks(tx, store_id, pack.id, rows, only_marked=True)


def move_chunks(tx: Transaction, store_id: StoreID, pack: PackRow, rows: Sequence[ChunkRow], *, now: datetime) -> None:
    """Insert a pack that holds copies of chunks, and let the index point to the copies."""
    _insert_pack(tx, store_id, pack, now=now)
    _put_chunks(tx, store_id, pack.id, rows, only_marked=False)


def enter_found_pack(
    tx: Transaction,
    store_id: StoreID,
    pack: PackRow,
    rows: Sequence[ChunkRow],
    displaced: Collection[ChunkDigest],
    *,
    now: datetime,
) -> set[ChunkDigest] | None:
    """Enter a pack that was found in the store; return the chunks that lie there from now on, or None when it is known by now.

    Those are its chunks that the index does not have, and those of the `displaced`, whose place in the index holds nothing.
    """
    if tx.execute(select(packs.c.id).where(packs.c.id == pack.id)).first() is not None:
        return None
    _insert_pack(tx, store_id, pack, now=now)
    known: set[ChunkDigest] = set()
    for part in _split({row.digest for row in rows}):
        known.update(_lock(tx, store_id, part))
    taken = [row for row in rows if row.digest not in known or row.digest in displaced]
    _put_chunks(tx, store_id, pack.id, taken, only_marked=False)
    return {row.digest for row in taken}


def forget_places(tx: Transaction, store_id: StoreID, pack_id: PackID) -> None:
    """Delete the places of chunks in a pack that the store does not have."""
    for part in _split({row.digest for row, _ in list_chunks(tx, pack_id)}):
        _lock(tx, store_id, part)
        tx.execute(delete(chunks).where(chunks.c.digest.in_(part), chunks.c.store_id == store_id, chunks.c.pack_id == pack_id))


def use_again(tx: Transaction, store_id: StoreID, pack_id: PackID, rows: Sequence[ChunkRow]) -> bool:
    """Let the index point to these chunks of a known pack, retired or not; False when the pack is gone."""
    if not tx.execute(update(packs).where(packs.c.id == pack_id).values(retired_at=None)).rowcount:
        return False
    _put_chunks(tx, store_id, pack_id, rows, only_marked=False)
    return True


def note_intents(tx: Transaction, store_id: StoreID, pack_ids: Collection[PackID], *, now: datetime) -> None:
    """Note that packs of these ids are about to be written: a sweep then knows whose they are if nothing more is heard of them."""
    rows = [{"pack_id": each, "store_id": store_id, "noted_at": to_microseconds(now)} for each in pack_ids]
    tx.execute(insert(pack_intents), rows)


def list_intents(tx: Transaction, store_id: StoreID) -> dict[PackID, datetime]:
    """Return the packs that were about to be written and were not entered, each with when that was noted."""
    rows = tx.execute(select(pack_intents.c.pack_id, pack_intents.c.noted_at).where(pack_intents.c.store_id == store_id))
    return {PackID(row.pack_id): from_microseconds(row.noted_at) for row in rows}


def find_intents(tx: Transaction, pack_ids: Collection[PackID]) -> list[PackID]:
    """Return which of these packs have an intent, but no row."""
    found: list[PackID] = []
    for part in _split(pack_ids):
        rows = tx.execute(select(pack_intents.c.pack_id).where(pack_intents.c.pack_id.in_(part)))
        found += [PackID(each) for each in rows.scalars()]
    return found


def remove_intents(tx: Transaction, pack_ids: Collection[PackID]) -> None:
    """Forget packs that were about to be written: they are not there, or not any more."""
    for part in _split(pack_ids):
        tx.execute(delete(pack_intents).where(pack_intents.c.pack_id.in_(part)))


def unmark(tx: Transaction, store_id: StoreID, digests: Collection[ChunkDigest]) -> set[ChunkDigest]:
    """Unmark these chunks, which a manifest is about to name; return those that are in the index.

    Locks them first: a concurrent sweep has either marked them before, or marks them after this transaction and then finds the
    manifest.
    """
    found: set[ChunkDigest] = set()
    for part in _split(digests):
        found.update(_lock(tx, store_id, part))
        mine = (chunks.c.digest.in_(part), chunks.c.store_id == store_id, chunks.c.marked_at.is_not(None))
        tx.execute(update(chunks).where(*mine).values(marked_at=None))
    return found


def walk_chunks(tx: Transaction, store_id: StoreID) -> Iterator[tuple[ChunkDigest, datetime | None]]:
    """Walk the index of one store: each chunk and when it was marked."""
    statement = select(chunks.c.digest, chunks.c.marked_at).where(chunks.c.store_id == store_id)
    for digest, marked_at in tx.execute(statement):
        yield ChunkDigest(bytes(digest)), None if marked_at is None else from_microseconds(marked_at)


def mark(tx: Transaction, store_id: StoreID, digests: Collection[ChunkDigest], *, now: datetime) -> None:
    """Mark chunks that no manifest names."""
    for part in _split(digests):
        _lock(tx, store_id, part)
        mine = (chunks.c.digest.in_(part), chunks.c.store_id == store_id, chunks.c.marked_at.is_(None))
        tx.execute(update(chunks).where(*mine).values(marked_at=to_microseconds(now)))


def find_packs(tx: Transaction, store_id: StoreID, digests: Collection[ChunkDigest]) -> list[PackID]:
    """List the packs in which these chunks lie."""
    found: set[PackID] = set()
    for part in _split(digests):
        statement = select(chunks.c.pack_id).where(chunks.c.digest.in_(part), chunks.c.store_id == store_id).distinct()
        found.update(PackID(each) for each in tx.execute(statement).scalars())
    return sorted(found)


def list_chunks(tx: Transaction, pack_id: PackID) -> list[tuple[ChunkRow, datetime | None]]:
    """List a pack's chunks in the order of their bytes, each with when it was marked."""
    columns = (
        chunks.c.digest,
        chunks.c.offset,
        chunks.c.stored_bytes,
        chunks.c.length_bytes,
        chunks.c.encoding,
        chunks.c.marked_at,
    )
    rows = tx.execute(select(*columns).where(chunks.c.pack_id == pack_id).order_by(chunks.c.offset))
    return [
        (ChunkRow(ChunkDigest(bytes(digest)), *place), None if marked_at is None else from_microseconds(marked_at))
        for digest, *place, marked_at in rows
    ]


def remove_marked(tx: Transaction, store_id: StoreID, dead: Mapping[ChunkDigest, datetime]) -> int:
    """Delete those of these chunks that are still marked with that time; return how many."""
    removed = 0
    for part in _split(dead.keys()):
        _lock(tx, store_id, part)
        for marked_at in {dead[digest] for digest in part}:
            of_then = [digest for digest in part if dead[digest] == marked_at]
            mine = (chunks.c.digest.in_(of_then), chunks.c.store_id == store_id)
            removed += tx.execute(delete(chunks).where(*mine, chunks.c.marked_at == to_microseconds(marked_at))).rowcount
    return removed


def retire_empty_packs(tx: Transaction, store_id: StoreID, *, now: datetime) -> int:
    """Mark the packs that no chunk row points to; return how many."""
    used = exists(select(chunks.c.digest).where(chunks.c.pack_id == packs.c.id))
    mine = (packs.c.store_id == store_id, packs.c.retired_at.is_(None), ~used)
    return tx.execute(update(packs).where(*mine).values(retired_at=to_microseconds(now))).rowcount


def list_packs(tx: Transaction, store_id: StoreID) -> list[PackRow]:
    """List a store's packs, oldest first."""
    statement = select(packs.c.id, packs.c.size, packs.c.retired_at).where(packs.c.store_id == store_id)
    return [
        PackRow(PackID(pack_id), size, None if retired_at is None else from_microseconds(retired_at))
        for pack_id, size, retired_at in tx.execute(statement.order_by(packs.c.created_at, packs.c.id))
    ]


def find_used(tx: Transaction, content_ids: Collection[ContentID]) -> set[ContentID]:
    """Return the contents that are the data of an image."""
    found: set[ContentID] = set()
    for part in _split(content_ids):
        statement = select(images.c.content_id).where(images.c.content_id.in_(part))
        found.update(ContentID(each) for each in tx.execute(statement).scalars())
    return found


def remove_pack(tx: Transaction, pack_id: PackID) -> None:
    """Forget a retired pack, after its object is gone."""
    tx.execute(delete(packs).where(packs.c.id == pack_id, packs.c.retired_at.is_not(None)))


def _insert_pack(tx: Transaction, store_id: StoreID, pack: PackRow, *, now: datetime) -> None:
    """Insert a pack that is in the store; that it is about to be written is no longer to be noted."""
    tx.execute(delete(pack_intents).where(pack_intents.c.pack_id == pack.id))
    tx.execute(
        insert(packs),
        {"id": pack.id, "store_id": store_id, "size": pack.size_bytes, "created_at": to_microseconds(now), "retired_at": None},
    )


def _put_chunks(tx: Transaction, store_id: StoreID, pack_id: PackID, rows: Sequence[ChunkRow], *, only_marked: bool) -> None:
    # In the order of digests, so that two writers with the same chunks take their row locks in the same order.
    values = [
        {
            "digest": row.digest,
            "store_id": store_id,
            "pack_id": pack_id,
            "offset": row.offset,
            "stored_bytes": row.stored_bytes,
            "length_bytes": row.length_bytes,
            "encoding": row.encoding,
            "marked_at": None,
        }
        for row in sorted(rows, key=lambda row: row.digest)
    ]
    if values:
        tx.execute(_build_put(tx.dialect.name, only_marked=only_marked), values)


@cache
def _build_put(dialect: str, *, only_marked: bool) -> Insert:
    """Build the statement that enters a chunk, or moves it to another place if it is there."""
    statement = choose_insert(dialect)(chunks)
    places = ("pack_id", "offset", "stored_bytes", "length_bytes", "encoding")
    new: Mapping[str, object] = {name: statement.excluded[name] for name in places} | {"marked_at": null()}
    return statement.on_conflict_do_update(
        index_elements=["digest", "store_id"],
        set_=new,
        where=chunks.c.marked_at.is_not(None) if only_marked else None,
    )


def _lock(tx: Transaction, store_id: StoreID, part: list[ChunkDigest]) -> set[ChunkDigest]:
    """Lock chunks in the order of their digests, so that two transactions never deadlock; return those that exist."""
    mine = (chunks.c.digest.in_(part), chunks.c.store_id == store_id)
    statement = select(chunks.c.digest).where(*mine).order_by(chunks.c.digest).with_for_update()
    return {ChunkDigest(bytes(digest)) for digest in tx.execute(statement).scalars()}


def _split(values: Collection[_Value]) -> Iterator[list[_Value]]:
    """Yield the values in order, in lists of a few lengths; the last value fills a list up, which changes no `IN`.

    SQLite keeps compiled statements, one for each length: those of lists of every length had 3 MiB for each connection.
    """
    ordered = sorted(values)
    for first in range(0, len(ordered), _IN_ONE_STATEMENT):
        part = ordered[first : first + _IN_ONE_STATEMENT]
        length = next(each for each in _LENGTHS if len(part) <= each)
        yield part + part[-1:] * (length - len(part))


def _bind_digests(digests: Collection[ChunkDigest], count: int) -> Iterator[dict[str, ChunkDigest]]:
    """Bind digests to `count` parameters; the last digest fills the remaining ones."""
    ordered = sorted(digests)
    for first in range(0, len(ordered), count):
        part = ordered[first : first + count]
        part += part[-1:] * (count - len(part))
        yield {f"digest_{number}": digest for number, digest in enumerate(part)}
