"""Ids of events on MariaDB, in the order in which transactions commit.

The ids of AUTO_INCREMENT are not in that order, and MariaDB has no lock that many transactions can share and a reader can list. So
a transaction takes its ids from a row that it locks until it has committed. It does so last of all, just before COMMIT: a
transaction that waits for this lock holds all others that it needs, so that no two wait for each other. Transactions that add
events therefore commit one after the other, as on SQLite.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import insert, select

from partage.records.database import Transaction, act_at_commit
from partage.records.dialects import build_insert
from partage.records.event_tables import event_numbers, events

_THE_ONLY_ROW = 1


def add_at_commit(tx: Transaction, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows of events at the end of the transaction, in the order of the calls."""
    act_at_commit(tx, lambda tx: _add(tx, rows))


def find_highest(tx: Transaction) -> int:
    """Return the highest id that was given out; 0 before the first. All events up to it can be read."""
    return tx.execute(select(event_numbers.c.highest)).scalar() or 0


def _add(tx: Transaction, rows: Sequence[Mapping[str, object]]) -> None:
    statement = build_insert(tx, event_numbers).values(number=_THE_ONLY_ROW, highest=len(rows))
    taken = statement.on_conflict_do_update(index_elements=["number"], set_={"highest": event_numbers.c.highest + len(rows)})
    highest: int = tx.execute(taken.returning(event_numbers.c.highest)).scalar_one()
    first = highest - len(rows) + 1
    tx.execute(insert(events), [{"id": first + place, **row} for place, row in enumerate(rows)])
