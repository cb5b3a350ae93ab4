"""Soft delete: with `delayed_delete`, a deleted image can be restored until it is scrubbed, by its owner and by the operator.

What an administrator of another project has deleted, or the closing of its project, the operator alone restores.

Until then the API does not show it, not even to administrators, and no quota counts it. Its id stays taken. After the scrub, the
next sweep removes its data. Source: Glance's `delayed_delete`, `scrub_time` and `glance-scrubber --restore`.
"""

from dataclasses import replace
from datetime import datetime

from partage import problems
from partage.model import importing
from partage.model.caller import Caller
from partage.model.event import OPERATOR, EventType
from partage.model.ids import ImageID
from partage.model.image import Image, ImageStatus
from partage.operations import events, promises
from partage.operations.events import By
from partage.operations.service import Service
from partage.records import images, members, pending_deletes
from partage.records.database import Transaction

_CAN_WAIT = (ImageStatus.ACTIVE, ImageStatus.DEACTIVATED)


def remove_image(service: Service, tx: Transaction, image: Image, *, now: datetime, by_owner: bool = False) -> Image:
    """Delete an image, leave it to members whose notice runs, or let it wait where the operator wants that.

    Return what became of it for its owner. `by_owner`: the owner deletes it, and can restore it.

    Images without data do not wait, as in Glance: there is nothing in them that could not be made again.
    """
    if promises.retain(service, tx, image):
        return image.become(ImageStatus.DELETED, now=now)
    if not waits_for_scrub(service, image):
        gone = image.become(ImageStatus.DELETED, now=now)
        images.remove(tx, gone)
        return gone
    restorable_by = image.owner if by_owner else None
    pending_deletes.add(tx, image, members.list_all(tx, image.id), now=now, restorable_by=restorable_by)
    images.soft_delete(tx, image)
    # By way of active: the API has no way from deactivated to pending_delete, so that Glance does not delete such an image.
    active = image if image.status is ImageStatus.ACTIVE else image.become(ImageStatus.ACTIVE, now=now)
    return active.become(ImageStatus.PENDING_DELETE, now=now)


def waits_for_scrub(service: Service, image: Image) -> bool:
    """Whether a deleted image that is not retained can be restored for some time."""
    has_data = image.content_id is not None or bool(image.references)
    return service.features.delayed_delete and has_data and image.status in _CAN_WAIT


def restore(service: Service, image_id: ImageID) -> Image:
    """Restore a soft-deleted image, with its members, tags and properties, in its former status.

    Raises:
        ImageNotFound: no such image waits, nor is retained: after its last notice a retained image is deleted.
    """
    with service.database.write() as tx:
        retained = images.find_for_work(tx, image_id)
        if retained is not None and promises.is_held(service, tx, retained):
            return promises.give_back(service, tx, OPERATOR, retained)
        restored = restore_waiting(service, tx, OPERATOR, image_id)
        if restored is None:
            raise problems.ImageNotFound(
                f"No image {image_id} waits to be scrubbed: it was scrubbed already, never deleted, or deleted without delay, "
                "or the last notice of its members has run out"
            )
        return restored


def find_restorable(service: Service, tx: Transaction, caller: Caller, image_id: ImageID) -> Image | None:
    """Return an image that waits to be scrubbed, as it will be when the caller restores it; None if the caller cannot.

    It ends with the scrub time, whether or not a job has scrubbed the image.
    """
    now = service.clock()
    found = pending_deletes.find_restorable(tx, caller, image_id, deleted_after=now - service.features.scrub_time)
    return None if found is None else _restore_status(found, now)


def restore_waiting(service: Service, tx: Transaction, by: By, image_id: ImageID) -> Image | None:
    """Restore an image that waits to be scrubbed; None if there is none, or another transaction has scrubbed or restored it."""
    found = pending_deletes.take(tx, image_id)
    if found is None:
        return None
    was, its_members = found
    image = _restore_status(was, service.clock())
    images.add(tx, image)
    for member in its_members:
        members.add(tx, member, image)
    members.show_unrefused(tx, image_id=image.id)  # the rules may have changed meanwhile
    events.record(tx, events.describe_image(service, by, EventType.IMAGE_RESTORED, image))
    promises.record_shares_back(service, tx, by, image)
    return image


def _restore_status(was: Image, now: datetime) -> Image:
    """A task that had the image when it was deleted has failed meanwhile."""
    return replace(importing.unlock(was.give_back(now=now) if was.is_retained else was), updated_at=now)


def scrub(service: Service) -> int:
    """Delete the soft-deleted images that are due; return how many."""
    due = service.clock() - service.features.scrub_time
    with service.database.read() as tx:
        if not pending_deletes.are_due(tx, due):
            return 0
    with service.database.write() as tx:
        return pending_deletes.remove(tx, deleted_before=due)
