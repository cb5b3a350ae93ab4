"""The schema's version: create it, bring it up to date, refuse one this release does not know."""

from pathlib import Path

from alembic import command, config, script
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from partage import problems
from partage.records.database import Database, Transaction

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('partage: schema'))")
_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> None:
    """Create the schema, or bring it up to this release's version; do nothing when it is.

    Raises:
        DatabaseUnavailable: the database does not answer, or was made by a newer release.
    """
    with database.write() as tx:
        if database.dialect == "postgresql":
            # Two that create the same tables at the same moment would fail; on SQLite only one writes anyway.
            tx.execute(_ONE_AT_A_TIME)
        if _version(tx) == _newest():
            return
        _require_known(tx)
        alembic = _alembic()
        alembic.attributes["connection"] = tx
        command.upgrade(alembic, "head")


def require_current(database: Database) -> None:
    """Make sure that the schema is this release's.

    Raises:
        DatabaseUnavailable: it is older, newer, or not there; the sentence says what to do.
    """
    with database.read() as tx:
        found = _version(tx)
        if found == _newest():
            return
        _require_known(tx)
    was = "is empty" if found is None else f"has the older schema {found}"
    raise problems.DatabaseUnavailable(f"The database {was}; run 'partage manage upgrade-database' first")


def find_faults(tx: Transaction) -> list[str]:
    """List what is wrong with the pages and rows of a SQLite database; nothing of PostgreSQL, which has tools of its own."""
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
