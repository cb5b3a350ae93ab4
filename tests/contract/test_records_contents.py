"""Contents, manifests and the chunk index: what a writer finds, and what the sweep may take."""

from datetime import timedelta

from sqlalchemy import event

from partage.content.digest import Digests
from partage.content.manifest import Content, Segment
from partage.model.ids import ChunkDigest, ContentID, PackID, ProjectID, StoreID
from partage.model.image import ImageStatus
from partage.model.member import MemberStatus
from partage.records import content_references, contents, exclusive_chunks, images, pending_deletes, stagings, tables
from partage.records.contents import ChunkRow, PackRow
from partage.records.database import Database
from partage.records.stagings import Staging
from tests.contract.records_worlds import START, Notice, build, image, undone

STORE = StoreID("local")
ONE, TWO, THREE = (ChunkDigest(bytes([number]) * 32) for number in (1, 2, 3))
CONTENT = Content(size_bytes=30, digests=Digests(md5="m", sha512="h"), virtual_size_bytes=None)


def pack(number: int) -> PackRow:
    return PackRow(PackID(f"{number:032x}"), 100, None)


def rows(*digests: ChunkDigest) -> list[ChunkRow]:
    return [ChunkRow(digest, 10 * number, 10, 20, 0) for number, digest in enumerate(digests)]


def test_a_range_finds_only_the_segments_that_cover_it(database: Database) -> None:
    segments = [Segment(start, f"from {start}".encode()) for start in (0, 10, 20)]
    with undone(database) as tx:
        contents.add(tx, ContentID("c"), CONTENT, segments, now=START)
        found = {
            span: [each.start for each in contents.find_segments(tx, ContentID("c"), *span, limit_rows=9)]
            for span in [(0, 30), (0, 10), (9, 11), (10, 20), (25, 30), (19, 20)]
        }
    assert found == {(0, 30): [0, 10, 20], (0, 10): [0], (9, 11): [0, 10], (10, 20): [10], (25, 30): [20], (19, 20): [10]}


def test_lists_of_chunks_of_any_length_need_few_statements(database: Database) -> None:
    """SQLite keeps compiled statements in memory, one for each text."""
    statements: set[str] = set()
    digests = [ChunkDigest(number.to_bytes(32, "big")) for number in range(300)]
    with undone(database) as tx:
        contents.add_pack(tx, STORE, pack(1), rows(*digests), now=START)
        event.listen(tx, "before_cursor_execute", lambda _tx, _cursor, sql, *_rest: statements.add(sql))
        for length in range(1, 300, 7):
            assert contents.unmark(tx, STORE, digests[:length]) == set(digests[:length])
            contents.remove_intents(tx, [PackID(f"{number:032x}") for number in range(length)])
    assert 3 <= len(statements) <= 12


def test_a_chunk_keeps_its_first_place_when_a_second_pack_brings_it_again(database: Database) -> None:
    with undone(database) as tx:
        contents.add_pack(tx, STORE, pack(1), rows(ONE, TWO), now=START)
        contents.add_pack(tx, STORE, pack(2), rows(TWO, THREE), now=START)
        places = contents.locate(tx, STORE, {ONE, TWO, THREE})
    assert {digest: place.pack_id for digest, place in places.items()} == {ONE: pack(1).id, TWO: pack(1).id, THREE: pack(2).id}


def test_the_index_of_one_store_knows_nothing_of_another(database: Database) -> None:
    with undone(database) as tx:
        contents.add_pack(tx, STORE, pack(1), rows(ONE), now=START)
        assert contents.find_stored(tx, StoreID("other"), {ONE}) == set()
        assert contents.locate(tx, StoreID("other"), {ONE}) == {}


def test_marked_chunk_is_not_deduplicated_and_is_stored_again(database: Database) -> None:
    with undone(database) as tx:
        contents.add_pack(tx, STORE, pack(1), rows(ONE, TWO), now=START)
        contents.mark(tx, STORE, {ONE}, now=START)
        assert contents.find_stored(tx, STORE, {ONE, TWO}) == {TWO}
        contents.add_pack(tx, STORE, pack(2), rows(ONE), now=START)
        assert contents.locate(tx, STORE, {ONE})[ONE].pack_id == pack(2).id
        assert contents.find_stored(tx, STORE, {ONE}) == {ONE}


def test_unmarking_clears_the_mark_and_returns_missing_chunks(database: Database) -> None:
    with undone(database) as tx:
        contents.add_pack(tx, STORE, pack(1), rows(ONE, TWO), now=START)
        contents.mark(tx, STORE, {ONE, TWO}, now=START)
        assert contents.unmark(tx, STORE, {ONE, THREE}) == {ONE}
        assert contents.remove_marked(tx, STORE, {ONE: START, TWO: START}) == 1
        assert contents.find_stored(tx, STORE, {ONE, TWO}) == {ONE}


def test_chunk_marked_again_gets_a_new_mark_time(database: Database) -> None:
    with undone(database) as tx:
        contents.add_pack(tx, STORE, pack(1), rows(ONE), now=START)
        contents.mark(tx, STORE, {ONE}, now=START)
        contents.unmark(tx, STORE, {ONE})
        contents.mark(tx, STORE, {ONE}, now=START + timedelta(seconds=1))
        assert contents.remove_marked(tx, STORE, {ONE: START}) == 0
        assert contents.remove_marked(tx, STORE, {ONE: START + timedelta(seconds=1)}) == 1


def test_only_packs_without_chunks_are_retired(database: Database) -> None:
    with undone(database) as tx:
        contents.add_pack(tx, STORE, pack(1), rows(ONE), now=START)
        contents.add_pack(tx, STORE, pack(2), rows(TWO), now=START)
        contents.mark(tx, STORE, {ONE}, now=START)
        contents.remove_marked(tx, STORE, {ONE: START})
        assert contents.retire_empty_packs(tx, STORE, now=START) == 1
        assert [each.retired_at for each in contents.list_packs(tx, STORE)] == [START, None]


def test_only_contents_that_no_image_names_are_forgotten(database: Database) -> None:
    with undone(database) as tx:
        for name in ("kept", "dropped"):
            contents.add(tx, ContentID(name), CONTENT, [Segment(0, name.encode())], now=START)
        build(tx, [image(1, content_id=ContentID("kept"), stores=(STORE,))])
        assert [each.encoded for each in contents.walk_live_segments(tx, STORE)] == [b"kept"]
        assert list(contents.walk_live_segments(tx, StoreID("other"))) == []
        contents.mark_unnamed(tx, now=START)
        assert contents.remove_unnamed(tx, unnamed_before=START - timedelta(seconds=1)) == 0
        assert contents.remove_unnamed(tx, unnamed_before=START) == 1
        assert [each.id for each in contents.page_contents(tx)] == [ContentID("kept")]
        assert contents.find_segments(tx, ContentID("dropped"), 0, 30, limit_rows=9) == []
        assert [each.id for each in images.list_by_content(tx, ContentID("kept"))] == [image(1).id]


def test_every_column_that_names_contents_is_listed() -> None:
    """Manifests belong to their content: they are deleted with it and do not keep it."""
    naming = {
        column
        for table in tables.metadata.tables.values()
        for column in table.columns
        if any(key.column is tables.contents.c.id for key in column.foreign_keys)
    }
    assert naming - {tables.manifests.c.content_id} == {each.column for each in content_references.REFERENCES}


def test_project_knows_contents_of_its_own_and_its_retained_images(database: Database) -> None:
    """Each content has one segment, whose start says which it is."""
    owners = ("A", "A", "A", "B", "A")
    mine, own, retained, foreign, deleted = (
        image(number, owner, content_id=ContentID(f"c{number}"), stores=(STORE,), status=ImageStatus.ACTIVE)
        for number, owner in enumerate(owners, 1)
    )
    staged = image(6)
    with undone(database) as tx:
        for number in range(1, 7):
            contents.add(tx, ContentID(f"c{number}"), CONTENT, [Segment(number, b"")], now=START)
        notice = Notice(retained, "C", MemberStatus.ACCEPTED, None)
        build(tx, [mine, own, retained, foreign, deleted, staged], notices=[notice])
        images.save(tx, retained.retain(now=START), was=retained)
        stagings.put(tx, Staging(staged.id, ContentID("c6"), STORE, 30))
        pending_deletes.add(tx, deleted, [], now=START)
        images.remove(tx, deleted)
        walks = {
            project: {
                each.start for each in exclusive_chunks.walk_segments_of_others(tx, mine.id, STORE, limit_rows=9, known_to=project)
            }
            for project in (ProjectID("A"), ProjectID("B"), ProjectID("C"), None)
        }
        names = [
            exclusive_chunks.is_named_by_others(tx, ContentID(f"c{number}"), mine.id, STORE, known_to=ProjectID("A"))
            for number in range(1, 7)
        ]
    assert walks == {"A": {2, 3, 6}, "B": {4}, "C": set(), None: {2, 3, 4, 5, 6}}
    assert names == [False, True, True, False, False, True]
