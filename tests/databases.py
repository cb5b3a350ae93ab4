"""Databases of tests: each is closed when what opened it ends, and a connection that nobody closed fails the run.

A test, or what it calls, opens a database with `open_database`, or hands one that the service opened to `close_at_end`. The
fixtures in tests/conftest.py close it: after the test, or at the end of the run where a fixture with a wider scope opened it.

Python 3.13 reports an SQLite connection that the garbage collector finds open; `watch` makes older ones report it in the same way,
and names the test that opened it.
"""

import os
import sqlite3
import sys
import warnings
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from partage.records.database import Database
from tests import mariadb, postgresql

KINDS = tuple(os.environ.get("PARTAGE_TEST_DATABASES", "sqlite,postgresql").split(","))
"""The kinds of databases of suites that run on each: PARTAGE_TEST_DATABASES=mariadb runs them on MariaDB."""

SERVER = KINDS[-1]
"""The kind of database of suites that need a server."""

_PROGRAMS = {"postgresql": postgresql, "mariadb": mariadb}
_scopes: list[ExitStack] = []
_connections: weakref.WeakSet["_WatchedConnection"] = weakref.WeakSet()
_connect = sqlite3.connect


@contextmanager
def serve(kind: str, folder: Path) -> Iterator[str]:
    """Yield the URL of an empty database of a kind: a file below `folder`, or that of a server which runs until the block ends."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/partage.db"
        return
    with _PROGRAMS[kind].server() as url:
        yield url


@contextmanager
def serve_server() -> Iterator[str]:
    """Yield the URL of an empty database of a server, which runs until the block ends."""
    with _PROGRAMS[SERVER].server() as url:
        yield url


def make_url(folder: Path) -> str:
    """Give the URL of an empty database: a file below `folder`, or one of a server of this run where all suites run on MariaDB."""
    return f"sqlite:///{folder}/partage.db" if "sqlite" in KINDS else mariadb.add_database(_start_server())


@cache
def _start_server() -> str:
    return _scopes[0].enter_context(mariadb.server())


def open_database(url: str, *, connections: int = 40) -> Database:
    """Prepare connections to `url` that are closed at the end of the innermost scope."""
    return close_at_end(Database(url, connections=connections))


def close_at_end(database: Database) -> Database:
    """Close a database at the end of the innermost scope; return it. In a process without scopes nothing closes it."""
    if _scopes:
        _scopes[-1].callback(database.close)
    return database


@contextmanager
def scope() -> Iterator[None]:
    """Close what is opened within the block when it ends."""
    with ExitStack() as opened:
        _scopes.append(opened)
        try:
            yield
        finally:
            _scopes.remove(opened)


def watch() -> None:
    """Watch each SQLite connection that this process opens from now on."""

    def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
        named.setdefault("factory", _WatchedConnection)
        return _connect(*arguments, **named)

    sqlite3.connect = sqlite3.dbapi2.connect = connect  # SQLAlchemy takes the second name


def list_open() -> list[str]:
    """Describe the watched connections that are open."""
    return sorted(repr(each) for each in _connections if each.is_open)


class _WatchedConnection(sqlite3.Connection):
    """A connection that knows which test opened it."""

    def __init__(self, database: Any, *arguments: Any, **named: Any) -> None:
        self._description = f"<connection to {database}, opened by {os.environ.get('PYTEST_CURRENT_TEST', 'no test')}>"
        self.is_open = False
        super().__init__(database, *arguments, **named)
        self.is_open = True
        _connections.add(self)

    def __repr__(self) -> str:
        return self._description

    def close(self) -> None:
        super().close()
        self.is_open = False

    if sys.version_info < (3, 13):

        def __del__(self) -> None:
            if self.is_open:
                warnings.warn(f"unclosed database in {self!r}", ResourceWarning, source=self, stacklevel=1)
