"""How much work a database does for a statement: what it reads, not how long it takes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from partage.records.database import Database, Transaction
from partage.records.tables import metadata

_STEPS = 100


@contextmanager
def count_work(tx: Transaction) -> Iterator[list[int]]:
    """Count the work of the statements within the block, which the list has at its end.

    On SQLite: instructions of its virtual machine, in hundreds; reading a row and deciding on it takes about twenty. On PostgreSQL:
    rows that scans returned or discarded, of every SELECT. On MariaDB: rows that were read from tables, indexes and intermediate
    results.
    """
    work: list[int] = [0]
    driver: Any = tx.connection.driver_connection
    if tx.dialect.name == "sqlite":

        def count() -> int:
            work[0] += 1
            return 0

        driver.set_progress_handler(count, _STEPS)
        try:
            yield work
        finally:
            driver.set_progress_handler(None, 0)
        return
    if tx.dialect.name == "mariadb":
        before = _count_reads(tx)
        yield work
        work[0] = _count_reads(tx) - before
        return
    with _explain_statements(driver, work):
        yield work


def _count_reads(tx: Transaction) -> int:
    return sum(int(row[1]) for row in tx.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'"))


_EXPLAIN = (
    "LOAD 'auto_explain'",
    "SET auto_explain.log_analyze = on",
    "SET auto_explain.log_timing = off",
    "SET auto_explain.log_format = json",
    "SET client_min_messages = log",
)
_UNPLANNED = 5


@contextmanager
def _explain_statements(driver: Any, work: list[int]) -> Iterator[None]:
    """Let the server explain each statement, with the plan of a connection that has executed it often: one that knows no values.

    Source: postgresql.org/docs/current/sql-prepare.html: the server chooses such a plan from the sixth execution.
    """
    factory = driver.cursor_factory

    class Cursor(factory):  # type: ignore[misc, valid-type]
        """A cursor that executes each SELECT as often as it takes."""

        def execute(self, query: Any, params: Any = None, *, prepare: bool | None = None, **more: Any) -> Any:
            for _ in range(_UNPLANNED):
                super().execute(query, params, prepare=prepare is not False, **more)
            super().execute("SET auto_explain.log_min_duration = 0", prepare=False)
            super().execute(query, params, prepare=prepare is not False, **more)
            found = self.fetchall()
            # The server explains a statement when the next one begins.
            super().execute("SET auto_explain.log_min_duration = -1", prepare=False)
            self.fetchall = lambda: found  # type: ignore[method-assign]
            return self

    def add(message: Any) -> None:
        _, found, plan = message.message_primary.partition("plan:\n")
        if found:
            work[0] += sum(_list_scanned_rows(json.loads(plan)["Plan"]))

    for setting in _EXPLAIN:
        driver.execute(setting)
    driver.add_notice_handler(add)
    driver.cursor_factory = Cursor
    try:
        yield
    finally:
        driver.cursor_factory = factory
        driver.remove_notice_handler(add)
        driver.execute("RESET client_min_messages")


def _list_scanned_rows(node: dict[str, Any]) -> Iterator[int]:
    if "Scan" in node["Node Type"] and node["Node Type"] not in ("CTE Scan", "Subquery Scan"):
        removed = sum(node.get(f"Rows Removed by {each}", 0) for each in ("Filter", "Index Recheck"))
        yield max(1, round((node["Actual Rows"] + removed) * node["Actual Loops"]))
    for each in node.get("Plans", []):
        yield from _list_scanned_rows(each)


def analyze(database: Database) -> None:
    """Gather statistics on servers, as they do by themselves. Nobody does so on SQLite."""
    if database.dialect == "mariadb":
        with database.read() as tx:
            tx.exec_driver_sql(f"ANALYZE TABLE {', '.join(f'`{each}`' for each in metadata.tables)}")
    if database.dialect == "postgresql":
        with database.connection() as connection:
            connection.cursor().execute("ANALYZE")
            connection.commit()
