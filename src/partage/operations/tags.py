"""Tags: add a tag, remove a tag."""

from dataclasses import replace

from partage import problems
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.document import read_name
from partage.model.ids import ImageID
from partage.operations import events, promises, visible
from partage.operations.service import Service
from partage.policies import authority
from partage.policies.images import MODIFY_IMAGE
from partage.records import images


def add_tag(service: Service, caller: Caller, image_id: ImageID, tag: str) -> None:
    """Add a tag to the image; do nothing if the image has it.

    Raises:
        ImageNotFound, PolicyForbids: the caller may not see the image, or not change it.
        TooMany: the image has the maximum number of tags.
        ImageFrozen: a notice runs, and its member sees the tags as they were.
    """
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, image_id, absent=visible.IMAGE_NOT_FOUND)
        service.authority.require(caller, MODIFY_IMAGE, authority.image_target(caller, image))
        if tag in image.tags:
            return
        service.limits.check_tags(len(image.tags) + 1)
        changed = replace(image, tags=tuple(sorted((*image.tags, tag))), updated_at=service.clock())
        service.limits.check_growth(changed, was=image)
        promises.require_unfrozen(service, tx, caller, changed, was=image)
        images.save(tx, changed, was=image)
        events.record(tx, *events.describe_change(service, caller, changed, was=image))
    service.announce(Event.IMAGE_UPDATE, changed)


def remove_tag(service: Service, caller: Caller, image_id: ImageID, tag: str) -> None:
    """Remove a tag from the image. A tag of an older release with spaces around it is removed by its exact name.

    Raises:
        ImageNotFound, PolicyForbids: the caller may not see the image, or not change it.
        TagNotFound: the image does not have it.
        ImageFrozen: a notice runs, and its member sees the tags as they were.
    """
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, image_id, absent=visible.IMAGE_NOT_FOUND)
        service.authority.require(caller, MODIFY_IMAGE, authority.image_target(caller, image))
        tag = tag if tag in image.tags else read_name(tag)
        if tag not in image.tags:
            raise problems.TagNotFound("The resource could not be found.")
        remaining = tuple(each for each in image.tags if each != tag)
        changed = replace(image, tags=remaining, updated_at=service.clock())
        promises.require_unfrozen(service, tx, caller, changed, was=image)
        images.save(tx, changed, was=image)
        events.record(tx, *events.describe_change(service, caller, changed, was=image))
    service.announce(Event.IMAGE_UPDATE, changed)
