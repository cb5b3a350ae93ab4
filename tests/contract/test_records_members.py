"""Rows of members: who sees which, and what cannot happen twice."""

from datetime import timedelta
from threading import Barrier, Thread

import pytest

from partage import problems
from partage.model.ids import ProjectID
from partage.model.member import Member, MemberStatus
from partage.records import images, members
from partage.records.database import Database
from tests.contract.records_worlds import START, Share, build, caller, empty, image, undone

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
