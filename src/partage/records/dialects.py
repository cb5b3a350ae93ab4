"""Statements that databases write in different ways, so that the modules of nouns do not distinguish databases.

What only reads differently is rendered by SQLAlchemy's dialects, for MariaDB by `records/mariadb.py`.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, Update, delete, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from partage.records.database import Transaction

Upsert = postgresql.Insert | sqlite.Insert


def build_insert(tx: Transaction, table: Table) -> Upsert:
    """Return an INSERT that can say what happens if the row exists: `on_conflict_do_nothing`, `on_conflict_do_update`.

    MariaDB reads SQLite's form, and executes it when any key of the table has the values, whichever key is named.
    """
    return choose_insert(tx.dialect.name)(table)


def choose_insert(dialect: str) -> type[Upsert]:
    """Return the class of such an INSERT for a kind of database."""
    return postgresql.Insert if dialect == "postgresql" else sqlite.Insert


def greatest(tx: Transaction, *values: Any) -> ColumnElement[int]:
    """SQL expression: the largest of values that are not NULL."""
    found: ColumnElement[int] = (func.max if tx.dialect.name == "sqlite" else func.greatest)(*values)
    return found


def least(tx: Transaction, *values: Any) -> ColumnElement[int]:
    """SQL expression: the smallest of values that are not NULL."""
    found: ColumnElement[int] = (func.min if tx.dialect.name == "sqlite" else func.least)(*values)
    return found


def update_row(tx: Transaction, change: Update, row: Sequence[ColumnElement[bool]], columns: Sequence[Any]) -> Row[Any] | None:
    """Execute a change of at most the one row that `row` identifies; return these columns of it, or None if it did not change.

    An UPDATE of MariaDB returns nothing, so that the row, which it has locked, is read afterwards.
    """
    if tx.dialect.name != "mariadb":
        return tx.execute(change.returning(*columns)).first()
    return tx.execute(select(*columns).where(*row)).first() if tx.execute(change).rowcount else None


def delete_rows(tx: Transaction, table: Table, found: Select[Any]) -> int:
    """Delete the rows whose primary keys a SELECT finds; return how many."""
    if tx.dialect.name == "mariadb":
        return sum(tx.execute(delete(table).where(*_has_key(table, key))).rowcount for key in tx.execute(found).all())
    return tx.execute(delete(table).where(tuple_(*table.primary_key).in_(found))).rowcount


def take_rows(tx: Transaction, table: Table, found: Select[Any], columns: Sequence[Any], *, skip_locked: bool) -> list[Row[Any]]:
    """Delete the rows whose primary keys a SELECT finds; return these columns of them.

    `skip_locked`: leave those that another transaction has locked.
    """
    if tx.dialect.name == "mariadb":
        return [row for key in tx.execute(found).all() for row in _take(tx, table, found, key, columns, skip_locked=skip_locked)]
    keys = found.with_for_update(skip_locked=True) if skip_locked else found
    return [*tx.execute(delete(table).where(tuple_(*table.primary_key).in_(keys)).returning(*columns))]


def _take(
    tx: Transaction, table: Table, found: Select[Any], key: Row[Any], columns: Sequence[Any], *, skip_locked: bool
) -> Sequence[Row[Any]]:
    """Delete one row, if it still is to be found; return these columns of it.

    On MariaDB a DELETE by many keys may read every row of the table, and wait for those that are locked.
    """
    mine = _has_key(table, key)
    still = () if found.whereclause is None else (found.whereclause,)
    rows = tx.execute(select(*columns).where(*mine, *still).with_for_update(skip_locked=skip_locked)).all()
    if rows:
        tx.execute(delete(table).where(*mine))
    return rows


def _has_key(table: Table, key: Row[Any]) -> list[ColumnElement[bool]]:
    return [column == value for column, value in zip(table.primary_key, key, strict=True)]
