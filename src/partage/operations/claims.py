"""Locks of tasks on images: at most one task at a time writes an image's data."""

from partage import problems
from partage.model import importing
from partage.model.image import Image
from partage.model.task import TaskStatus
from partage.records import tasks
from partage.records.database import Transaction


def require_free(tx: Transaction, image: Image) -> None:
    """Refuse an image that a task is working on.

    Raises:
        StatusConflict: a task has it.
    """
    holder = importing.find_holder(image)
    if holder is None:
        return
    try:
        ended = tasks.find(tx, holder).status in {TaskStatus.SUCCESS, TaskStatus.FAILURE}
    except problems.TaskNotFound:
        return
    if not ended:
        raise problems.StatusConflict("Image has active task")
