"""Rows of members: who sees which, and what cannot happen twice."""

from datetime import timedelta
from threading import Barrier, Thread

import pytest

from partage import problems
from partage.model.ids import ProjectID
from partage.model.member import Member, MemberStatus
from partage.records import endings, images, members
from partage.records.database import Database
from tests.contract.records_worlds import START, Notice, Share, build, caller, empty, image, undone

SHARED = image(1, owner="A")


def test_the_owner_sees_every_member_and_a_member_only_itself(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [SHARED], [Share(SHARED, each, MemberStatus.PENDING) for each in ("B", "C")])
        seen = {who: [each.member_id for each in members.list_members(tx, caller(who), SHARED.id, now=START)] for who in "ABCD"}
    assert seen == {"A": ["B", "C"], "B": ["B"], "C": ["C"], "D": []}


def test_another_members_row_is_not_found(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [SHARED], [Share(SHARED, each, MemberStatus.PENDING) for each in ("B", "C")])
        with pytest.raises(problems.MemberNotFound, match="C not found in the member list"):
            members.find(tx, caller("B"), SHARED.id, ProjectID("C"), now=START)


def test_an_answer_is_kept(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [SHARED], [Share(SHARED, "B", MemberStatus.PENDING)])
        row = members.find(tx, caller("B"), SHARED.id, ProjectID("B"), now=START)
        later = START + timedelta(hours=1)
        members.set_status(tx, row.become(MemberStatus.ACCEPTED, now=later))
        found = members.find(tx, caller("A"), SHARED.id, ProjectID("B"), now=START)
    assert (found.status, found.created_at, found.updated_at) == (MemberStatus.ACCEPTED, START, later)


def test_of_many_parallel_offers_to_one_project_exactly_one_is_made(database: Database) -> None:
    """Glance's unique key holds a NULL, under which two rows can both be unique."""
    empty(database)
    with database.write() as tx:
        build(tx, [SHARED])
    start, outcomes = Barrier(8), []

    def offer() -> None:
        row = Member(image_id=SHARED.id, member_id=ProjectID("B"), created_at=START, updated_at=START)
        start.wait()
        try:
            with database.write() as tx:
                members.add(tx, row, SHARED)
        except problems.MemberExists:
            outcomes.append("exists")
        else:
            outcomes.append("made")

    threads = [Thread(target=offer) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    with database.read() as tx:
        count = members.count(tx, SHARED.id)
    empty(database)
    assert sorted(outcomes) == ["exists"] * 7 + ["made"]
    assert count == 1


def test_deleted_image_loses_its_members_and_its_id_stays_used(database: Database) -> None:
    with undone(database) as tx:
        build(tx, [SHARED], [Share(SHARED, "B", MemberStatus.ACCEPTED)])
        images.remove(tx, SHARED)
        assert members.count(tx, SHARED.id) == 0
        with pytest.raises(problems.ImageExists):
            images.add(tx, SHARED)


def test_rows_that_another_transaction_has_locked_are_left_for_later(database: Database) -> None:
    """Jobs that deleted expired rows waited for each other in a circle."""
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    empty(database)
    with database.write() as tx:
        build(
            tx,
            [SHARED],
            [Share(SHARED, each, MemberStatus.ACCEPTED, expires_at=START) for each in ("B", "C")],
            [Notice(SHARED, each, MemberStatus.ACCEPTED, ends_at=START) for each in ("D", "E")],
        )
    with undone(database) as other, undone(database) as tx:
        members.take(other, SHARED.id, ProjectID("B"))
        endings.remove(other, SHARED.id, ProjectID("D"))
        assert [each.member_id for each, _owner in members.take_expired(tx, now=START, limit_rows=9)] == ["C"]
        assert [each.member_id for each, _owner in endings.take_over(tx, now=START, limit_rows=9)] == ["E"]
    with undone(database) as tx:
        assert len(members.take_expired(tx, now=START, limit_rows=9)) == len(endings.take_over(tx, now=START, limit_rows=9)) == 2
    empty(database)
