"""Rows of projects that are to be closed, what a project owns, and what it has received."""

from dataclasses import replace
from datetime import timedelta

from partage.model.closing import ClosingRequest, ClosingSource
from partage.model.ids import ImageID, ProjectID, TaskID
from partage.model.member import MemberStatus
from partage.model.metadef import Namespace
from partage.model.offer import RequestKey
from partage.model.task import Task, TaskStatus, TaskType
from partage.model.use import Use, UseKey, UseKind
from partage.records import closings, idempotency, images, members, metadefs, project_references, tasks, uses
from partage.records.database import Database
from tests.contract.records_worlds import START, Notice, Share, build, image, undone

A, B = ProjectID("A"), ProjectID("B")
MINUTE = timedelta(minutes=1)
REQUEST = ClosingRequest(project_id=A, source=ClosingSource.NOTIFICATION, requested_at=START, due_at=START + MINUTE)


def test_request_is_due_at_its_time_and_claimed_once(database: Database) -> None:
    with undone(database) as tx:
        closings.put(tx, replace(REQUEST, due_at=START))
        closings.put(tx, REQUEST)
        assert closings.find_due(tx, now=START) is None
        assert closings.find_due(tx, now=START + MINUTE) == REQUEST
        assert closings.postpone(tx, REQUEST, START + 2 * MINUTE)
        assert not closings.postpone(tx, REQUEST, START + 3 * MINUTE)
        assert closings.find_due(tx, now=START + MINUTE) is None
        assert closings.remove(tx, A)
        assert not closings.remove(tx, A)


def test_request_that_is_due_for_longest_comes_first(database: Database) -> None:
    with undone(database) as tx:
        closings.put(tx, REQUEST)
        closings.put(tx, replace(REQUEST, project_id=B, due_at=START))
        assert closings.find_due(tx, now=START + MINUTE) == replace(REQUEST, project_id=B, due_at=START)


def test_owned_images_are_paged_oldest_first(database: Database) -> None:
    owned = [image(number) for number in (1, 2, 3)]
    owned[1] = replace(owned[1], created_at=owned[0].created_at)
    with undone(database) as tx:
        build(tx, [*owned, image(4, owner="B")], [])
        assert [each.id for each in images.list_owned(tx, A, limit_rows=2)] == [owned[0].id, owned[1].id]
        assert images.list_owned(tx, A, after=owned[0], limit_rows=2) == [owned[1], owned[2]]
        assert images.list_owned(tx, A, after=owned[2], limit_rows=2) == []


def test_received_images_are_offers_and_notices(database: Database) -> None:
    made = [image(number) for number in range(1, 5)]
    with undone(database) as tx:
        shares = [Share(each, "B", MemberStatus.PENDING, hidden=each is made[0]) for each in made[:2]]
        notices = [Notice(each, "B", MemberStatus.ACCEPTED, None) for each in made[1:3]]
        build(tx, made, shares, notices)
        assert closings.list_received_image_ids(tx, B, limit_rows=10) == [each.id for each in made[:3]]
        assert closings.count_received(tx, B) == 3
        assert len(closings.list_received_image_ids(tx, B, limit_rows=1)) in (1, 2)
        assert closings.list_received_image_ids(tx, A, limit_rows=10) == []
        taken = members.take(tx, made[0].id, B)
        assert taken is not None
        assert taken.member_id == B
        assert members.take(tx, made[0].id, B) is None


def test_records_of_a_project_are_removed_and_others_stay(database: Database) -> None:
    with undone(database) as tx:
        for project in (A, B):
            idempotency.add(tx, project, RequestKey("k", "r"), idempotency.Answer("answer"), now=START)
            for number in range(3):
                key = UseKey(image_id=ImageID(f"{number}"), project_id=project, kind=UseKind.SERVER, use_id="s")
                uses.put(tx, Use(key, recorded_at=START, last_seen=START))
        assert project_references.count_records(tx, A) == 7
        assert project_references.remove_records(tx, A, limit_rows=2) == 5
        assert project_references.remove_records(tx, A, limit_rows=2) == 2
        assert project_references.remove_records(tx, A, limit_rows=2) == 0
        assert project_references.count_records(tx, B) == 7


def test_private_namespaces_are_listed_apart_from_public_ones(database: Database) -> None:
    with undone(database) as tx:
        for name, owner, is_public in (("b", A, False), ("a", A, False), ("c", A, True), ("d", B, False)):
            metadefs.add(tx, Namespace(name=name, owner=owner, public=is_public, created_at=START, updated_at=START))
        assert [each.name for each in metadefs.list_private(tx, A, limit_rows=5)] == ["a", "b"]
        assert (metadefs.count_owned(tx, A, public=True), metadefs.count_owned(tx, A, public=False)) == (1, 2)


def test_ended_task_loses_its_claim_and_ends_once(database: Database) -> None:
    task = Task(id=TaskID("t"), type=TaskType.API_IMAGE_IMPORT, owner=A, created_at=START, updated_at=START)
    with undone(database) as tx:
        tasks.add(tx, task, roles=(), sealed_token="secret")
        assert tasks.claim_this(tx, task, claim="c", worker="w", now=START)
        ended = tasks.end(tx, task.id, "because", now=START)
        assert ended is not None
        assert (ended.status, ended.message) == (TaskStatus.FAILURE, "because")
        assert tasks.find(tx, task.id) == ended
        assert tasks.find_claimed(tx, task.id, "c") is None
        assert tx.exec_driver_sql("SELECT sealed_token FROM tasks WHERE id = 't'").scalar_one() is None
        assert tasks.end(tx, task.id, "again", now=START) is None
        assert tasks.end(tx, TaskID("other"), "because", now=START) is None
