"""Which shares an inbox, an outbox and a look-up have, against short definitions, on random worlds; and what the lists walk."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.model.ids import ProjectID
from partage.model.image import Image
from partage.model.member import MemberStatus
from partage.model.share import Direction, Share, SharePosition, ShareQuery
from partage.records import endings, images, members, schema, shares
from partage.records.database import Database, Transaction
from tests.contract import records_worlds
from tests.contract.records_worlds import build, caller, undone
from tests.contract.test_records_visibility import NOW, PROJECTS, World, on_one_database, worlds
from tests.databases import open_database

Pair = tuple[str, str]


def current(world: World, each: Image, project: str, viewer: str) -> records_worlds.Share | None:
    """Return the membership that is a current share: of a shared image, unexpired, of another project; hidden from its member."""
    if each.visibility != "shared" or each.owner == project:
        return None
    mine = (share for share in world[1] if share.image.id == each.id and share.member == project)
    shown = (share for share in mine if not (share.hidden and viewer == project))
    return next((share for share in shown if share.expires_at is None or share.expires_at > NOW), None)


def ended(world: World, each: Image, project: str) -> records_worlds.Notice | None:
    """Return the ending whose notice runs."""
    mine = (notice for notice in world[2] if notice.image.id == each.id and notice.member == project)
    return next((notice for notice in mine if notice.ends_at is None or notice.ends_at > NOW), None)


def expect_shares(world: World, viewer: str) -> dict[Pair, tuple[MemberStatus, bool, bool]]:
    """Say which shares there are for a project, by image and member: the answer, whether it is current, whether it is ending."""
    found = {}
    for each in world[0]:
        for project in PROJECTS:
            share, ending = current(world, each, project, viewer), ended(world, each, project)
            if share or ending:
                status = share.status if share else ending.status  # type: ignore[union-attr]
                found[each.id, project] = (status, share is not None, ending is not None)
    return found


def owner_of(world: World, image_id: str) -> str | None:
    each = next(each for each in world[0] if each.id == image_id)
    return each.former_owner or each.owner


def walk(tx: Transaction, project: str, query: ShareQuery) -> list[Share]:
    walked: list[Share] = []
    while True:
        found = shares.page(tx, caller(project), query, now=NOW)
        walked += found.shares
        assert len(found.shares) <= query.limit
        if not found.has_more:
            return walked
        after = SharePosition.after(found.shares[-1])
        query = ShareQuery(
            direction=query.direction, limit=query.limit, status=query.status, project_id=query.project_id, after=after
        )


@on_one_database
@given(
    world=worlds(),
    project=st.sampled_from(PROJECTS),
    direction=st.sampled_from(list(Direction)),
    filters=st.tuples(st.sampled_from([None, *MemberStatus]), st.sampled_from([None, *PROJECTS])),
    limit=st.integers(1, 3),
)
def test_walking_the_pages_shows_the_shares_of_one_side_in_order(
    database: Database,
    world: World,
    project: str,
    direction: Direction,
    *,
    filters: tuple[MemberStatus | None, str | None],
    limit: int,
) -> None:
    status, other = filters

    def is_listed(pair: Pair, answer: MemberStatus) -> bool:
        owner, member = owner_of(world, pair[0]), pair[1]
        mine, theirs = (member, owner) if direction is Direction.IN else (owner, member)
        return mine == project and other in (None, theirs) and status in (None, answer)

    wanted = {pair: known for pair, known in expect_shares(world, project).items() if is_listed(pair, known[0])}
    query = ShareQuery(direction=direction, limit=limit, status=status, project_id=None if other is None else ProjectID(other))
    with undone(database) as tx:
        build(tx, *world)
        walked = walk(tx, project, query)
    found = {(each.image.id, each.member_id): (each.status, each.is_current, each.ending is not None) for each in walked}
    assert found == wanted
    keys = [(each.image.created_at, each.image.id, each.member_id) for each in walked]
    assert keys == sorted(set(keys), reverse=True)


@on_one_database
@given(world=worlds(), project=st.sampled_from(PROJECTS), is_admin=st.booleans())
def test_a_share_is_found_by_its_two_sides_and_by_administrators_only(
    database: Database, world: World, project: str, *, is_admin: bool
) -> None:
    wanted = {pair for pair in expect_shares(world, project) if is_admin or project in (pair[1], owner_of(world, pair[0]))}
    found = set()
    with undone(database) as tx:
        build(tx, *world)
        for each in world[0]:
            for member in PROJECTS:
                try:
                    share = shares.find(tx, caller(project, is_admin=is_admin), each.id, ProjectID(member), now=NOW)
                except problems.ShareNotFound:
                    continue
                assert (share.image.id, share.member_id) == (each.id, member)
                found.add((share.image.id, share.member_id))
    assert found == wanted


@pytest.mark.parametrize(
    ("direction", "indexes"),
    [(Direction.IN, ("ix_members_member", "ix_endings_member")), (Direction.OUT, ("ix_members_owner", "ix_endings_owner"))],
)
def test_list_of_shares_walks_indexes(tmp_path: Path, direction: Direction, indexes: tuple[str, ...]) -> None:
    database = open_database(f"sqlite:///{tmp_path}/partage.db")
    schema.upgrade(database)
    statement = shares.page_statement(direction, has_status=False, has_image=False, has_project=False, has_position=True)
    with database.read() as tx:
        compiled = str(statement.compile(dialect=tx.dialect))
        rows = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", tuple([1] * compiled.count("?")))
        plan = "\n".join(str(row[-1]) for row in rows)
    assert all(f"INDEX {index}" in plan for index in indexes), plan
    assert not any(f"SCAN {table}" in plan for table in ("members", "endings", "images")), plan


def outbox_of(tx: Transaction, project: str) -> list[str]:
    return [each.image.id for each in walk(tx, project, ShareQuery(direction=Direction.OUT, limit=10))]


def test_shares_follow_an_image_to_its_new_owner(database: Database) -> None:
    each = records_worlds.image(1)
    share = records_worlds.Share(each, "C", MemberStatus.ACCEPTED)
    notice = records_worlds.Notice(each, "D", MemberStatus.ACCEPTED, None)
    with undone(database) as tx:
        build(tx, [each], [share], [notice])
        assert outbox_of(tx, "A") == [each.id] * 2
        images.save(tx, replace(each, owner=ProjectID("B")), was=each)
        assert outbox_of(tx, "A") == []
        assert outbox_of(tx, "B") == [each.id] * 2


def test_shares_that_an_older_release_made_get_their_owner(database: Database) -> None:
    each, nobodys = records_worlds.image(1), records_worlds.image(2, owner=None)
    with undone(database) as tx:
        made = (each, nobodys)
        offered = [records_worlds.Share(one, "C", MemberStatus.ACCEPTED) for one in made]
        build(tx, [*made], offered, [records_worlds.Notice(one, "D", MemberStatus.ACCEPTED, None) for one in made])
        tx.exec_driver_sql("UPDATE members SET owner = NULL")
        tx.exec_driver_sql("UPDATE endings SET owner = NULL")
        assert outbox_of(tx, "A") == []
        assert (members.add_owners(tx), members.add_owners(tx)) == (1, 0)
        assert (endings.add_owners(tx), endings.add_owners(tx)) == (1, 0)
        assert outbox_of(tx, "A") == [each.id] * 2
