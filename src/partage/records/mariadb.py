"""The MariaDB dialect: how the tables, and the statements that are written for all databases, read on MariaDB.

Loaded by SQLAlchemy when `database_url` is of MariaDB. Modules of nouns do not import it.

- Text compares by code point, with case and trailing spaces, as on PostgreSQL in the C locale and on SQLite.
- No expression can be indexed: a generated column has its value, and statements with the expression read the column.
- No index can be restricted to some rows: it has the column of the condition as its second one.
- A comparison of tuples uses no index: it is written as comparisons of columns.
- DDL commits: each statement is skipped if it has been executed, so that an interrupted upgrade can be started again.
"""

import re
from collections.abc import Callable
from typing import Any

from alembic.ddl.base import AddColumn, visit_add_column
from sqlalchemy import Column, ColumnElement, Index, Table, and_, or_
from sqlalchemy.dialects.mysql.base import MySQLDDLCompiler, MySQLTypeCompiler
from sqlalchemy.dialects.mysql.mariadb import MariaDBDialect
from sqlalchemy.dialects.mysql.mysqldb import MySQLCompiler_mysqldb
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.ddl import CreateIndex, CreateTable, DropIndex
from sqlalchemy.sql.elements import BinaryExpression, ColumnClause, Tuple
from sqlalchemy.sql.functions import Function
from sqlalchemy.sql.selectable import Join
from sqlalchemy.sql.visitors import iterate

from partage import problems
from partage.records.tables import images

OLDEST = (10, 6)
"""The first version that skips locked rows."""

_COLLATION = "utf8mb4_nopad_bin"
_SESSION = (
    f"SET NAMES utf8mb4 COLLATE {_COLLATION}",
    "SESSION time_zone = '+00:00'",
    # Whatever the server's configuration: a value that does not fit is an error, and an UPDATE reads the row as it was.
    "SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,SIMULTANEOUS_ASSIGNMENT'",
    "SESSION innodb_lock_wait_timeout = 20",
    "SESSION foreign_key_checks = 1",
    "SESSION unique_checks = 1",
)
_COSTS = ("SESSION optimizer_adjust_secondary_key_costs = 'adjust_secondary_key_cost,disable_max_seek'",)
"""Without it a list that goes on after a position walks its index from the start: reads by equal columns seem too cheap."""
_WITH_COSTS = (((10, 6, 18), (10, 7)), ((10, 11, 8), (11,)))
"""The versions that have the setting. MariaDB 11 estimates costs in another way."""
_TABLE_OPTIONS = f"ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE {_COLLATION}"

GENERATED = {
    ("images", "coalesce(name, '')"): ("name_or_empty", "VARCHAR(255)"),
    ("images", "coalesce(disk_format, '')"): ("disk_format_or_empty", "VARCHAR(40)"),
    ("images", "coalesce(size, -1)"): ("size_or_minus_one", "BIGINT"),
    ("images", "substr(os_hash_value, 1, 64)"): ("start_of_os_hash_value", "VARCHAR(64)"),
    ("image_properties", "substr(value, 1, 64)"): ("start_of_value", "VARCHAR(64)"),
}
"""The generated column of each expression that an index has, and its type."""

_SHARES = ("members", "endings")
_ORDERS = {operators.lt: operators.lt, operators.le: operators.lt, operators.gt: operators.gt, operators.ge: operators.gt}
"""How the columns before the last one are compared where tuples are compared by one of these operators."""


class _StatementCompiler(MySQLCompiler_mysqldb):
    """Renders SELECT, INSERT, UPDATE and DELETE."""

    def visit_binary(self, binary: BinaryExpression[Any], *rest: Any, **more: Any) -> str:
        if binary.operator in _ORDERS and isinstance(binary.left, Tuple) and isinstance(binary.right, Tuple):
            return f"({self.process(_compare(binary.left, binary.right, binary.operator), **more)})"
        return str(super().visit_binary(binary, *rest, **more))  # type: ignore[no-untyped-call]

    def visit_join(self, join: Join, asfrom: bool = False, from_linter: Any = None, **more: Any) -> str:  # noqa: FBT001, FBT002
        """Walk a project's shares, and look for the image of each: MariaDB would read and sort all shared images."""
        share = next((each for each in (join.left, join.right) if getattr(each, "name", None) in _SHARES), None)
        if share is None or join.isouter or join.onclause is None or images not in (join.left, join.right):
            return super().visit_join(join, asfrom, from_linter, **more)
        if from_linter:
            from_linter.edges.add((join.left, join.right))
        texts = [self.process(each, asfrom=True, from_linter=from_linter, **more) for each in (share, images)]
        return f"{' STRAIGHT_JOIN '.join(texts)} ON {self.process(join.onclause, from_linter=from_linter, **more)}"

    def visit_coalesce_func(self, function: Function[Any], **more: Any) -> str:
        return self._find_generated(function) or f"coalesce{self.function_argspec(function, **more)}"

    def visit_substr_func(self, function: Function[Any], **more: Any) -> str:
        return self._find_generated(function) or f"substr{self.function_argspec(function, **more)}"

    def visit_column(self, column: ColumnClause[Any], *rest: Any, **more: Any) -> str:
        if getattr(column.table, "name", None) == "excluded":  # the row that an upsert could not insert
            return f"VALUES({self.preparer.quote(column.name)})"
        return super().visit_column(column, *rest, **more)

    def visit_on_conflict_do_nothing(self, _clause: Any, **_more: Any) -> str:
        # Not INSERT IGNORE, which ignores other errors too.
        first = self.preparer.quote(next(iter(self._table.primary_key)).name)
        return f"ON DUPLICATE KEY UPDATE {first} = {first}"

    def visit_on_conflict_do_update(self, clause: Any, **more: Any) -> str:
        table, changes = self._table, dict(clause.update_values_to_set)
        where = None if clause.update_whereclause is None else self.process(clause.update_whereclause, **more)
        read = _list_columns(clause.update_whereclause)
        texts = []
        for key in _order_assignments(table, changes, read):
            column = table.c[key]
            name = self.preparer.quote(column.name)
            text = self.process(changes[key].self_group(), use_schema=False, **more)
            texts.append(f"{name} = {text}" if where is None else f"{name} = if({where}, {text}, {name})")
        return f"ON DUPLICATE KEY UPDATE {', '.join(texts)}"

    @property
    def _table(self) -> Table:
        table = self.current_executable.table
        if not isinstance(table, Table):
            raise TypeError(table)
        return table

    def _find_generated(self, function: Function[Any]) -> str | None:
        """Return the generated column that has the function's value, if there is one."""
        first, *rest = function.clauses
        if not isinstance(first, Column) or not isinstance(first.table, Table):
            return None
        if not all(isinstance(each, ColumnClause) and each.is_literal for each in rest):
            return None
        words = ", ".join([first.name, *(str(each.name) for each in rest)])
        found = GENERATED.get((first.table.name, f"{function.name}({words})"))
        return None if found is None else f"{self.preparer.format_table(first.table)}.{self.preparer.quote(found[0])}"


class _DefinitionCompiler(MySQLDDLCompiler):
    """Renders CREATE and DROP."""

    def post_create_table(self, table: Table) -> str:  # noqa: ARG002 -- as SQLAlchemy calls it
        return _TABLE_OPTIONS

    def visit_create_table(self, create: CreateTable, **more: Any) -> str:
        create.if_not_exists = True
        return str(super().visit_create_table(create, **more))  # type: ignore[no-untyped-call]

    def visit_create_index(self, create: CreateIndex, *_rest: Any, **_more: Any) -> str:
        index = create.element
        if not isinstance(index.table, Table):
            raise TypeError(index)
        table = index.table.name
        columns = [_take_text(each) for each in index.expressions]
        parts = [
            f"ADD COLUMN IF NOT EXISTS {name} {kind} GENERATED ALWAYS AS ({expression}) STORED"
            for (of, expression), (name, kind) in GENERATED.items()
            if of == table and expression in columns
        ]
        names = [GENERATED[table, each][0] if (table, each) in GENERATED else self.preparer.quote(each) for each in columns]
        names[1:1] = _list_conditions(index)
        parts.append(f"ADD INDEX IF NOT EXISTS {index.name} ({', '.join(names)})")
        return f"ALTER TABLE {self.preparer.format_table(index.table)} {', '.join(parts)}"

    def visit_drop_index(self, drop: DropIndex, **more: Any) -> str:
        drop.if_exists = True
        return super().visit_drop_index(drop, **more)


class _TypeCompiler(MySQLTypeCompiler):
    """Renders types: text and bytes without a length have no limit of 64 KiB."""

    def visit_TEXT(self, type_: Any, **_more: Any) -> str:  # noqa: N802 -- the name is SQLAlchemy's
        return "LONGTEXT" if type_.length is None else f"VARCHAR({type_.length})"

    def visit_BLOB(self, type_: Any, **_more: Any) -> str:  # noqa: N802 -- the name is SQLAlchemy's
        return "LONGBLOB" if type_.length is None else f"VARBINARY({type_.length})"


class Dialect(MariaDBDialect, MySQLDialect_pymysql):
    """MariaDB through PyMySQL."""

    driver = "partage"
    supports_statement_cache = True
    statement_compiler = _StatementCompiler
    ddl_compiler = _DefinitionCompiler
    type_compiler_cls = _TypeCompiler

    def on_connect(self) -> Callable[[Any], None]:
        """Return what prepares a connection: one statement, whatever the server's configuration."""
        return _configure


def _configure(connection: Any) -> None:
    try:
        with connection.cursor() as cursor:
            version = _find_version(connection.get_server_info(), cursor)
            costs = _COSTS if any(first <= version < after for first, after in _WITH_COSTS) else ()
            cursor.execute(", ".join((*_SESSION, *costs)))
    except BaseException:
        connection.close()  # it is not in the pool yet, so nothing else would close it
        raise


def _find_version(greeting: str, cursor: Any) -> tuple[int, ...]:
    """Find the version of the server: in its greeting, before which some releases have 5.5.5-, or in its answer behind a proxy.

    Raises:
        DatabaseUnavailable: the server is MySQL, or older than Partage needs.
    """
    if "MariaDB" not in greeting:
        cursor.execute("SELECT version()")
        (greeting,) = cursor.fetchone()
    words = re.search(r"(\d+)\.(\d+)\.(\d+)-MariaDB", greeting)
    version = tuple(int(each) for each in words.groups()) if words else ()
    if version < OLDEST:
        found = f"MariaDB {'.'.join(map(str, version))}" if version else f"{greeting}, which is no MariaDB"
        raise problems.DatabaseUnavailable(
            f"The server of database_url is {found}; Partage needs MariaDB {'.'.join(map(str, OLDEST))} or later"
        )
    return version


@compiles(AddColumn, "mariadb")
def _add_column(element: AddColumn, compiler: MySQLDDLCompiler, **more: Any) -> str:
    element.if_not_exists = True
    return visit_add_column(element, compiler, **more)


def _compare(left: Tuple, right: Tuple, operator: Any) -> ColumnElement[bool]:
    """Write a comparison of tuples as ranges of an index: the first column is beyond, or it is equal and the next one is beyond."""
    (column, *columns), (value, *values) = left.clauses, right.clauses
    if not columns:
        return operator(column, value)  # type: ignore[no-any-return]
    later = _compare(Tuple(*columns), Tuple(*values), operator)
    return or_(_ORDERS[operator](column, value), and_(column == value, later))


def _order_assignments(table: Table, changes: dict[str, Any], read_by_all: set[str]) -> list[str]:
    """Order assignments so that each reads columns as they were: an upsert on MariaDB assigns from left to right."""
    left, ordered = dict(changes), list[str]()
    while left:
        for key in left:
            others = {name for other, value in left.items() if other != key for name in _list_columns(value)}
            is_read = table.c[key].name in others or (table.c[key].name in read_by_all and len(left) > 1)
            if not is_read:
                break
        else:
            raise ValueError(f"each of {sorted(left)} is read by another one's assignment")
        ordered.append(key)
        del left[key]
    return ordered


def _list_columns(expression: Any) -> set[str]:
    """List the columns of the stored row that an expression reads."""
    found = [] if expression is None else list(iterate(expression))
    return {each.name for each in found if isinstance(each, Column) and isinstance(each.table, Table)}


def _take_text(expression: Any) -> str:
    return expression.name if isinstance(expression, Column) else str(expression)


def _list_conditions(index: Index) -> list[str]:
    """List the column whose value restricts the index on other databases, if there is one. NULL is in every index."""
    where = index.dialect_options["sqlite"]["where"]
    words = [] if where is None else str(where).split()
    return [words[0]] if "=" in words else []
