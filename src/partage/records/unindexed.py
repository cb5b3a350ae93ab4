"""Expressions that keep SQLite from a bad plan."""

from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler


class Unindexed(ColumnElement[Any]):
    """The value of a column, to which SQLite applies no index: one whose order or whose number of rows does not suit.

    SQLite has no statistics by default. It takes an index of two equal columns although it then reads and sorts most of a project's
    images, and prefers an index in the order of a list to one that finds three rows. PostgreSQL has statistics, and decides itself.

    Source: sqlite.org/optoverview.html, on the unary plus that disqualifies terms of a WHERE clause.
    """

    inherit_cache = False

    def __init__(self, column: ColumnElement[Any]) -> None:
        """Take the column."""
        self.column = column
        self.type = column.type


@compiles(Unindexed)
def _render_column(element: Unindexed, compiler: SQLCompiler, **more: Any) -> str:
    return compiler.process(element.column, **more)


@compiles(Unindexed, "sqlite")
def _render_unary_plus(element: Unindexed, compiler: SQLCompiler, **more: Any) -> str:
    return f"+{compiler.process(element.column, **more)}"


class EqualColumn(ColumnElement[Any]):
    """A column, and on SQLite an equal one of a joined table, so that a condition is checked before the row itself is read.

    PostgreSQL does not get it: it took the condition for part of the scan of the joined table, whose few rows it then sorted.
    """

    inherit_cache = False

    def __init__(self, column: ColumnElement[Any], on_sqlite: ColumnElement[Any]) -> None:
        """Take the column, and the equal one."""
        self.column = column
        self.on_sqlite = on_sqlite
        self.type = column.type


@compiles(EqualColumn)
def _render_own(element: EqualColumn, compiler: SQLCompiler, **more: Any) -> str:
    return compiler.process(element.column, **more)


@compiles(EqualColumn, "sqlite")
def _render_equal(element: EqualColumn, compiler: SQLCompiler, **more: Any) -> str:
    return compiler.process(element.on_sqlite, **more)
