"""The schema's version: create the schema, upgrade it, refuse a version that this release does not know."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command, config, script
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from partage import problems
from partage.records.database import Database, Transaction

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('partage: schema'))")
_LOCK_ON_MARIADB = text("SELECT GET_LOCK(concat('partage: ', sha1(database())), 86400)")
_UNLOCK_ON_MARIADB = text("DO RELEASE_LOCK(concat('partage: ', sha1(database())))")
_ONLINE = "Runs while old code serves"
"""Stands in the docstring of a migration beside which processes of the release before it can go on."""
_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> None:
    """Create the schema, or upgrade it to this release's version; do nothing if it has that version.

    Raises:
        DatabaseUnavailable: the database does not answer, or its schema is of a newer release.
    """
    with database.write() as tx, _one_at_a_time(tx):
        if _version(tx) == _newest():
            return
        _require_known(tx)
        alembic = _alembic()
        alembic.attributes["connection"] = tx
        command.upgrade(alembic, "head")


@contextmanager
def _one_at_a_time(tx: Transaction) -> Iterator[None]:
    """Lock the schema: two processes that create the same tables concurrently would fail. SQLite has one writer at a time.

    On MariaDB each change of the schema commits. The lock is the connection's, and of one node of a Galera cluster.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(_ONE_AT_A_TIME)
    if tx.dialect.name != "mariadb":
        yield
        return
    tx.execute(_LOCK_ON_MARIADB)
    try:
        yield
    finally:
        tx.execute(_UNLOCK_ON_MARIADB)


@dataclass(frozen=True, slots=True)
class Migration:
    """One change of the schema: its revision, what it is for, and whether processes of older releases can go on serving."""

    revision: str
    purpose: str
    is_online: bool


def list_missing(database: Database) -> tuple[str | None, list[Migration]]:
    """Return the version of the schema, None for an empty database, and the migrations that it lacks, in order.

    Raises:
        DatabaseUnavailable: the database does not answer, or its schema is of a newer release.
    """
    with database.read() as tx:
        found = _version(tx)
        _require_known(tx)
    missing = [*script.ScriptDirectory(str(_MIGRATIONS)).iterate_revisions("head", found or "base")]
    return found, [_describe(each) for each in reversed(missing)]


def _describe(migration: script.Script) -> Migration:
    return Migration(migration.revision, migration.doc or "", _ONLINE in (migration.longdoc or ""))


def require_current(database: Database) -> None:
    """Check that the schema is this release's.

    Raises:
        DatabaseUnavailable: it is older, newer, or missing; the message says what to do.
    """
    with database.read() as tx:
        found = _version(tx)
        if found == _newest():
            return
        _require_known(tx)
    was = "is empty" if found is None else f"has the older schema {found}"
    raise problems.DatabaseUnavailable(f"The database {was}; run 'partage manage upgrade-database' first")


def find_version(database: Database) -> str | None:
    """Return the version of the schema; None for an empty database.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with database.read() as tx:
        return _version(tx)


def find_faults(tx: Transaction) -> list[str]:
    """List the damages of a SQLite database's pages and rows. For servers the list is empty: they have tools of their own."""
    if tx.dialect.name != "sqlite":
        return []
    found = [*tx.execute(text("PRAGMA integrity_check(20)")).scalars()]
    return [] if found == ["ok"] else [" ".join(str(each).split()) for each in found]


def _require_known(tx: Transaction) -> None:
    found = _version(tx)
    if found is None:
        return
    known = {each.revision for each in script.ScriptDirectory(str(_MIGRATIONS)).walk_revisions()}
    if found not in known:
        raise problems.DatabaseUnavailable(
            f"The database has the schema {found}, which this release does not know: a newer release made it; "
            "install that one or a later one",
        )


def _version(tx: Transaction) -> str | None:
    return MigrationContext.configure(tx).get_current_revision()


def _newest() -> str | None:
    return script.ScriptDirectory(str(_MIGRATIONS)).get_current_head()


def _alembic() -> config.Config:
    settings = config.Config()
    settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return settings
