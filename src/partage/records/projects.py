"""A lock for each project. A transaction that checks a quota and then uses it takes the lock first, against races."""

from sqlalchemy.dialects import postgresql

from partage.model.ids import ProjectID
from partage.records.database import Transaction
from partage.records.tables import project_locks

_LOCK = postgresql.insert(project_locks).values(taken=1)
_LOCK = _LOCK.on_conflict_do_update(index_elements=["project_id"], set_={"taken": project_locks.c.taken + 1})


def lock(tx: Transaction, project_id: ProjectID) -> None:
    """Lock the project's quota until the transaction ends.

    SQLite has one writer at a time: there the write transaction itself is the lock.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(_LOCK, {"project_id": project_id})
