"""The key of the cursors of events: one row, which the migration that creates the table inserts."""

from sqlalchemy import select

from partage import problems
from partage.model.event_cursor import CursorCipher
from partage.records.compiled import CompiledSelect
from partage.records.database import Transaction
from partage.records.event_tables import event_keys

_FIND = CompiledSelect(select(event_keys.c.key))


def find_cipher(tx: Transaction) -> CursorCipher:
    """Return what writes and reads cursors.

    Raises:
        DatabaseUnavailable: the row is gone.
    """
    row = _FIND.fetch_first(tx, {})
    if row is None:
        raise problems.DatabaseUnavailable("The database has no key for the cursors of events; restore it from a backup")
    return CursorCipher(bytes.fromhex(row[0]))
