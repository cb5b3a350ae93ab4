"""The engine and its two kinds of transaction; driver errors are translated to problems.

SQLite runs in WAL mode with `synchronous=FULL`: an acknowledged commit survives a power failure. A write transaction begins as a
writer (BEGIN IMMEDIATE). One that reads first and writes later fails at once beside another writer; this is how Glance loses
uploads on SQLite. PostgreSQL runs at READ COMMITTED; a transaction that changes an image locks its row first.

Thread-safe: every transaction takes its own connection from the pool.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event, exc
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import ConnectionPoolEntry

from partage import problems
from partage.records.pool import make_pool_class

Transaction = sqlalchemy.Connection

NEVER = 2**63 - 1
"""The stored value of "never": a time after all others, so that a comparison can use an index."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AGE = "partage: how often the database had been closed when the connection was opened"
_SQLITE_SETTINGS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=20000",
    # No memory mapping: it is not measurably faster than the page cache. A read behind the end of a truncated file would be SIGBUS,
    # which ends the process; a read into a buffer is an error that can be handled. Each mapping also counts as resident memory.
    "PRAGMA mmap_size=0",
    # The heap limit alone does not hold: a process with 12 connections of 8 MiB each had 110 MiB. The kernel caches the file.
    "PRAGMA cache_size=-2048",
    "PRAGMA soft_heap_limit=16777216",
)
"""A connection's page cache has at most 2 MiB. Source: sqlite.org/pragma.html."""

# Some connections are reserved for superusers, and since PostgreSQL 16 for roles with pg_use_reserved_connections.
_OFFERED = sqlalchemy.text(
    "SELECT name, setting FROM pg_settings "
    "WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')"
)
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT")
_DAMAGED_STATES = ("XX001", "XX002")
"""Errors of a corrupt database file. Source: sqlite.org/rescode.html; PostgreSQL, appendix A."""

_REPEATABLE_READ = 3
"""`psycopg.IsolationLevel.REPEATABLE_READ`; the driver is optional."""


class Database:
    """Connections to one database, SQLite or PostgreSQL."""

    def __init__(self, url: str, *, connections: int = 40, wait_seconds: float = 5.0, idle_seconds: float = 60.0) -> None:
        """Prepare connections to `url`, at most `connections` at once. None is opened yet.

        A transaction waits at most `wait_seconds` for a connection. A connection is closed after `idle_seconds` without use.
        """
        pool: dict[str, Any] = {"pool_size": connections, "max_overflow": 0, "pool_timeout": wait_seconds, "pool_use_lifo": True}
        self._engine = _engine(url, {**pool, "poolclass": make_pool_class(idle_seconds)})
        self._writer = self._engine.execution_options(partage_writes=True)
        self._times_closed = 0
        event.listen(self._engine, "connect", self._note_age)
        event.listen(self._engine, "checkin", self._close_if_old)

    @property
    def dialect(self) -> str:
        """The kind of database: sqlite or postgresql."""
        return self._engine.dialect.name

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database; None for PostgreSQL."""
        name = self._engine.url.database
        return Path(name) if self.dialect == "sqlite" and name else None

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Open a read-only transaction. All of its statements see one state of the database: that of its first statement.

        Raises:
            DatabaseUnavailable: the database does not answer, or is damaged.
        """
        with _translate_errors(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a transaction that is committed durably when the block ends, and rolled back when the block raises.

        Raises:
            DatabaseUnavailable: the database does not answer, is full or damaged, or was busy for too long.
        """
        with _translate_errors(), self._writer.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Yield the driver's own connection, without a transaction.

        Raises:
            DatabaseUnavailable: the database does not answer, or is damaged.
        """
        with _translate_errors(), self._engine.connect() as connection:
            yield connection.connection.driver_connection

    def connections_offered(self) -> int | None:
        """Return how many connections the server has for all ordinary users together; None for SQLite.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        if self.dialect != "postgresql":
            return None
        with self.read() as tx:
            settings = {name: int(value) for name, value in tx.execute(_OFFERED)}
        return settings.pop("max_connections") - sum(settings.values())

    def close(self) -> None:
        """Close every connection; one in use is closed after its transaction. Later transactions open new connections."""
        self._times_closed += 1
        self._engine.dispose()

    def _note_age(self, _connection: object, entry: ConnectionPoolEntry) -> None:
        entry.info[_AGE] = self._times_closed

    def _close_if_old(self, _connection: object, entry: ConnectionPoolEntry) -> None:
        # dispose() forgets connections that are in use; they would return to a pool that is never closed
        if entry.info.get(_AGE) != self._times_closed:
            entry.close()


def to_microseconds(moment: datetime) -> int:
    """Convert an aware time to the stored integer."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_microseconds(stored: int) -> datetime:
    """Convert a stored integer to an aware time in UTC."""
    return _EPOCH + timedelta(microseconds=stored)


def to_time(moment: datetime | None) -> int:
    """Convert a time to the stored integer; None is never."""
    return NEVER if moment is None else to_microseconds(moment)


def from_time(stored: int) -> datetime | None:
    """Convert a stored integer to a time; None is never."""
    return None if stored == NEVER else from_microseconds(stored)


def _engine(url: str, pool: Mapping[str, Any]) -> sqlalchemy.Engine:
    try:
        parsed = sqlalchemy.make_url(url)
    except exc.ArgumentError as error:
        reason = (
            "the database URL cannot be parsed; it looks like sqlite:////var/lib/partage/partage.db or postgresql+psycopg://..."
        )
        raise problems.DatabaseUnavailable(reason) from error
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    common: dict[str, Any] = {**pool, "insertmanyvalues_page_size": 200}
    if parsed.get_backend_name() != "sqlite":
        engine = sqlalchemy.create_engine(parsed, pool_pre_ping=True, **common)
        event.listen(engine, "begin", _begin_postgresql)
        return engine
    engine = sqlalchemy.create_engine(parsed, connect_args={"timeout": 20}, pool_reset_on_return=None, **common)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "reset", _undo_sqlite)
    event.listen(engine, "handle_error", _drop_broken_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # otherwise the driver begins transactions itself, as readers
    try:
        for setting in _SQLITE_SETTINGS:
            connection.execute(setting).close()
    except BaseException:
        connection.close()  # it is not in the pool yet, so nothing else would close its files
        raise


def _begin_sqlite(connection: sqlalchemy.Connection) -> None:
    if connection.get_execution_options().get("partage_writes", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        # Directly on the driver, because SQLAlchemy takes four times as long as finding an image. BEGIN touches no file, so it
        # cannot fail.
        connection.connection.cursor().execute("BEGIN").close()


def _begin_postgresql(connection: sqlalchemy.Connection) -> None:
    """Let readers see one state, as on SQLite. A writer sees what others have committed while it waited for a lock.

    Directly on the driver, which sends the level with BEGIN: SQLAlchemy takes 40 µs to set it and to reset it.
    """
    writes = connection.get_execution_options().get("partage_writes", False)
    driver: Any = connection.connection.driver_connection
    if (driver.isolation_level is None) is not writes:
        driver.isolation_level = None if writes else _REPEATABLE_READ


def _undo_sqlite(connection: Any, _record: object, _state: object) -> None:
    """Roll back after a failed COMMIT: SQLite keeps the transaction, and with it the lock that every writer waits for."""
    if connection.in_transaction:
        connection.rollback()


def _drop_broken_sqlite(context: ExceptionContext) -> None:
    """Drop all connections after a disk error of one; the next connection opens the file again.

    If SQLite cannot open a file for writing (for lack of descriptors, for example), it opens it read-only and never tries again.
    And a damaged file may have been replaced by a backup.
    """
    name = getattr(context.original_exception, "sqlite_errorname", "")
    if name.startswith(("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", *_DAMAGED)):
        context.is_disconnect = True


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except (exc.DatabaseError, exc.InterfaceError, exc.TimeoutError) as error:
        problem = _problem(error)
        if problem is None:
            raise
        raise problem from error


def _problem(error: exc.SQLAlchemyError) -> problems.DatabaseUnavailable | None:
    """Translate a failure of the database; None if it is an error of the program."""
    if isinstance(error, exc.TimeoutError):
        return problems.DatabaseUnavailable(
            "All connections that this process may have to the database are in use; try again in a few seconds. "
            "The operator can allow more (database_connections)"
        )
    original = getattr(error, "orig", None)
    name = getattr(original, "sqlite_errorname", "")
    state = getattr(original, "sqlstate", None) or ""
    if name.startswith(_DAMAGED) or state in _DAMAGED_STATES:
        reason = f" ({original})" if name else ""  # SQLite's words are constants; PostgreSQL's name files
        return problems.DatabaseUnavailable(f"The database is damaged{reason}; the operator has to restore it from a backup")
    if isinstance(error, (exc.IntegrityError, exc.ProgrammingError, exc.DataError)):
        return None
    return problems.DatabaseUnavailable("The database does not answer at the moment; try again in a few seconds")
