"""Rows of events: their order, their bound, and their removal, on SQLite and PostgreSQL."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, text

from partage.model.event import Actor, EventPage, EventQuery, EventType, NewEvent
from partage.model.ids import ImageID, ProjectID, UserID
from partage.records import events
from partage.records.database import Database, Transaction, to_microseconds
from partage.records.event_tables import events as table
from partage.records.event_tables import removed_events
from tests.contract.plans import count_work

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
A, B = ProjectID("a"), ProjectID("b")


@pytest.fixture(autouse=True)
def emptied(database: Database) -> Iterator[None]:
    yield
    with database.write() as tx:
        tx.execute(delete(table))
        tx.execute(delete(removed_events))


def event(image: str = "i", owner: ProjectID | None = A, **more: Any) -> NewEvent:
    return NewEvent(**{"type": EventType.IMAGE_CREATED, "at": NOW, "image_id": ImageID(image), "owner": owner, **more})


def read(database: Database, project_id: ProjectID | None = A, after: int | None = None, limit: int = 100) -> EventPage:
    with database.read() as tx:
        last = events.find_last(tx)
        return events.page(tx, EventQuery(project_id=project_id, after=after, limit=limit), last=last)


def images_of(page: EventPage) -> list[str]:
    return [each.image_id for each in page.events]


def add(database: Database, *new: NewEvent) -> None:
    with database.write() as tx:
        events.add(tx, new)


def test_event_is_read_as_it_was_recorded(database: Database) -> None:
    actor = Actor(project_id=B, user_id=UserID("u"), request_id="req-1", is_operator=True)
    add(database, event(type=EventType.SHARE_ACCEPTED, member_id=B, actor=actor, data={"image_name": "é", "n": [1, None]}))
    [found] = read(database).events
    assert (found.project_id, found.type, found.at, found.image_id) == (A, "share.accepted", NOW, "i")
    assert (found.owner, found.member_id, found.actor) == (A, B, actor)
    assert found.data == {"image_name": "é", "n": [1, None]}


def test_each_recipient_has_a_row_of_its_own(database: Database) -> None:
    add(database, event("one"), event("two", member_id=B), event("three", owner=B), event("four", owner=None))
    assert images_of(read(database, A)) == ["one", "two"]
    assert images_of(read(database, B)) == ["two", "three"]
    assert images_of(read(database, None)) == ["one", "two", "two", "three", "four"]


def test_membership_of_the_owner_has_one_row(database: Database) -> None:
    add(database, event(member_id=A))
    assert images_of(read(database, None)) == ["i"]


def test_pages_have_every_event_once_and_in_order(database: Database) -> None:
    names = [f"{number:02}" for number in range(25)]
    add(database, *(event(each, owner=A if int(each) % 3 else B) for each in names))
    seen, after, has_more = [], None, True
    while has_more:
        found = read(database, A, after, limit=4)
        seen += images_of(found)
        after, has_more = found.last, found.has_more
    assert seen == [each for each in names if int(each) % 3]
    assert read(database, A, after).last == after


def test_reader_of_an_empty_page_goes_on_after_other_projects_events(database: Database) -> None:
    add(database, event("of b", owner=B))
    at = read(database, A)
    assert images_of(at) == []
    add(database, event("new"))
    assert images_of(read(database, A, at.last)) == ["new"]


def test_rolled_back_event_is_not_read(database: Database) -> None:
    class Failure(Exception):
        pass

    with pytest.raises(Failure), database.write() as tx:
        events.add(tx, [event("never")])
        raise Failure
    add(database, event("next"))
    assert images_of(read(database)) == ["next"]


def test_ids_of_removed_events_are_not_given_out_again(database: Database) -> None:
    add(database, event("old"))
    last = read(database).last
    with database.write() as tx:
        tx.execute(delete(table))
    add(database, event("new"))
    assert images_of(read(database, A, last)) == ["new"]


def committing_late(database: Database) -> tuple[Any, Transaction]:
    """Open a transaction, which a test commits when it likes."""
    context = database.write()
    return context, context.__enter__()


def skip_unless_ids_precede_commits(database: Database) -> None:
    if database.dialect != "postgresql":
        pytest.skip("ids are given out in the order of commits")


def test_events_have_the_order_of_commits(database: Database) -> None:
    """On MariaDB a transaction gets its ids when it commits."""
    if database.dialect != "mariadb":
        pytest.skip("SQLite has one writer at a time, and PostgreSQL gives ids out before")
    before = read(database).last
    slow, tx = committing_late(database)
    events.add(tx, [event("slow"), event("slower")])
    add(database, event("quick"))
    between = read(database, A, before)
    assert images_of(between) == ["quick"]
    slow.__exit__(None, None, None)
    assert images_of(read(database, A, between.last)) == ["slow", "slower"]


def test_event_that_commits_later_is_not_skipped(database: Database) -> None:
    """On PostgreSQL the first transaction has the lower id and commits last."""
    skip_unless_ids_precede_commits(database)
    before = read(database).last
    slow, tx = committing_late(database)
    events.add(tx, [event("slow")])
    add(database, event("quick"))
    between = read(database, A, before)
    assert images_of(between) == []
    add(database, event("quicker"))
    slow.__exit__(None, None, None)
    assert images_of(read(database, A, between.last)) == ["slow", "quick", "quicker"]


def test_transaction_that_began_but_has_no_event_yet_holds_nothing_up(database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    before = read(database).last
    slow, tx = committing_late(database)
    tx.execute(insert(removed_events), {"project_id": "other", "last_id": 1})  # a transaction id is assigned here
    add(database, event("quick"))
    found = read(database, A, before)
    assert images_of(found) == ["quick"]
    events.add(tx, [event("slow")])
    slow.__exit__(None, None, None)
    assert images_of(read(database, A, found.last)) == ["slow"]


def test_bound_of_a_rolled_back_transaction_goes_with_it(database: Database) -> None:
    skip_unless_ids_precede_commits(database)
    slow, tx = committing_late(database)
    events.add(tx, [event("never")])
    add(database, event("quick"))
    assert images_of(read(database)) == []
    with suppress(ZeroDivisionError):
        slow.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert images_of(read(database)) == ["quick"]


def test_removal_of_old_events_is_noted_for_each_project(database: Database) -> None:
    for day in range(5):
        add(database, event(str(day), owner=B if day == 1 else A, at=NOW + timedelta(days=day)))
    first = read(database, None, limit=1).last
    with database.write() as tx:
        assert events.remove_old(tx, before=NOW + timedelta(days=3), limit_rows=2) == 2
    with database.read() as tx:
        assert events.find_removed(tx, A).last == first
        assert events.find_removed(tx, B).last > first
        assert events.find_removed(tx, None) == events.find_removed(tx, B)
        assert events.find_removed(tx, ProjectID("c")) == (0, 0)
    with database.write() as tx:
        assert events.remove_old(tx, before=NOW + timedelta(days=3), limit_rows=2) == 1
    assert images_of(read(database, None)) == ["3", "4"]


def test_project_keeps_its_newest_events(database: Database) -> None:
    add(database, *(event(str(number)) for number in range(10)), event("of b", owner=B))
    with database.write() as tx:
        assert events.list_active_projects(tx, latest_rows=5) == ["a", "b"]
        assert events.remove_surplus(tx, A, keep_rows=4, limit_rows=3) == 3
        assert events.remove_surplus(tx, A, keep_rows=4, limit_rows=100) == 3
        assert events.remove_surplus(tx, A, keep_rows=4, limit_rows=100) == 0
        assert events.remove_surplus(tx, B, keep_rows=4, limit_rows=100) == 0
    assert images_of(read(database, None)) == ["6", "7", "8", "9", "of b"]
    with database.read() as tx:
        assert events.find_removed(tx, A) == (read(database, A).events[0].number - 1, 0)


def by_member(image: str, *, owner: ProjectID = A) -> NewEvent:
    return event(image, owner, type=EventType.SHARE_ACCEPTED, member_id=B, actor=Actor(project_id=B, is_operator=True))


def test_events_of_others_push_out_each_other_only(database: Database) -> None:
    mixed = [each for number in range(4) for each in (event(f"own {number}"), by_member(f"foreign {number}"))]
    add(database, *mixed)
    with database.write() as tx:
        assert events.remove_surplus_of_others(tx, A, keep_rows=2, limit_rows=1) == 1
        assert events.remove_surplus_of_others(tx, A, keep_rows=2, limit_rows=100) == 1
        assert events.remove_surplus_of_others(tx, A, keep_rows=2, limit_rows=100) == 0
        assert events.remove_surplus_of_others(tx, B, keep_rows=0, limit_rows=100) == 0
        assert events.remove_surplus(tx, A, keep_rows=4, limit_rows=100) == 0
    kept = read(database, A)
    assert images_of(kept) == ["own 0", "own 1", "own 2", "foreign 2", "own 3", "foreign 3"]
    with database.read() as tx:
        removed = events.find_removed(tx, A)
    assert (removed.last, kept.events[1].number < removed.of_others < kept.events[2].number) == (0, True)


def test_no_event_is_left_before_own_events_that_were_removed(database: Database) -> None:
    """A reader that begins with the first event must not be told that events after it were removed."""
    add(database, by_member("foreign"), *(event(f"own {number}") for number in range(3)), by_member("last"))
    with database.write() as tx:
        assert events.remove_surplus(tx, A, keep_rows=2, limit_rows=100) == 2
    assert images_of(read(database, A)) == ["own 1", "own 2", "last"]
    with database.read() as tx:
        assert events.find_removed(tx, A).last < read(database, A).events[0].number


def explain(database: Database, statement: str, given: dict[str, Any]) -> str:
    words = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
    with database.read() as tx:
        return "\n".join(str(row) for row in tx.execute(text(f"{words} {statement}"), given))


@pytest.mark.parametrize("of_all", [False, True])
def test_page_walks_an_index(database: Database, *, of_all: bool) -> None:
    rows = [
        {"project_id": f"p{number % 50}", "type": "image.created", "at": to_microseconds(NOW), "image_id": "i",
         "actor_is_operator": False, "data": "{}"}
        for number in range(20_000)
    ]  # fmt: skip
    with database.write() as tx:
        tx.execute(insert(table), rows)
    with database.connection() as connection:
        connection.cursor().execute("ANALYZE TABLE events" if database.dialect == "mariadb" else "ANALYZE events")
        if database.dialect == "postgresql":
            connection.commit()
    given = {"project_id": "p3", "after": 10_000, "last": 20_000, "rows": 100}
    if database.dialect == "mariadb":
        with database.read() as tx, count_work(tx) as work:
            tx.execute(events.page_statement(of_all=of_all), given)
        assert work[0] < 150
        return
    plan = explain(database, str(events.page_statement(of_all=of_all)), given)
    index = "pk_events" if database.dialect == "postgresql" else "INTEGER PRIMARY KEY"
    assert (index if of_all else "ix_events_project_id_id") in plan, plan
    assert "SCAN events" not in plan
    assert "Sort" not in plan
    assert "Seq Scan" not in plan
