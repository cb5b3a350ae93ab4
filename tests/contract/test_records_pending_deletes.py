"""Rows of images that wait to be scrubbed: whole, once, and named by nobody else."""

from datetime import datetime, timedelta

import pytest

from partage import problems
from partage.content.digest import Digests
from partage.content.manifest import Content
from partage.model.ids import ContentID, ProjectID, StoreID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.member import MemberStatus
from partage.records import contents, images, members, pending_deletes
from partage.records.database import Database, Transaction
from tests.contract.records_worlds import START, Share, build, caller, image, undone

CONTENT = ContentID("content")
IMAGE = image(
    1, status=ImageStatus.ACTIVE, size=5, content_id=CONTENT, stores=(StoreID("a_b"),), tags=("t",), properties={"p": "ä"},
    visibility=Visibility.SHARED, checksum="m", external_url="https://host/", min_disk=3, protected=False,
)  # fmt: skip
MINUTE = timedelta(minutes=1)


def deleted(tx: Transaction) -> None:
    contents.add(tx, CONTENT, Content(size_bytes=5, digests=Digests(md5="m"), virtual_size_bytes=None), [], now=START)
    build(tx, [IMAGE], [Share(IMAGE, "B", MemberStatus.ACCEPTED), Share(IMAGE, "C", MemberStatus.REJECTED)])
    pending_deletes.add(tx, IMAGE, members.list_all(tx, IMAGE.id), now=START)
    images.soft_delete(tx, IMAGE)


def test_pending_delete_is_restored_once(database: Database) -> None:
    with undone(database) as tx:
        deleted(tx)
        found = pending_deletes.take(tx, IMAGE.id)
        again = pending_deletes.take(tx, IMAGE.id)
    assert found is not None
    assert found[0] == IMAGE
    assert [(each.member_id, each.status, each.created_at) for each in found[1]] == [
        ("B", MemberStatus.ACCEPTED, START),
        ("C", MemberStatus.REJECTED, START),
    ]
    assert again is None


def test_pending_delete_is_due_at_its_time(database: Database) -> None:
    with undone(database) as tx:
        deleted(tx)
        early = (pending_deletes.are_due(tx, START - MINUTE), pending_deletes.remove(tx, deleted_before=START - MINUTE))
        late = (pending_deletes.are_due(tx, START), pending_deletes.remove(tx, deleted_before=START))
        assert (early, late) == ((False, 0), (True, 1))
        assert not pending_deletes.are_due(tx, START)


def test_their_content_stays_named_until_they_are_gone(database: Database) -> None:
    with undone(database) as tx:
        deleted(tx)
        contents.mark_unnamed(tx, now=START)
        assert contents.remove_unnamed(tx, unnamed_before=START) == 0
        assert [each.id for each in pending_deletes.list_by_content(tx, CONTENT)] == [IMAGE.id]
        pending_deletes.remove(tx, deleted_before=START)
        contents.mark_unnamed(tx, now=START)
        assert contents.remove_unnamed(tx, unnamed_before=START) == 1


def test_a_restored_image_is_found_again(database: Database) -> None:
    with undone(database) as tx:
        deleted(tx)
        pending_deletes.take(tx, IMAGE.id)
        images.add(tx, IMAGE)
        assert images.find_for_work(tx, IMAGE.id) == IMAGE


def test_their_id_is_taken_while_they_wait_and_afterwards(database: Database) -> None:
    for scrubbed in (False, True):
        with undone(database) as tx:
            deleted(tx)
            if scrubbed:
                pending_deletes.remove(tx, deleted_before=START)
            with pytest.raises(problems.ImageExists):
                images.add(tx, IMAGE)


def test_pending_delete_is_found_by_its_project_until_a_time(database: Database) -> None:
    with undone(database) as tx:
        mine, taken = image(1), image(2)
        build(tx, [mine, taken])
        for each, restorable_by in ((mine, ProjectID("A")), (taken, None)):
            pending_deletes.add(tx, each, [], now=START, restorable_by=restorable_by)
            images.soft_delete(tx, each)

        def is_found(project: str, which: Image, *, is_admin: bool = False, deleted_after: datetime = START - MINUTE) -> bool:
            who = caller(project, is_admin=is_admin)
            return pending_deletes.find_restorable(tx, who, which.id, deleted_after=deleted_after) is not None

        assert [is_found("A", mine), is_found("B", mine), is_found("Z", mine, is_admin=True)] == [True, False, True]
        assert [is_found("A", taken), is_found("Z", taken, is_admin=True)] == [False, True]
        assert not is_found("A", mine, deleted_after=START)
