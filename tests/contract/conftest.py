"""The databases that the records suites run on: one of each kind."""

from collections.abc import Iterator

import pytest

from partage.records import schema
from partage.records.database import Database
from tests import databases


@pytest.fixture(scope="session", params=databases.KINDS)
def migrated_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Make an empty database with the newest schema, once for each kind."""
    with databases.serve(request.param, tmp_path_factory.mktemp("records")) as url:
        database = Database(url)
        schema.upgrade(database)
        yield database
        database.close()


@pytest.fixture
def database(migrated_database: Database) -> Database:
    """Give a database; what a test writes it undoes, or empties."""
    return migrated_database
