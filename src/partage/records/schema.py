"""The schema's version: create the schema, upgrade it, refuse a version that this release does not know."""

from pathlib import Path

from alembic import command, config, script
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from partage import problems
from partage.records.database import Database, Transaction

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('partage: schema'))")
_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> None:
    """Create the schema, or upgrade it to this release's version; do nothing if it has that version.

    Raises:
        DatabaseUnavailable: the database does not answer, or its schema is of a newer release.
    """
    with database.write() as tx:
        if database.dialect == "postgresql":
            # Two processes that create the same tables concurrently would fail. SQLite has one writer at a time.
            tx.execute(_ONE_AT_A_TIME)
        if _version(tx) == _newest():
            return
        _require_known(tx)
        alembic = _alembic()
        alembic.attributes["connection"] = tx
        command.upgrade(alembic, "head")


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


def find_faults(tx: Transaction) -> list[str]:
    """List the damages of a SQLite database's pages and rows. For PostgreSQL the list is empty: it has tools of its own."""
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
