"""End the import of an image whose owner gives it up, in the transaction that ends the image."""

from partage.model import importing
from partage.model.image import Image
from partage.model.task import Task
from partage.operations.service import Service
from partage.records import images, reservations, tasks
from partage.records.database import Transaction


def end_import(service: Service, tx: Transaction, image: Image, reason: str) -> tuple[Image, Task | None]:
    """End the task that has the image's lock, with failure, and its reservation. Return the unlocked image, and the ended task.

    A worker that runs the task loses its claim: it changes neither the task nor the image any more. The image's row is locked.
    """
    holder = importing.find_holder(image)
    if holder is None:
        return image, None
    reservations.end(tx, image.id, holder)
    unlocked = importing.abandon(image)
    images.save(tx, unlocked, was=image)
    return unlocked, tasks.end(tx, holder, reason, now=service.clock())
