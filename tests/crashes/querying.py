"""Read a large SQLite database on many connections at once; print how much resident memory that took, as JSON.

usage: python -m tests.crashes.querying FOLDER MEBIBYTES CONNECTIONS
"""

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import text

from partage.records.database import Database


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fill(database: Database, megabytes: int) -> None:
    """Add rows of a kibibyte."""
    with database.write() as tx:
        tx.execute(text("CREATE TABLE filling (number INTEGER PRIMARY KEY, filling BLOB)"))
        tx.execute(
            text(
                "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count) "
                "INSERT INTO filling SELECT n, randomblob(1000) FROM numbers"
            ),
            {"count": megabytes * 1024},
        )


def main(folder: Path, megabytes: int, connections: int) -> None:
    url = f"sqlite:///{folder}/large.db"
    database = Database(url, connections=1)
    fill(database, megabytes)
    database.close()
    database = Database(url, connections=connections)
    with database.read():
        before = resident_bytes()
    with ExitStack() as held:
        for _ in range(connections):
            count = (
                held.enter_context(database.read()).execute(text("SELECT count(*) FROM filling WHERE filling != x'00'")).scalar()
            )
            assert count == megabytes * 1024
        print(json.dumps(resident_bytes() - before))
    database.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
