"""The migrations make what the tables say, and a schema of another release is refused in one sentence."""

import warnings
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from partage import problems
from partage.records import schema
from partage.records.database import Database
from partage.records.tables import metadata
from tests.databases import open_database


def test_the_migrations_make_the_tables(database: Database) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # indexes on expressions are not compared, and both libraries say so
        with database.read() as tx:
            differences = compare_metadata(MigrationContext.configure(tx), metadata)
    assert differences == []


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    schema.upgrade(database)
    schema.require_current(database)


def test_an_empty_database_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    with pytest.raises(problems.DatabaseUnavailable, match="is empty; run 'partage manage upgrade-database'"):
        schema.require_current(open_database(f"sqlite:///{tmp_path}/new.db"))


@pytest.mark.parametrize("ask", [schema.require_current, schema.upgrade])
def test_a_database_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path, ask: object) -> None:
    database = open_database(f"sqlite:///{tmp_path}/newer.db")
    schema.upgrade(database)
    with database.write() as tx:
        tx.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = '2099_01_01'"))
    with pytest.raises(problems.DatabaseUnavailable, match="a newer release made it"):
        ask(database)  # type: ignore[operator]
