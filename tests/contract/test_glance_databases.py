"""The database of a Glance is read alike on SQLite, PostgreSQL and MariaDB, and by one that may only read."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy

from partage.records.glance_database import GlanceDatabase
from tests import databases, glance_world, mariadb, postgresql
from tests.glance_world import GlanceWorld

SERVERS = {"postgresql": postgresql, "mariadb": mariadb}
DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}


@pytest.fixture
def glance(tmp_path: Path) -> GlanceWorld:
    """A Glance with some of everything."""
    world = glance_world.make_glance(tmp_path / "glance")
    world.add_image(b"data", name="Größe", tags=("x",), properties={"a": "b", "empty": None}, members={"B": "accepted"})
    world.add_image(None, owner=None, os_hidden=True)
    world.delete_image(world.add_image(b"gone"))
    times = {"created_at": glance_world.CREATED, "updated_at": None}
    world.insert("metadef_namespaces", id=7, namespace="Some", visibility="public", protected=True, owner="admin", **times)
    world.insert("metadef_objects", id=1, namespace_id=7, name="disk", required="a", json_schema='{"a": {}}', **times)
    world.insert("tasks", id="t", type="import", status="success", owner="A", deleted=False, **times)
    world.insert("task_info", task_id="t", input="{}", result="null", message="")
    return world


def copy_rows(glance: GlanceWorld, url: sqlalchemy.URL) -> None:
    """Copy the SQLite database to a server's."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    kinds = "TIMESTAMP" if engine.dialect.name == "postgresql" else "DATETIME(6) NULL"
    source = sqlite3.connect(glance.folder / "glance.db")
    source.row_factory = sqlite3.Row
    with engine.begin() as connection:
        for statement in glance_world.SCHEMA.replace("DATETIME", kinds).split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        for (table,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            target = sqlalchemy.Table(table, sqlalchemy.MetaData(), autoload_with=connection)
            for row in source.execute(f"SELECT * FROM {table}").fetchall():
                flags = {each.name for each in target.c if isinstance(each.type, sqlalchemy.Boolean)}
                values = {name: bool(row[name]) if name in flags and row[name] is not None else row[name] for name in row.keys()}  # noqa: SIM118
                connection.execute(target.insert().values(values))
    source.close()


@pytest.mark.parametrize("kind", [pytest.param("postgresql"), pytest.param("mariadb", marks=pytest.mark.thorough)])
def test_server_is_read_as_sqlite_is(kind: str, glance: GlanceWorld) -> None:
    expected = GlanceDatabase(glance.url)
    with SERVERS[kind].server() as given:
        url = sqlalchemy.make_url(given).set(drivername=DRIVERS[kind])
        copy_rows(glance, url)
        found = GlanceDatabase(url.render_as_string(hide_password=False))
        found.check()
        assert list(found.list_images()) == list(expected.list_images())
        assert found.list_deleted_ids() == expected.list_deleted_ids()
        assert found.list_namespaces() == expected.list_namespaces()
        assert found.list_tasks() == expected.list_tasks()
        assert found.list_cached() == []
        assert found.source != expected.source


def test_nothing_is_written_to_the_database(glance: GlanceWorld) -> None:
    before = (glance.folder / "glance.db").read_bytes()
    found = GlanceDatabase(glance.url)
    found.check()
    assert len(list(found.list_images())) == 2
    with pytest.raises(sqlalchemy.exc.OperationalError, match="readonly"), found._engine.connect() as connection:  # noqa: SLF001
        connection.exec_driver_sql("DELETE FROM images")
    assert (glance.folder / "glance.db").read_bytes() == before
    assert [each for each in databases.list_open() if str(glance.folder) in each] == []
