"""A lock for each project. A transaction that checks a quota and then uses it takes the lock first, against races."""

from partage.model.ids import ProjectID
from partage.records.database import Transaction
from partage.records.dialects import build_insert
from partage.records.tables import project_locks


def lock(tx: Transaction, project_id: ProjectID) -> None:
    """Lock the project's quota until the transaction ends.

    SQLite has one writer at a time: there the write transaction itself is the lock.
    """
    if tx.dialect.name != "sqlite":
        taken = {"taken": project_locks.c.taken + 1}
        statement = build_insert(tx, project_locks).values(project_id=project_id, taken=1)
        tx.execute(statement.on_conflict_do_update(index_elements=["project_id"], set_=taken))
