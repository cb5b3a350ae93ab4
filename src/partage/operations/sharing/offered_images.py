"""Find an image that its owner is about to offer, and make it shared where the request asks for it."""

from collections.abc import Iterable
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
    return image, _share(service, caller, image, rule=rule, make_shared=make_shared)


def save_shared(service: Service, tx: Transaction, caller: Caller, shared: Image, *, was: Image) -> None:
    """Write an image that becomes shared, and cancel the endings that began when it became private."""
    promises.follow_visibility(service, tx, caller, shared, was=was)
    images.save(tx, shared, was=was)


def can_offer_any(service: Service, caller: Caller, image_ids: Iterable[ImageID], *, rule: str, make_shared: bool) -> bool:
    """Whether the caller can offer at least one of the images now. Nothing is locked."""
    with service.database.read() as tx:
        return any(_can_offer(service, tx, caller, each, rule=rule, make_shared=make_shared) for each in image_ids)


def _can_offer(service: Service, tx: Transaction, caller: Caller, image_id: ImageID, *, rule: str, make_shared: bool) -> bool:
    try:
        _share(service, caller, visible.find(service, tx, caller, image_id), rule=rule, make_shared=make_shared)
    except (problems.NotFound, problems.Forbidden, problems.Conflict):
        return False
    return True


def _share(service: Service, caller: Caller, image: Image, *, rule: str, make_shared: bool) -> Image:
    service.authority.require(caller, rule, authority.image_target(caller, image))
    image.require_changeable()
    if image.visibility is Visibility.SHARED:
        return image
    if image.visibility is not Visibility.PRIVATE:
        raise problems.ShareConflict(f"The image is {image.visibility}: every project can use it; only shared images are offered")
    if not make_shared:
        raise problems.ShareConflict("The image is private; make it shared first, or send make_shared")
    service.authority.require(caller, image_rules.MODIFY_IMAGE, authority.image_target(caller, image))
    return replace(image, visibility=Visibility.SHARED, updated_at=service.clock())
