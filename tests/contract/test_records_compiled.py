"""What is put to the driver itself is answered as SQLAlchemy would answer it, and fails as everything else does."""

import pytest
import sqlalchemy
from sqlalchemy import bindparam, select

from partage import problems
from partage.records.compiled import CompiledSelect
from partage.records.database import Database
from partage.records.tables import images
from tests.contract import records_worlds

_OF_OWNER = (
    select(images.c.id, images.c.protected, images.c.created_at)
    .where(images.c.owner == bindparam("owner"), images.c.visibility != "public", images.c.protected == bindparam("protected"))
    .order_by(images.c.created_at)
    .limit(bindparam("rows"))
)


@pytest.mark.parametrize(("protected", "rows"), [(False, 10), (False, 2), (True, 10)])
def test_the_driver_gives_the_rows_that_sqlalchemy_gives(database: Database, *, protected: bool, rows: int) -> None:
    given = {"owner": "A", "protected": protected, "rows": rows, "not asked for": 1}
    with records_worlds.undone(database) as tx:
        records_worlds.build(tx, [records_worlds.image(each, protected=each == 4) for each in range(1, 6)])
        expected = [tuple(row) for row in tx.execute(_OF_OWNER, given)]
        statement = CompiledSelect(_OF_OWNER)
        assert [tuple(row) for row in statement.fetch_all(tx, given)] == expected
        assert statement.fetch_first(tx, given) == expected[0]
        assert len(expected) == (1 if protected else min(rows, 4))


def test_missing_row_gives_none(database: Database) -> None:
    with database.read() as tx:
        assert CompiledSelect(_OF_OWNER).fetch_first(tx, {"owner": "nobody", "protected": False, "rows": 1}) is None


def test_a_failure_is_that_of_a_database_which_does_not_answer(database: Database) -> None:
    missing = sqlalchemy.table("no_such_table", sqlalchemy.column("id", sqlalchemy.String))
    with pytest.raises(problems.DatabaseUnavailable), database.read() as tx:
        CompiledSelect(select(missing.c.id)).fetch_all(tx, {})


def test_a_connection_that_was_cut_is_replaced(database: Database) -> None:
    if database.dialect != "postgresql":
        pytest.skip("nobody can cut SQLite's")
    with pytest.raises(problems.DatabaseUnavailable), database.read() as tx:
        own = tx.execute(sqlalchemy.text("SELECT pg_backend_pid()")).scalar_one()
        with database.read() as other:
            other.execute(sqlalchemy.text("SELECT pg_terminate_backend(:pid)"), {"pid": own})
        CompiledSelect(select(images.c.id)).fetch_all(tx, {})
    with database.read() as tx:
        assert CompiledSelect(select(images.c.id)).fetch_all(tx, {}) == []


def test_a_list_whose_length_is_part_of_the_text_is_refused(database: Database) -> None:
    with pytest.raises(TypeError, match="not every value"), database.read() as tx:
        CompiledSelect(select(images.c.id).where(images.c.owner.in_(["A", "B"]))).fetch_all(tx, {})
