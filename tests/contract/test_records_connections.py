"""Connections to PostgreSQL: bounded, given back, and one left for commands. A real server that has few of them."""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy

from partage import problems
from partage.main.composition import compose, readiness
from partage.main.configuration.config import Settings
from partage.records import schema
from partage.records.database import Database
from tests import postgresql
from tests.standalone import wait_for

OFFERED = 17
"""Of 20, three are kept for superusers."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Give the URL of a server with 20 connections, for a role that is no superuser."""
    with postgresql.server(max_connections=OFFERED + 3) as superuser:
        engine = sqlalchemy.create_engine(superuser, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("CREATE ROLE image LOGIN"))
            connection.execute(sqlalchemy.text("GRANT ALL ON SCHEMA public TO image"))
            connection.execute(sqlalchemy.text("CREATE DATABASE image OWNER image"))
        engine.dispose()
        yield superuser.replace("partage@/postgres", "image@/image")


def lent(url: str) -> int:
    """Ask the server how many connections the role has, this one left out."""
    database = Database(url, connections=1)
    with database.read() as tx:
        count = tx.execute(sqlalchemy.text("SELECT count(*) FROM pg_stat_activity WHERE usename = 'image'")).scalar_one()
    database.close()
    return int(count) - 1


def held(database: Database, count: int, holding: ExitStack) -> None:
    """Take connections for transactions that go on until the stack ends."""
    for _ in range(count):
        holding.enter_context(database.read()).execute(sqlalchemy.text("SELECT 1"))


def settings(url: str, folder: Path, **more: object) -> Settings:
    return Settings(database_url=url, data=folder, **more)  # type: ignore[arg-type]


def test_full_pool_is_refused_after_a_short_wait(url: str) -> None:
    database = Database(url, connections=2, wait_seconds=0.3)
    with ExitStack() as holding:
        held(database, 2, holding)
        with pytest.raises(problems.DatabaseUnavailable, match=r"in use.*database_connections"), database.read():
            pass
    with database.read() as tx:
        assert tx.execute(sqlalchemy.text("SELECT 1")).scalar_one() == 1, "served again as soon as one is free"
    database.close()


def test_connections_that_nobody_uses_are_given_back(url: str) -> None:
    database = Database(url, connections=6, idle_seconds=0.5)
    with ExitStack() as holding:
        held(database, 6, holding)
        assert lent(url) == 6
    time.sleep(1.0)

    def one_is_used() -> bool:
        with database.read() as tx:
            tx.execute(sqlalchemy.text("SELECT 1"))
        return lent(url) <= 1

    wait_for(one_is_used, seconds=30)
    with ExitStack() as holding:
        held(database, 6, holding)
        assert lent(url) == 6, "as many as before can be had again"
    database.close()
    assert lent(url) == 0


def test_connections_in_use_now_and_then_are_kept(url: str) -> None:
    database = Database(url, connections=6, idle_seconds=600)
    with ExitStack() as holding:
        held(database, 3, holding)
    with database.read():
        assert lent(url) == 3
    database.close()


def test_eight_workers_leave_a_connection_for_commands(url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = settings(url, tmp_path, workers=8)
    with compose.open_service(asked) as service, caplog.at_level(logging.WARNING):
        schema.upgrade(service.database)
        fitted = readiness.fit_connections(asked, service)
    assert fitted.database_connections * fitted.workers <= OFFERED - 1
    assert "could use them all" in caplog.text
    assert "max_connections" in caplog.text
    with ExitStack() as holding:
        for _ in range(fitted.workers):
            service = holding.enter_context(compose.open_service(fitted))
            held(service.database, fitted.database_connections, holding)
        with compose.open_service(asked) as command:
            schema.require_current(command.database)


def test_workers_that_fit_are_left_as_they_are(url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = settings(url, tmp_path, workers=2, database_connections=5)
    with compose.open_service(asked) as service, caplog.at_level(logging.WARNING):
        assert readiness.fit_connections(asked, service) == asked
    assert "could use them all" not in caplog.text


def test_defaults_fit_a_server_of_a_hundred(tmp_path: Path) -> None:
    """Six workers, a worker for imports, the maintenance process of each, and a command."""
    default = settings("postgresql://somewhere/", tmp_path)
    assert 9 * default.database_connections + 2 <= 100 - 3


def test_sqlite_has_no_server_to_ask(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/partage.db")
    assert database.connections_offered() is None
