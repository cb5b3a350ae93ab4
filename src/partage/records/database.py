"""The engine and its two kinds of transaction; driver errors are translated to problems.

SQLite runs in WAL mode with `synchronous=FULL`: an acknowledged commit survives a power failure. A write transaction begins as a
writer (BEGIN IMMEDIATE). One that reads first and writes later fails at once beside another writer; this is how Glance loses
uploads on SQLite. PostgreSQL and MariaDB run at READ COMMITTED; a transaction that changes an image locks its row first.

Thread-safe: every transaction takes its own connection from the pool.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event, exc
from sqlalchemy.dialects import registry
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import ConnectionPoolEntry

from partage import problems
from partage.measures import DATABASE_FAILURES, TRANSACTION_SECONDS, Meter, Unmetered
from partage.records import unreachable
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
# An account may have a limit of its own; 0 is none.
_OFFERED_BY_MARIADB = sqlalchemy.text(
    "SELECT if(@@max_user_connections = 0, @@max_connections, least(@@max_connections, @@max_user_connections))"
)
_EXAMPLES = (
    "sqlite:////var/lib/partage/partage.db, postgresql://user:password@host/database or mariadb://user:password@host/database"
)
_KINDS = {"sqlite": "sqlite", "postgresql": "postgresql", "mariadb": "mariadb", "mysql": "mariadb"}
"""The databases that are supported, by the name in a URL; the extra of the package has the name of the kind."""
_DRIVERS = {"postgresql": "psycopg", "mariadb": "pymysql"}
_DIALECTS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mariadb": "mariadb+partage"}
registry.register("mariadb.partage", "partage.records.mariadb", "Dialect")
_CONNECT_SECONDS = 10
"""Without it a firewall that drops packets holds a start, and each thread that needs a connection, for two minutes."""
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT")
_NOT_PERMITTED = "42501"
"""PostgreSQL's error of a user that does not own the database."""
_NO_TABLE = 1146
"""MariaDB's error where there is no schema. The other databases then report that the statement or transaction failed."""
_DAMAGED_STATES = ("XX001", "XX002")
"""Errors of a corrupt database file. Source: sqlite.org/rescode.html; PostgreSQL, appendix A."""
_DAMAGED_NUMBERS = (1034, 1194, 1195, 1712, 1877)
_CONFLICTS = ("40001", "40P01", "55P03", 1020, 1205, 1213)
"""Errors of a transaction that another one has overtaken: a deadlock, a wait for a lock that took too long, and on a Galera cluster
a COMMIT that another node's came before. Source: PostgreSQL, appendix A; mariadb.com/kb, error codes."""

_REPEATABLE_READ = 3
"""`psycopg.IsolationLevel.REPEATABLE_READ`; the driver is optional."""
_DUPLICATES_OF_CHILDREN = (1761, 1762)
_LEVEL = "partage: the isolation level of the connection"
_AT_COMMIT = "partage: what a transaction does last"


class Database:
    """Connections to one database: SQLite, PostgreSQL or MariaDB."""

    def __init__(
        self,
        url: str,
        *,
        connections: int = 40,
        wait_seconds: float = 5.0,
        idle_seconds: float = 60.0,
        meter: Meter | None = None,
    ) -> None:
        """Prepare connections to `url`, at most `connections` at once. None is opened yet.

        A transaction waits at most `wait_seconds` for a connection. A connection is closed after `idle_seconds` without use.
        """
        pool: dict[str, Any] = {"pool_size": connections, "max_overflow": 0, "pool_timeout": wait_seconds, "pool_use_lifo": True}
        self._engine = _engine(url, {**pool, "poolclass": make_pool_class(idle_seconds)})
        self._writer = self._engine.execution_options(partage_writes=True)
        self._times_closed = 0
        self._meter = Unmetered() if meter is None else meter
        event.listen(self._engine, "connect", self._note_age)
        event.listen(self._engine, "checkin", self._close_if_old)

    @property
    def dialect(self) -> str:
        """The kind of database: sqlite, postgresql or mariadb."""
        return self._engine.dialect.name

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database; None for a server's."""
        name = self._engine.url.database
        return Path(name) if self.dialect == "sqlite" and name else None

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Open a read-only transaction. All of its statements see one state of the database: that of its first statement.

        Raises:
            DatabaseUnavailable: the database does not answer, or is damaged.
        """
        with self._measure("read"), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a transaction that is committed durably when the block ends, and rolled back when the block raises.

        Raises:
            DatabaseUnavailable: the database does not answer, is full or damaged, or was busy for too long.
        """
        with self._measure("write"), self._writer.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Yield the driver's own connection, without a transaction.

        Raises:
            DatabaseUnavailable: the database does not answer, or is damaged.
        """
        with self._measure("raw"), self._engine.connect() as connection:
            yield connection.connection.driver_connection

    def connections_offered(self) -> int | None:
        """Return how many connections the server has for all ordinary users together; None for SQLite.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        if self.dialect == "sqlite":
            return None
        if self.dialect == "mariadb":
            with self.read() as tx:
                return int(tx.execute(_OFFERED_BY_MARIADB).scalar_one())
        with self.read() as tx:
            settings = {name: int(value) for name, value in tx.execute(_OFFERED)}
        return settings.pop("max_connections") - sum(settings.values())

    def require_answer(self) -> None:
        """Open a connection, for the start of a process.

        Raises:
            DatabaseUnavailable: that fails; the message says why, and what the operator can do.
        """
        try:
            with self.read() as tx:
                tx.execute(sqlalchemy.text("SELECT 1"))
        except problems.DatabaseUnavailable as problem:
            raise self.explain(problem) from problem

    def explain(self, problem: problems.DatabaseUnavailable) -> problems.DatabaseUnavailable:
        """Return the problem with its cause and a remedy, for the operator; as it is, if it names them or they are not known."""
        cause = problem.__cause__
        if not isinstance(cause, exc.DatabaseError | exc.InterfaceError) or _is_damaged(cause):
            return problem
        return problems.DatabaseUnavailable(unreachable.explain(self._engine.url, cause))

    def close(self) -> None:
        """Close every connection; one in use is closed after its transaction. Later transactions open new connections."""
        self._times_closed += 1
        self._engine.dispose()

    @contextmanager
    def _measure(self, kind: str) -> Iterator[None]:
        """Measure a transaction and translate its errors."""
        began_at = time.perf_counter()
        try:
            with _translate_errors():
                yield
        except problems.DatabaseUnavailable:
            self._meter.add(DATABASE_FAILURES, kind)
            raise
        finally:
            self._meter.time(TRANSACTION_SECONDS, time.perf_counter() - began_at, kind)

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


def _parse_url(url: str) -> sqlalchemy.URL:
    """Parse the URL of a database, and choose the driver.

    Raises:
        DatabaseUnavailable: it is no URL, or of another kind of database, or the driver is not installed.
    """
    try:
        parsed = sqlalchemy.make_url(url)
    except (exc.ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise problems.DatabaseUnavailable(f"database_url cannot be parsed; it looks like {_EXAMPLES}") from error
    kind = _KINDS.get(parsed.get_backend_name())
    if kind is None:
        raise problems.DatabaseUnavailable(
            f"database_url begins with {parsed.get_backend_name()}, which is not supported; it looks like {_EXAMPLES}"
        )
    driver = _DRIVERS.get(kind)
    if driver and importlib.util.find_spec(driver) is None:
        raise problems.DatabaseUnavailable(
            f"The driver for {kind}, {driver}, is not installed; install it with: pip install 'partage[{kind}]'"
        )
    return parsed.set(drivername=_DIALECTS[kind])


def _engine(url: str, pool: Mapping[str, Any]) -> sqlalchemy.Engine:
    parsed = _parse_url(url)
    common: dict[str, Any] = {**pool, "insertmanyvalues_page_size": 200}
    if parsed.get_backend_name() == "mariadb":
        timeouts = {} if "connect_timeout" in parsed.query else {"connect_timeout": _CONNECT_SECONDS}
        engine = sqlalchemy.create_engine(parsed, pool_pre_ping=True, connect_args={"charset": "utf8mb4", **timeouts}, **common)
        event.listen(engine, "begin", _begin_mariadb)
        event.listen(engine, "commit", _act_at_commit)
        event.listen(engine, "handle_error", _recognise_duplicate, retval=True)
        return engine
    if parsed.get_backend_name() != "sqlite":
        if "connect_timeout" not in parsed.query:
            common["connect_args"] = {"connect_timeout": _CONNECT_SECONDS}
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


def _begin_mariadb(connection: sqlalchemy.Connection) -> None:
    """As on PostgreSQL. The level is sent only where the connection had the other one: that is a round trip."""
    level = "READ COMMITTED" if connection.get_execution_options().get("partage_writes", False) else "REPEATABLE READ"
    if connection.info.get(_LEVEL) != level:
        connection.exec_driver_sql(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
        connection.info[_LEVEL] = level


def _recognise_duplicate(context: ExceptionContext) -> exc.IntegrityError | None:
    """Return an integrity error for a change of a key that cannot follow to the rows that refer to it; the driver does not.

    Source: mariadb.com/kb, error codes 1761 and 1762.
    """
    error = context.original_exception
    if error.args and error.args[0] in _DUPLICATES_OF_CHILDREN:
        return exc.IntegrityError(context.statement, context.parameters, error)
    return None


def act_at_commit(tx: Transaction, act: Callable[[Transaction], None]) -> None:
    """Act once at the end of a transaction on MariaDB, before its COMMIT, and not if it is rolled back."""
    of, acts = tx.info.get(_AT_COMMIT, (None, []))
    if of is not tx.get_transaction():
        acts = []
        tx.info[_AT_COMMIT] = (tx.get_transaction(), acts)
    acts.append(act)


def _act_at_commit(tx: sqlalchemy.Connection) -> None:
    of, acts = tx.info.pop(_AT_COMMIT, (None, []))
    if of is tx.get_transaction():
        for act in acts:
            act(tx)


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
    if _is_damaged(error):
        original = getattr(error, "orig", None)
        reason = f" ({original})" if _name_error(error) else ""  # SQLite's words are constants; a server's name files
        return problems.DatabaseUnavailable(f"The database is damaged{reason}; the operator has to restore it from a backup")
    is_of_program = isinstance(error, (exc.IntegrityError, exc.ProgrammingError, exc.DataError))
    if is_of_program and _find_state(error) != _NOT_PERMITTED and _find_number(error) != _NO_TABLE:
        return None
    if _find_state(error) in _CONFLICTS or _find_number(error) in _CONFLICTS:
        return problems.DatabaseUnavailable("Another change came in between, and this one was undone; try again in a few seconds")
    return problems.DatabaseUnavailable("The database does not answer at the moment; try again in a few seconds")


def _is_damaged(error: exc.SQLAlchemyError) -> bool:
    if _find_number(error) in _DAMAGED_NUMBERS:
        return True
    return _name_error(error).startswith(_DAMAGED) or _find_state(error) in _DAMAGED_STATES


def _name_error(error: exc.SQLAlchemyError) -> str:
    """Return SQLite's name of an error, such as SQLITE_FULL; empty for other databases."""
    return str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))


def _find_state(error: exc.SQLAlchemyError) -> str:
    """Return PostgreSQL's code of an error (SQLSTATE); empty for other databases."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) or ""


def _find_number(error: exc.SQLAlchemyError) -> int | None:
    """Return MariaDB's number of an error; None for other databases."""
    arguments = getattr(getattr(error, "orig", None), "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None
