"""A project's lock: what checks a quota and then adds to it takes the lock first, so that two requests cannot pass one check."""

from sqlalchemy.dialects import postgresql

from partage.model.ids import ProjectID
from partage.records.database import Transaction
from partage.records.tables import project_locks

_LOCK = postgresql.insert(project_locks).values(taken=1)
_LOCK = _LOCK.on_conflict_do_update(index_elements=["project_id"], set_={"taken": project_locks.c.taken + 1})


def lock(tx: Transaction, project_id: ProjectID) -> None:
    """Keep other transactions of this project's quota waiting until this one ends.

    SQLite has one writer at a time anyway: there the write transaction itself is the lock.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(_LOCK, {"project_id": project_id})
