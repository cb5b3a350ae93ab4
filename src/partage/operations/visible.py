"""The first step of every operation on one image: find it, if the caller may see it."""

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID
from partage.model.image import Image
from partage.operations.service import Service
from partage.policies import authority
from partage.policies.images import GET_IMAGE
from partage.records import images
from partage.records.database import Transaction

NO_IMAGE = "No image found with ID {}"
IMAGE_NOT_FOUND = "Image {} not found."
NO_IMAGE_TO_DELETE = "Failed to find image {} to delete"
NO_IMAGE_THERE = "Failed to find image {}"
NOT_FOUND = "The resource could not be found."


def find(service: Service, tx: Transaction, caller: Caller, image_id: ImageID, *, absent: str = NO_IMAGE) -> Image:
    """Return the image, if the caller may see it by the query and by the rule `get_image`.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it. `absent` is the message, which differs between calls.
    """
    try:
        return _require_visible(service, caller, images.find(tx, caller, image_id, now=service.clock()))
    except problems.ImageNotFound as problem:
        raise problems.ImageNotFound(absent.format(image_id)) from problem


def find_for_change(service: Service, tx: Transaction, caller: Caller, image_id: ImageID, *, absent: str = NO_IMAGE) -> Image:
    """Return the image as its row has it, locked until the transaction ends.

    Raises:
        ImageNotFound: as `find`.
    """
    try:
        now = service.clock()
        image = images.find_for_change(tx, caller, image_id, now=now)
        _require_visible(service, caller, images.view(tx, caller, image, now=now))
    except problems.ImageNotFound as problem:
        raise problems.ImageNotFound(absent.format(image_id)) from problem
    return image


def hide_properties(service: Service, caller: Caller, image: Image) -> Image:
    """Remove the properties that the caller may not read by the operator's property protections: the last step of an operation."""
    return image if service.protections is None else service.protections.hide_properties(caller, image)


def _require_visible(service: Service, caller: Caller, image: Image) -> Image:
    if not service.authority.allows(caller, GET_IMAGE, authority.image_target(caller, image)):
        raise problems.ImageNotFound(image.id)
    return image
