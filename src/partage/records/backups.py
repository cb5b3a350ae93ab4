"""Copies of a SQLite database: make one while others write, and read one without changing it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from partage import problems
from partage.model.ids import PackID, StoreID
from partage.records.database import Database


def copy(database: Database, file: Path) -> None:
    """Write a consistent copy of the database to a new file, without holds, intents and leases, which belong to running processes.

    The copy is one file, without a journal. Durable, except for its name.

    Raises:
        DatabaseUnavailable: the database cannot be read, or the file not written.
    """
    file.touch(mode=0o600, exist_ok=False)
    try:
        with database.connection() as source, closing(sqlite3.connect(file)) as target:
            source.backup(target)
            target.execute("DELETE FROM holds")
            target.execute("DELETE FROM pack_intents")
            target.execute("UPDATE maintenance SET token = NULL, renewed_at = NULL")
            target.commit()
            target.execute("PRAGMA journal_mode=DELETE").fetchall()
    except sqlite3.Error as error:
        raise problems.DatabaseUnavailable(f"The database could not be copied to {file}: {error}") from error


def list_packs(file: Path) -> dict[StoreID, list[PackID]]:
    """Return the packs that the database in a file needs, by store.

    Raises:
        Invalid: it is no such database, or a damaged one.
    """
    found: dict[StoreID, list[PackID]] = {}
    with _open(file) as connection:
        for pack_id, store_id in connection.execute("SELECT id, store_id FROM packs WHERE retired_at IS NULL ORDER BY id"):
            found.setdefault(StoreID(store_id), []).append(PackID(pack_id))
    return found


def list_identities(file: Path) -> dict[StoreID, tuple[str, str, int]]:
    """Return for each store of the database in a file its id, the database's, and the count of sweeps.

    Raises:
        Invalid: it is no such database, or a damaged one.
    """
    statement = "SELECT store_id, identity, database_identity.id, generation FROM store_identities, database_identity"
    with _open(file) as connection:
        return {StoreID(store): (identity, database, count) for store, identity, database, count in connection.execute(statement)}


def find_fault(file: Path) -> str | None:
    """Return what is wrong with the database in a file, or None."""
    with _open(file) as connection:
        found = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    return None if found == "ok" else found


@contextmanager
def _open(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a copy that no process writes, without creating other files."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise problems.Invalid(f"The database {file} cannot be read: {error}") from error
