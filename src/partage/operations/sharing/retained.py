"""What the operator can do about promises to members: list retained images, and take an image down against every promise."""

from collections.abc import Iterator

from partage import problems
from partage.model.announcement import Event
from partage.model.ending import EndReason
from partage.model.event import OPERATOR, EventType
from partage.model.ids import ImageID
from partage.model.image import RETAINED, Image, ImageStatus, Visibility
from partage.model.retention import RetainedImage, TakeDown
from partage.operations import events, pending_deletes, promises, visible
from partage.operations.imports import abandon
from partage.operations.service import Service
from partage.records import endings, images, members, uses
from partage.records.database import Transaction

_BATCH = 100


def list_retained(service: Service) -> Iterator[RetainedImage]:
    """Yield the images that are retained while some notice runs, oldest first. They are read in batches."""
    after: Image | None = None
    while True:
        now = service.clock()
        with service.database.read() as tx:
            found = images.list_owned(tx, RETAINED, after=after, limit_rows=_BATCH)
            kept = [(image, endings.list_running(tx, image.id, now=now)) for image in found if image.is_retained]
        for image, running in kept:
            if running:
                yield RetainedImage(
                    image_id=image.id,
                    name=image.name,
                    former_owner=image.former_owner,
                    size_bytes=image.size or 0,
                    kept_for=tuple(running),
                )
        if len(found) < _BATCH:
            return
        after = found[-1]


def preview_take_down(service: Service, image_id: ImageID) -> TakeDown:
    """Return whom the end of an image would hit, without changing anything.

    Raises:
        ImageNotFound: there is no such image.
    """
    with service.database.read() as tx:
        return _describe(service, tx, images.find_or_none(tx, image_id), image_id)


def take_down(service: Service, image_id: ImageID) -> TakeDown:
    """Delete an image for everybody, protected or not, and end every promise. With delayed delete the operator can restore it.

    Raises:
        ImageNotFound: there is no such image.
    """
    with service.database.write() as tx:
        taken = _describe(service, tx, images.find_for_work(tx, image_id), image_id)
        image, task = abandon.end_import(service, tx, taken.image, f"Image {image_id} was taken down by the operator")
        promises.settle_ended(service, tx, image_id)
        endings.remove_all(tx, image_id)
        ended = [*(each for each in taken.members if _can_read(image)), *(each.membership() for each in taken.endings)]
        promises.record_takedowns(service, tx, OPERATOR, image, ended, reason=EndReason.DELETED)
        deleted = pending_deletes.remove_image(service, tx, image, now=service.clock())
        events.record(tx, events.describe_image(service, OPERATOR, EventType.IMAGE_DELETED, deleted))
    if task is not None:
        service.announce(Event.TASK_FAILURE, task)
    service.announce(Event.IMAGE_DELETE, deleted)
    return taken


def _can_read(image: Image) -> bool:
    """Whether members without a running notice have access to the image."""
    return image.visibility is Visibility.SHARED and image.status is not ImageStatus.DEACTIVATED


def _describe(service: Service, tx: Transaction, image: Image | None, image_id: ImageID) -> TakeDown:
    if image is None:
        raise problems.ImageNotFound(visible.NO_IMAGE.format(image_id))
    now = service.clock()
    running = endings.list_running(tx, image_id, now=now)
    ended = {each.member_id for each in running}
    shares = members.list_all(tx, image_id) if image.visibility is Visibility.SHARED else []
    current = [each for each in shares if each.member_id not in ended and not each.has_expired(now)]
    return TakeDown(image=image, members=current, endings=running, uses=uses.list_by_project(tx, image_id))
