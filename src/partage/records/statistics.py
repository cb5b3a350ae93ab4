"""Counts and sums over whole tables, for operators. The sums read every row."""

from datetime import datetime

from sqlalchemy import func, select

from partage.model.task import TaskStatus
from partage.records.database import Transaction, from_microseconds
from partage.records.tables import chunks, contents, images, packs, pending_deletes, tasks, uploads


def count_tasks(tx: Transaction) -> dict[TaskStatus, int]:
    """Count the tasks of each status."""
    statement = select(tasks.c.status, func.count()).group_by(tasks.c.status)
    return {TaskStatus(status): count for status, count in tx.execute(statement)}


def find_oldest_waiting(tx: Transaction) -> datetime | None:
    """Return when the oldest task was created that no worker has claimed; None without one."""
    statement = select(func.min(tasks.c.created_at)).where(tasks.c.status == TaskStatus.PENDING.value)
    found = tx.execute(statement).scalar_one()
    return None if found is None else from_microseconds(found)


def count_uploads(tx: Transaction) -> int:
    """Count the running uploads of all processes."""
    return int(tx.execute(select(func.count()).select_from(uploads)).scalar_one())


def count_images(tx: Transaction) -> int:
    """Count the images."""
    return int(tx.execute(select(func.count()).select_from(images)).scalar_one())


def count_pending_deletes(tx: Transaction) -> int:
    """Count the deleted images that can still be restored."""
    return int(tx.execute(select(func.count()).select_from(pending_deletes)).scalar_one())


def sum_logical(tx: Transaction) -> int:
    """Sum the sizes of all images whose data is in a store: what their owners see."""
    return int(tx.execute(select(func.coalesce(func.sum(images.c.size), 0)).where(images.c.content_id.is_not(None))).scalar_one())


def sum_contents(tx: Transaction) -> int:
    """Sum the sizes of all different contents: images with the same data count once."""
    return int(tx.execute(select(func.coalesce(func.sum(contents.c.size), 0))).scalar_one())


def sum_chunks(tx: Transaction) -> dict[str, int]:
    """Sum the sizes of all different chunks of each store, before compression."""
    statement = select(chunks.c.store_id, func.sum(chunks.c.length_bytes)).group_by(chunks.c.store_id)
    return {store: int(size) for store, size in tx.execute(statement)}


def sum_packs(tx: Transaction) -> dict[str, int]:
    """Sum the sizes of all packs of each store: what its disk holds, retired packs included."""
    statement = select(packs.c.store_id, func.sum(packs.c.size)).group_by(packs.c.store_id)
    return {store: int(size) for store, size in tx.execute(statement)}
