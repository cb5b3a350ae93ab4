"""Find an image that its owner is about to offer, and make it shared where the request asks for it."""

from dataclasses import replace

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID
from partage.model.image import Image, Visibility
from partage.operations import promises, visible
from partage.operations.service import Service
from partage.policies import authority
from partage.policies import images as image_rules
from partage.records import images
from partage.records.database import Transaction


def find_shared(
    service: Service, tx: Transaction, caller: Caller, image_id: ImageID, *, rule: str, make_shared: bool
) -> tuple[Image, Image]:
    """Return an image, locked, and what it is to become: shared.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        PolicyForbids: the caller may not offer it.
        ShareConflict: it is public or community, or private and not to become shared.
    """
    image = visible.find_for_change(service, tx, caller, image_id)
    service.authority.require(caller, rule, authority.image_target(caller, image))
    image.require_changeable()
    if image.visibility is Visibility.SHARED:
        return image, image
    if image.visibility is not Visibility.PRIVATE:
        raise problems.ShareConflict(f"The image is {image.visibility}: every project can use it; only shared images are offered")
    if not make_shared:
        raise problems.ShareConflict("The image is private; make it shared first, or send make_shared")
    service.authority.require(caller, image_rules.MODIFY_IMAGE, authority.image_target(caller, image))
    return image, replace(image, visibility=Visibility.SHARED, updated_at=service.clock())


def save_shared(service: Service, tx: Transaction, caller: Caller, shared: Image, *, was: Image) -> None:
    """Write an image that becomes shared, and cancel the endings that began when it became private."""
    promises.follow_visibility(service, tx, caller, shared, was=was)
    images.save(tx, shared, was=was)
