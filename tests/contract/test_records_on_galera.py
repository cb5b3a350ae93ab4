"""Two nodes of a Galera cluster that both write, against the advice of docs/deployment.md: what is refused is undone as a whole."""

import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select, update

from partage import problems
from partage.model.event import EventType, NewEvent
from partage.model.ids import ProjectID
from partage.records import events, images, schema
from partage.records.database import Database
from partage.records.event_tables import events as event_table
from partage.records.tables import images as table
from tests import mariadb
from tests.contract.records_worlds import START, build, image

pytestmark = pytest.mark.slow
ROUNDS = 50


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Database, Database]]:
    with mariadb.cluster() as urls:
        first, second = Database(urls[0]), Database(urls[1])
        schema.upgrade(first)
        yield first, second
        first.close()
        second.close()


def wait_for_version(database: Database) -> None:
    ends_at = time.monotonic() + 20
    while schema.find_version(database) is None and time.monotonic() < ends_at:
        time.sleep(0.05)
    schema.require_current(database)


def test_changes_of_one_row_at_two_nodes_are_made_or_refused(nodes: tuple[Database, Database]) -> None:
    wait_for_version(nodes[1])
    with nodes[0].write() as tx:
        build(tx, [image(1)])
    made, refused = list[str](), list[str]()

    def change(database: Database) -> None:
        for _ in range(ROUNDS):
            try:
                with database.write() as tx:
                    tx.execute(update(table).where(table.c.id == image(1).id).values(min_disk=table.c.min_disk + 1))
                    new = NewEvent(type=EventType.IMAGE_UPDATED, at=START, image_id=image(1).id, owner=ProjectID("A"))
                    events.add(tx, [new])
                made.append("")
            except problems.DatabaseUnavailable as problem:
                refused.append(str(problem))

    threads = [threading.Thread(target=change, args=(each,)) for each in (*nodes, *nodes)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(120)
    with nodes[0].read() as tx:
        tx.exec_driver_sql("SET SESSION wsrep_sync_wait = 1")  # for the changes of the other node
        found = images.find_or_none(tx, image(1).id)
        count, first, last = tx.execute(select(func.count(), func.min(event_table.c.id), func.max(event_table.c.id))).one()
        bounds = events.find_bounds(tx)
    assert len(made) + len(refused) == 4 * ROUNDS
    assert refused
    assert set(refused) == {"Another change came in between, and this one was undone; try again in a few seconds"}
    assert found is not None
    assert found.min_disk == count == last == bounds.last == len(made)
    assert first == 1
