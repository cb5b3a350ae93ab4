"""Adopt an image, and show what an image was adopted from."""

from partage import problems
from partage.model.adoption import AdoptionRequest, Lineage
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.event import EventType
from partage.model.ids import ImageID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.quota import Allowance
from partage.operations import downloads, events, quota, visible
from partage.operations.service import Service
from partage.policies import authority
from partage.policies import images as image_rules
from partage.policies import sharing as rules
from partage.records import adoptions, images
from partage.records.database import Transaction

_RULE_OF_VISIBILITY = {Visibility.PUBLIC: image_rules.PUBLICIZE_IMAGE, Visibility.COMMUNITY: image_rules.COMMUNITIZE_IMAGE}
_NO_SOURCE = "There is no image {} that can be adopted"


def adopt_image(service: Service, caller: Caller, image_id: ImageID, request: AdoptionRequest) -> tuple[Image, Lineage]:
    """Make an image of the caller's project, with the content of one that the caller can download now. No bytes are copied.

    The new image names the same content in the same stores. The source names it too, and is locked until the new image exists: so
    no sweep can remove its chunks meanwhile.

    Raises:
        PolicyForbids: the caller may not create such an image, whatever the source.
        ImageNotFound: the caller cannot download the source, for whatever reason, or it is deactivated.
        AttributeReadOnly, BodyInvalid, TooMany: the properties and tags are not permitted beside the source's.
        QuotaExceeded: the project has no room for the image.
        IdentityUnavailable: the limits are kept in Keystone, which does not answer.
    """
    _authorise(service, caller, request)
    adopted, lineage = quota.try_within(
        service, caller.project_id, lambda allowance: _adopt(service, caller, image_id, request, allowance)
    )
    service.announce(Event.IMAGE_CREATE, adopted)
    service.announce(Event.IMAGE_ACTIVATE, adopted)
    return visible.hide_properties(service, caller, adopted), lineage


def show_lineage(service: Service, caller: Caller, image_id: ImageID) -> Lineage:
    """Return what an image was adopted from. The image's owner sees it, and nobody with whom it is shared.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        PolicyForbids: the image is not the caller's.
    """
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id)
        service.authority.require(caller, rules.GET_LINEAGE, authority.image_target(caller, image))
        return adoptions.find(tx, image_id)


def _authorise(service: Service, caller: Caller, request: AdoptionRequest) -> None:
    """Check what does not depend on the source: a refusal says nothing about it."""
    service.limits.check_tags(len(request.tags))
    target = authority.new_image_target(caller, request.visibility)
    service.authority.require(caller, rules.ADOPT_IMAGE, target)
    if request.visibility in _RULE_OF_VISIBILITY:
        service.authority.require(caller, _RULE_OF_VISIBILITY[request.visibility], target)


def _adopt(
    service: Service, caller: Caller, image_id: ImageID, request: AdoptionRequest, allowance: Allowance
) -> tuple[Image, Lineage]:
    now = service.clock()
    with service.database.write() as tx:
        _find_source(service, tx, caller, image_id)
        images.lock(tx, image_id)
        # Before the lock another request may have ended the share, or deactivated or deleted the image.
        source = _find_source(service, tx, caller, image_id)
        adopted = request.build_image(source, id=ImageID(service.new_id()), owner=caller.project_id, now=now)
        adopted = _set_properties(service, caller, adopted, request)
        service.limits.check_image(adopted)
        quota.check_moved_image(tx, adopted, allowance, now=now)
        images.add(tx, adopted)
        adoptions.add(tx, adopted.id, image_id, now=now)
        events.record(tx, events.describe_image(service, caller, EventType.IMAGE_ADOPTED, adopted, adopted_from=image_id))
    return adopted, Lineage(image_id=adopted.id, adopted_from=image_id, adopted_at=now)


def _find_source(service: Service, tx: Transaction, caller: Caller, image_id: ImageID) -> Image:
    """Return the source as the caller sees it, by the query and the rule of a download.

    Raises:
        ImageNotFound: the caller cannot download it, or it is deactivated. An administrator can download such an image, but a copy
            of it would be active.
    """
    source = visible.find(service, tx, caller, image_id, absent=_NO_SOURCE)
    may_download = service.authority.allows(caller, image_rules.DOWNLOAD_IMAGE, authority.image_target(caller, source))
    if not may_download or source.status is not ImageStatus.ACTIVE or not downloads.ImageData(service, source).has_data:
        raise problems.ImageNotFound(_NO_SOURCE.format(image_id))
    return source


def _set_properties(service: Service, caller: Caller, adopted: Image, request: AdoptionRequest) -> Image:
    """Add the adopter's properties. Those of the source that the operator protects stay, also those that the caller cannot read."""
    seen = visible.hide_properties(service, caller, adopted)
    changed = request.with_properties(seen)
    if service.protections is not None:
        changed = service.protections.apply_changes(caller, adopted, seen, changed, frozenset(request.properties))
    service.formats.known.properties.require(changed.properties)
    return changed
