"""The places where races are acted: SQLite with steps of transactions, PostgreSQL and MariaDB with steps of statements.

All keep chunks in the memory store, so that a world is made in milliseconds. What is durable is the matter of tests/crashes.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event

from partage.operations.service import Service
from partage.records import schema, tables
from partage.records.database import Database, Transaction
from partage.stores.engine.reader import ReadAhead
from partage.stores.store import Draft, Store
from tests.crashes import worlds
from tests.memory_store import MemoryStore
from tests.races import scheduling
from tests.races.scheduling import Actor, Chooser, Ended, Step
from tests.services import change_service

Before = Callable[[Service], object]


class SQLiteStage:
    """One SQLite file, copied for every race."""

    name = "sqlite"

    def __init__(self, _url: str, folder: Path) -> None:
        self._folder = folder
        self._service = worlds.without_syncs(worlds.compose(folder, store=MemoryStore()))
        self._templates: dict[Before, tuple[bytes, MemoryStore]] = {}

    @contextmanager
    def world(self, before: Before) -> Iterator[Service]:
        """Give a service with a database and store that are as `before` makes them."""
        if before not in self._templates:
            self._templates[before] = self._make(before)
        database, store = self._templates[before]
        (self._folder / "partage.db").write_bytes(database)
        service = change_service(_with_store(self._service, _copied(store)), read_ahead=ReadAhead())
        try:
            yield service
        finally:
            service.stores.read_ahead.close()  # its threads would use the file that the next race replaces
            service.database.close()

    def _make(self, before: Before) -> tuple[bytes, MemoryStore]:
        store = MemoryStore()
        service = _with_store(self._service, store)
        (self._folder / "partage.db").unlink(missing_ok=True)
        schema.upgrade(service.database)
        before(service)
        service.database.close()  # which leaves one file
        return (self._folder / "partage.db").read_bytes(), store

    def race(self, service: Service, actors: Mapping[str, Actor], chooser: Chooser) -> Ended:
        """Let actors run on that service."""

        def stepping(_name: str, step: Step) -> Service:
            database: Any = SteppingDatabase(service.database, step)
            return change_service(service, database=database, stores=_stepping_stores(service, step))

        return scheduling.run(actors, stepping, chooser)

    def close(self) -> None:
        """Close all connections."""
        self._service.database.close()


class PostgreSQLStage:
    """One PostgreSQL server, emptied for every race."""

    name = "postgresql"

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._service = worlds.compose(folder, url=url, store=MemoryStore())
        self._watching = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
        self._databases: dict[str, Database] = {}
        self._backends: dict[str, set[int]] = {}
        schema.upgrade(self._service.database)

    def close(self) -> None:
        """Close all connections."""
        self._watching.dispose()
        self._service.database.close()
        for database in self._databases.values():
            database.close()

    @contextmanager
    def world(self, before: Before) -> Iterator[Service]:
        """Give a service with a database and store that are as `before` makes them."""
        service = _with_store(self._service, MemoryStore())
        with service.database.write() as tx:
            for table in reversed(tables.metadata.sorted_tables):
                tx.execute(table.delete())
        before(service)
        yield service

    def race(self, service: Service, actors: Mapping[str, Actor], chooser: Chooser) -> Ended:
        """Let actors run on that service, each with connections of its own."""

        def stepping(name: str, step: Step) -> Service:
            database = self._databases.get(name) or self._connect(name)
            stops.append(_listen(database, step))
            return change_service(service, database=database, stores=_stepping_stores(service, step))

        stops: list[Callable[[], None]] = []
        try:
            return scheduling.run(actors, stepping, chooser, self._waits_for_a_lock)
        finally:
            for stop in stops:
                stop()

    def _connect(self, name: str) -> Database:
        database = self._databases[name] = Database(self._url, connections=5)
        backends = self._backends[name] = set()
        event.listen(database._engine, "connect", lambda made, _: backends.add(self._number(made)))  # noqa: SLF001
        return database

    def _number(self, made: Any) -> int:
        """Return the number of a connection on the server."""
        return int(made.info.backend_pid)

    def _waits_for_a_lock(self, name: str) -> bool:
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = ANY(:pids)"
        with self._watching.connect() as connection:
            return bool(connection.execute(sqlalchemy.text(waits), {"pids": list(self._backends[name])}).scalar())


class MariaDBStage(PostgreSQLStage):
    """One MariaDB server, emptied for every race."""

    name = "mariadb"

    def _number(self, made: Any) -> int:
        return int(made.thread_id())

    def _waits_for_a_lock(self, name: str) -> bool:
        with self._watching.connect() as connection:
            if connection.exec_driver_sql("SHOW STATUS LIKE 'Innodb_row_lock_current_waits'").one()[1] == "0":
                return False
            time.sleep(_FRESH_SECONDS)
            waits = sqlalchemy.text("SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'")
            return not self._backends[name].isdisjoint(connection.execute(waits).scalars())


_FRESH_SECONDS = 0.11
"""The server fills INNODB_TRX anew if nobody has read it for 0.1 s."""

Stage = SQLiteStage | PostgreSQLStage | MariaDBStage


def _with_store(service: Service, store: Store) -> Service:
    named = service.stores.by_id[worlds.LOCAL]
    return change_service(service, stores={named.id: replace(named, store=store)})


def _copied(store: MemoryStore) -> MemoryStore:
    copy = MemoryStore()
    for key in store.enumerate(""):
        found = store.stat(key)
        copy.put(key, [store.get(key, 0, found.size_bytes if found else 0)])
    return copy


def _listen(database: Database, step: Step) -> Callable[[], None]:
    """Step before every statement and before every commit that writes; return what ends that."""
    engine = database._engine  # noqa: SLF001

    def statement(_connection: object, _cursor: object, text: str, *_rest: object) -> None:
        step(" ".join(text.split()[:3]))

    def commit(connection: sqlalchemy.Connection) -> None:
        if connection.get_execution_options().get("partage_writes"):
            step("COMMIT")

    event.listen(engine, "before_cursor_execute", statement)
    event.listen(engine, "commit", commit)

    def stop() -> None:
        event.remove(engine, "before_cursor_execute", statement)
        event.remove(engine, "commit", commit)

    return stop


def _stepping_stores(service: Service, step: Step) -> Any:
    return {each.id: replace(each, store=SteppingStore(each.store, step)) for each in service.stores.by_id.values()}


def _operation() -> str:
    """Name the function of the service that opens a transaction."""
    frame = sys._getframe()  # noqa: SLF001
    while frame.f_back and f"{os.sep}partage{os.sep}" not in frame.f_code.co_filename:
        frame = frame.f_back
    return frame.f_code.co_name


@dataclass
class SteppingDatabase:
    """A database that steps before every transaction."""

    database: Database
    step: Step

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """See `Database.read`."""
        self.step(f"read in {_operation()}")
        with self.database.read() as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """See `Database.write`."""
        self.step(f"write in {_operation()}")
        with self.database.write() as tx:
            yield tx


@dataclass
class SteppingStore:
    """A store that steps before every call."""

    store: Store
    step: Step

    def put(self, key: str, parts: Any) -> None:
        """See `Store.put`."""
        self.step(f"put {key[-6:]}")
        self.store.put(key, parts)

    def get(self, key: str, start: int, length: int) -> bytes:
        """See `Store.get`."""
        self.step(f"get {key[-6:]}")
        return self.store.get(key, start, length)

    def stat(self, key: str) -> Any:
        """See `Store.stat`."""
        self.step(f"stat {key[-6:]}")
        return self.store.stat(key)

    def remove(self, key: str) -> None:
        """See `Store.remove`."""
        self.step(f"remove {key[-6:]}")
        self.store.remove(key)

    def enumerate(self, prefix: str) -> Iterator[str]:
        """See `Store.enumerate`."""
        self.step("enumerate")
        return iter(list(self.store.enumerate(prefix)))

    def list_drafts(self) -> Iterator[Draft]:
        """See `Store.list_drafts`."""
        self.step("list drafts")
        return self.store.list_drafts()

    def remove_draft(self, draft: Draft) -> None:
        """See `Store.remove_draft`."""
        self.step("remove draft")
        self.store.remove_draft(draft)
