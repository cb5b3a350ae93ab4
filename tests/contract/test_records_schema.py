"""The migrations make what the tables say, and a schema of another release is refused in one sentence."""

import re
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column

from partage import problems
from partage.model.ids import ImageID
from partage.model.image import Image
from partage.records import images, mariadb, schema
from partage.records.database import Database
from partage.records.tables import deleted_images, metadata
from tests.databases import open_database

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def test_migrations_create_the_tables(database: Database) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # indexes on expressions are not compared, and both libraries say so
        with database.read() as tx:
            differences = compare_metadata(MigrationContext.configure(tx), metadata)
    assert [each for each in differences if database.dialect != "mariadb" or not is_of_mariadb(each)] == []


def is_of_mariadb(difference: Any) -> bool:
    """Whether MariaDB differs by intent: in generated columns, and in indexes on them or with the column of a condition."""
    kind, *parts = difference
    if kind == "remove_column":
        return (parts[1], parts[2].name) in {(table, name) for (table, _), (name, _) in mariadb.GENERATED.items()}
    return kind in ("add_index", "remove_index") and parts[0].name in CHANGED


CHANGED = {
    each.name
    for table in metadata.tables.values()
    for each in table.indexes
    if each.dialect_options["sqlite"]["where"] is not None or any(not isinstance(part, Column) for part in each.expressions)
}
"""Indexes on expressions, or of some rows only."""


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    with database.write() as tx:
        image = Image(
            id=ImageID(str(uuid4())), owner=None, created_at=NOW, updated_at=NOW, tags=("t",), properties={"os": "debian"}
        )
        images.add(tx, image)
    before = contents_of(database)
    schema.upgrade(database)
    schema.require_current(database)
    after = contents_of(database)
    with database.write() as tx:
        images.remove(tx, image)
        tx.execute(deleted_images.delete())
    assert after == before


def contents_of(database: Database) -> dict[str, tuple[str, list[str]]]:
    """Describe every table, its columns, keys and indexes, and all its rows."""
    with warnings.catch_warnings(), database.read() as tx:
        warnings.simplefilter("ignore")  # indexes on expressions cannot be read, and the library says so
        looking = sqlalchemy.inspect(tx)
        described = {}
        for name in sorted(looking.get_table_names()):
            parts = (
                looking.get_columns(name),
                looking.get_pk_constraint(name),
                looking.get_foreign_keys(name),
                looking.get_indexes(name),
            )
            rows = sorted(
                repr(tuple(row)) for row in tx.exec_driver_sql(f"SELECT * FROM {tx.dialect.identifier_preparer.quote(name)}")
            )
            described[name] = (re.sub(r" object at 0x[0-9a-f]+", "", repr(parts)), rows)
    assert described["images"][1]
    assert described["alembic_version"][1]
    return described


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
