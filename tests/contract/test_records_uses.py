"""Rows of uses: recorded once, counted by project, removed with their image; and the last use and download of each project."""

from datetime import datetime, timedelta

from partage.model.ids import ImageID, ProjectID
from partage.model.member import MemberStatus
from partage.model.use import ImageUses, ProjectUses, Use, UseKey, UseKind
from partage.records import images, members, pending_deletes, uses
from partage.records.database import Database, Transaction
from tests.contract.records_worlds import START, Notice, Share, build, image, undone

A, B, C = ProjectID("A"), ProjectID("B"), ProjectID("C")
IMAGE, OTHER = image(1), image(2)
MINUTE = timedelta(minutes=1)
ACCEPTED = MemberStatus.ACCEPTED


def key_of(use_id: str, project: ProjectID = B, kind: UseKind = UseKind.SERVER, *, of: ImageID = IMAGE.id) -> UseKey:
    return UseKey(image_id=of, project_id=project, kind=kind, use_id=use_id)


def put(tx: Transaction, key: UseKey, seen: datetime = START) -> None:
    """Record a use at the time at which it is seen."""
    uses.put(tx, Use(key, seen, seen))


def list_ids(tx: Transaction, project: ProjectID = B, of: ImageID = IMAGE.id) -> list[str]:
    return [each.key.use_id for each in uses.list_of_project(tx, of, project, limit_rows=100)]


def test_use_is_recorded_once_and_keeps_its_latest_time(database: Database) -> None:
    with undone(database) as tx:
        for seen in (START, START + MINUTE, START - MINUTE):
            put(tx, key_of("s1"), seen)
        found = uses.list_of_project(tx, IMAGE.id, B, limit_rows=9)
        assert found == [Use(key_of("s1"), START, START + MINUTE)] == [uses.find(tx, key_of("s1"))]
        assert uses.find_of_project(tx, IMAGE.id, B) == ProjectUses(
            project_id=B, counts={UseKind.SERVER: 1}, last_used=START + MINUTE
        )


def test_use_is_not_removed_by_older_news(database: Database) -> None:
    with undone(database) as tx:
        put(tx, key_of("s1"), START + MINUTE)
        assert not uses.remove(tx, key_of("s1"), seen_until=START)
        assert not uses.remove(tx, key_of("s1", C), seen_until=START + MINUTE)
        assert uses.has_any(tx, IMAGE.id, B)
        assert uses.remove(tx, key_of("s1"), seen_until=START + MINUTE)
        assert not uses.remove(tx, key_of("s1"), seen_until=START + MINUTE)
        assert uses.find(tx, key_of("s1")) is None
        assert not uses.has_any(tx, IMAGE.id, B)


def test_uses_are_counted_by_project_and_kind(database: Database) -> None:
    with undone(database) as tx:
        for each in (key_of("s1"), key_of("s2"), key_of("v1", kind=UseKind.VOLUME), key_of("s3", C)):
            put(tx, each)
        put(tx, key_of("s4", of=OTHER.id))
        uses.note_use(tx, IMAGE.id, A, now=START)
        both = {UseKind.SERVER: 2, UseKind.VOLUME: 1}
        expected = [
            ProjectUses(project_id=A, last_used=START),
            ProjectUses(project_id=B, counts=both, last_used=START),
            ProjectUses(project_id=C, counts={UseKind.SERVER: 1}, last_used=START),
        ]
        assert uses.list_by_project(tx, IMAGE.id) == expected
        assert [each.has_uses for each in expected] == [False, True, True]
        assert (uses.count(tx, IMAGE.id, B), uses.count(tx, IMAGE.id, A)) == (3, 0)


def test_owner_sees_uses_of_members_by_name_and_of_others_as_a_number(database: Database) -> None:
    accepted, expired, ended, removed, downloader = (ProjectID(each) for each in "BCDEF")
    world = [Share(IMAGE, accepted, ACCEPTED), Share(IMAGE, expired, ACCEPTED, expires_at=START)]
    notices = [Notice(IMAGE, ended, ACCEPTED, ends_at=START + MINUTE), Notice(IMAGE, removed, ACCEPTED, ends_at=START)]
    with undone(database) as tx:
        build(tx, [IMAGE, OTHER], world, notices)
        for each in (A, accepted, expired, ended, removed):
            put(tx, key_of("s", each))
            put(tx, key_of("s", each, of=OTHER.id))
        uses.note_exceeded(tx, IMAGE.id, ProjectID("G"), now=START)
        uses.note_downloads(tx, {(IMAGE.id, downloader): START})
        found = uses.list_for_owner(tx, IMAGE.id, A, now=START, limit_rows=9)
        assert [(each.project_id, each.counts) for each in found] == [(each, {UseKind.SERVER: 1}) for each in (A, accepted, ended)]
        assert uses.list_for_owner(tx, IMAGE.id, A, now=START, limit_rows=1, after=A) == found[1:2]
        assert uses.count_others(tx, IMAGE.id, A, now=START) == 3
        assert uses.count_others(tx, OTHER.id, A, now=START) == 4


def test_uses_of_a_project_are_listed_in_pages(database: Database) -> None:
    with undone(database) as tx:
        for each in (key_of("b"), key_of("a"), key_of("a", kind=UseKind.VOLUME), key_of("a", C)):
            put(tx, each)
        first = uses.list_of_project(tx, IMAGE.id, B, limit_rows=2)
        rest = uses.list_of_project(tx, IMAGE.id, B, limit_rows=9, after=(first[-1].key.kind, first[-1].key.use_id))
    assert [(each.key.kind, each.key.use_id) for each in [*first, *rest]] == [("server", "a"), ("server", "b"), ("volume", "a")]


def test_project_with_unrecorded_uses_counts_as_user_until_cleared(database: Database) -> None:
    with undone(database) as tx:
        uses.note_exceeded(tx, IMAGE.id, B, now=START)
        found = uses.find_of_project(tx, IMAGE.id, B)
        assert uses.has_any(tx, IMAGE.id, B)
        assert (found.has_uses, found.is_complete) == (True, False)
        assert not uses.clear_exceeded(tx, IMAGE.id, B, before=START)
        assert uses.clear_exceeded(tx, IMAGE.id, B, before=START + MINUTE)
        assert not uses.has_any(tx, IMAGE.id, B)


def test_last_download_never_goes_back_and_needs_an_image(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [IMAGE])
        later = {(IMAGE.id, B): START + MINUTE, (OTHER.id, B): START}
        uses.note_downloads(tx, later)
        uses.note_downloads(tx, {(IMAGE.id, B): START, (IMAGE.id, C): START})
        found = uses.list_by_project(tx, IMAGE.id)
        assert [(each.project_id, each.last_download, each.latest) for each in found] == [
            (B, START + MINUTE, START + MINUTE),
            (C, START, START),
        ]
        assert uses.list_by_project(tx, OTHER.id) == []


def test_uses_are_removed_with_their_image(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [IMAGE, OTHER])
        put(tx, key_of("s1"))
        put(tx, key_of("s1", of=OTHER.id))
        images.remove(tx, IMAGE)
        assert (list_ids(tx), uses.list_by_project(tx, IMAGE.id)) == ([], [])
        assert list_ids(tx, of=OTHER.id) == ["s1"]


def test_uses_outlive_an_image_that_can_be_restored(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [IMAGE])
        put(tx, key_of("s1"))
        pending_deletes.add(tx, IMAGE, members.list_all(tx, IMAGE.id), now=START)
        images.soft_delete(tx, IMAGE)
        assert list_ids(tx) == ["s1"]
        pending_deletes.remove(tx, deleted_before=START)
        assert (list_ids(tx), uses.list_by_project(tx, IMAGE.id)) == ([], [])


def test_all_uses_seen_until_a_time_are_listed_in_pages(database: Database) -> None:
    with undone(database) as tx:
        old = [key_of("s1"), key_of("s2"), key_of("v1", kind=UseKind.VOLUME), key_of("s1", C), key_of("s1", of=OTHER.id)]
        for each in old:
            put(tx, each)
        put(tx, key_of("s3"), START + MINUTE)
        found: list[UseKey] = []
        for size in (2, 2, 2):
            page = uses.list_all(tx, seen_until=START, limit_rows=size, after=found[-1] if found else None)
            found += page
        assert len(page) == 1
    assert sorted(found, key=repr) == sorted(old, key=repr)


def test_uses_are_counted_by_image_in_pages(database: Database) -> None:
    with undone(database) as tx:
        for each in (key_of("s1"), key_of("s2", C), key_of("v1", kind=UseKind.VOLUME), key_of("s1", of=OTHER.id)):
            put(tx, each)
        expected = sorted(
            [
                ImageUses(image_id=IMAGE.id, kind=UseKind.SERVER, uses=2, projects=2),
                ImageUses(image_id=IMAGE.id, kind=UseKind.VOLUME, uses=1, projects=1),
                ImageUses(image_id=OTHER.id, kind=UseKind.SERVER, uses=1, projects=1),
            ],
            key=lambda each: (each.image_id, each.kind),
        )
        first = uses.count_by_image(tx, limit_rows=2)
        rest = uses.count_by_image(tx, limit_rows=2, after=(first[-1].image_id, first[-1].kind))
    assert [*first, *rest] == expected


def test_projects_with_unrecorded_uses_are_listed_in_pages(database: Database) -> None:
    with undone(database) as tx:
        for of, project, moment in ((IMAGE, B, START), (IMAGE, C, START), (OTHER, B, START), (OTHER, C, START + MINUTE)):
            uses.note_exceeded(tx, of.id, project, now=moment)
        uses.note_use(tx, IMAGE.id, A, now=START)
        first = uses.list_exceeded(tx, before=START + MINUTE, limit_rows=2)
        rest = uses.list_exceeded(tx, before=START + MINUTE, limit_rows=2, after=first[-1])
        assert uses.list_exceeded(tx, before=START, limit_rows=2) == []
    assert [*first, *rest] == sorted([(IMAGE.id, B), (IMAGE.id, C), (OTHER.id, B)])
