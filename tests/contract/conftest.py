"""The databases that the records suites run on: SQLite in a temporary folder, and PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from partage.records import schema
from partage.records.database import Database
from tests import postgresql


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def migrated_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Make an empty database with the newest schema, once for each kind."""
    if request.param == "sqlite":
        folder: Path = tmp_path_factory.mktemp("records")
        database = Database(f"sqlite:///{folder}/partage.db")
        schema.upgrade(database)
        yield database
        database.close()
        return
    with postgresql.server() as url:
        database = Database(url)
        schema.upgrade(database)
        yield database
        database.close()


@pytest.fixture
def database(migrated_database: Database) -> Database:
    """Give a database; what a test writes it undoes, or empties."""
    return migrated_database
