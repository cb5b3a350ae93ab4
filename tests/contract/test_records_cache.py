"""What nodes have near and are to fetch, on both databases."""

from dataclasses import replace
from datetime import timedelta

from partage.content.digest import Digests
from partage.content.manifest import Content
from partage.model.ids import ContentID, ImageID
from partage.records import cache, contents, images
from partage.records.database import Database
from tests.contract.records_worlds import START, build, image, undone

ONE, TWO = image(1, size=10, checksum="md5 of one"), image(2)
HERE, THERE = "http://here:9292", "http://there:9292"
LATER = START + timedelta(seconds=5, microseconds=7)


def test_cache_note_includes_the_images_attributes(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [ONE, TWO])
        cache.note(tx, HERE, TWO.id, now=LATER)
        cache.note(tx, HERE, ONE.id, now=START)
        first, second = cache.list_entries(tx, HERE)
    assert (first.image.image_id, first.image.size, first.image.checksum) == (ONE.id, 10, "md5 of one")
    assert (first.content_id, second.content_id) == (ONE.content_id, TWO.content_id)
    assert (second.image.hits, second.image.size, second.image.checksum) == (0, 0, None)
    assert second.image.last_accessed == second.image.last_modified == LATER


def test_second_note_counts_a_hit_and_keeps_the_first_time(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [ONE])
        for moment in (START, LATER, LATER):
            cache.note(tx, HERE, ONE.id, now=moment)
        [found] = cache.list_entries(tx, HERE)
    assert (found.image.hits, found.image.last_modified, found.image.last_accessed) == (2, START, LATER)


def test_nodes_are_kept_apart(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [ONE, TWO])
        for node in (THERE, HERE):
            cache.note(tx, node, ONE.id, now=START)
            cache.note(tx, node, TWO.id, now=START)
            cache.queue(tx, node, TWO.id, now=START)
        assert cache.list_nodes(tx, ONE.id) == [HERE, THERE]
        cache.remove(tx, HERE, ONE.id)
        assert cache.list_nodes(tx, ONE.id) == [THERE]
        cache.clear(tx, HERE)
        cache.clear_queue(tx, HERE)
        assert (cache.list_entries(tx, HERE), cache.list_queued(tx, HERE)) == ([], [])
        assert (len(cache.list_entries(tx, THERE)), cache.list_queued(tx, THERE)) == (2, [TWO.id])


def test_renewed_cache_note_is_not_removed(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [ONE])
        cache.note(tx, HERE, ONE.id, now=START)
        [seen] = cache.list_entries(tx, HERE)
        cache.note(tx, HERE, ONE.id, now=LATER)
        cache.remove_untouched(tx, HERE, seen.image)
        [renewed] = cache.list_entries(tx, HERE)
        cache.remove_untouched(tx, HERE, renewed.image)
        assert cache.list_entries(tx, HERE) == []


def test_the_queue_is_in_order_and_keeps_places(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [ONE, TWO])
        cache.queue(tx, HERE, TWO.id, now=START)
        cache.queue(tx, HERE, ONE.id, now=START + timedelta(seconds=1))
        cache.queue(tx, HERE, TWO.id, now=LATER)
        assert cache.list_queued(tx, HERE) == [TWO.id, ONE.id]
        cache.defer(tx, HERE, TWO.id, now=LATER)
        assert cache.list_queued(tx, HERE) == [ONE.id, TWO.id]
        assert [cache.unqueue(tx, HERE, ONE.id), cache.unqueue(tx, HERE, ONE.id)] == [True, False]
        assert cache.list_queued(tx, HERE) == [TWO.id]


def test_removed_image_is_neither_cached_nor_queued(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [ONE, TWO])
        for each in (ONE, TWO):
            cache.note(tx, HERE, each.id, now=START)
            cache.queue(tx, HERE, each.id, now=START)
        images.remove(tx, ONE)
        assert [entry.image.image_id for entry in cache.list_entries(tx, HERE)] == [TWO.id]
        assert cache.list_queued(tx, HERE) == [TWO.id]
        assert cache.list_nodes(tx, ImageID(ONE.id)) == []


def test_contents_without_an_image_are_not_used(database: Database) -> None:
    content = Content(size_bytes=10, digests=Digests(md5="m", sha512="t"), virtual_size_bytes=None)
    used, unused = ContentID("used"), ContentID("unused")
    with undone(database) as tx:
        for each in (used, unused):
            contents.add(tx, each, content, [], now=START)
        build(tx, [replace(ONE, content_id=used), TWO])
        many = {ContentID(f"{number:032x}") for number in range(2000)}
        assert contents.find_used(tx, {used, unused} | many) == {used}
