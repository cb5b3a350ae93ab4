"""Closing a database closes what it opened, also what was in use at that moment."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import event, text

from partage.records.database import Database


@pytest.fixture
def count_open(database: Database) -> Callable[[], int]:
    """Count the connections of the database that were opened from now on and are not closed."""
    database.close()
    opened: set[int] = set()
    engine = database._engine  # noqa: SLF001
    event.listen(engine, "connect", lambda connection, _entry: opened.add(id(connection)))
    event.listen(engine, "close", lambda connection, _entry: opened.discard(id(connection)))
    return lambda: len(opened)


def test_connection_in_use_is_closed_when_its_transaction_ends(database: Database, count_open: Callable[[], int]) -> None:
    with database.read() as tx:
        assert count_open() == 1
        database.close()
        assert tx.execute(text("SELECT 1")).scalar() == 1
        assert count_open() == 1
    assert count_open() == 0


def test_closed_database_can_be_used_and_closed_again(database: Database, count_open: Callable[[], int]) -> None:
    for _ in range(2):
        with database.write() as tx:
            assert tx.execute(text("SELECT 1")).scalar() == 1
        assert count_open() == 1, "the connection is kept for the next transaction"
        database.close()
        assert count_open() == 0


def test_connections_of_other_threads_are_closed_as_well(database: Database, count_open: Callable[[], int]) -> None:
    in_use, done = threading.Barrier(4), threading.Event()

    def hold() -> None:
        with database.read() as tx:
            tx.execute(text("SELECT 1"))
            in_use.wait(20)
            done.wait(20)

    threads = [threading.Thread(target=hold) for _ in range(3)]
    for thread in threads:
        thread.start()
    in_use.wait(20)
    database.close()
    done.set()
    for thread in threads:
        thread.join(20)
    assert count_open() == 0
