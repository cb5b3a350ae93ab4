"""Images: create, list, show, change, delete, deactivate, reactivate."""

from collections.abc import Callable

from partage import problems
from partage.model import patch
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.ending import EndReason
from partage.model.event import EventType
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus, NewImage, Visibility
from partage.model.query import ImageQuery, Page, Position
from partage.model.quota import Allowance
from partage.model.task import Task
from partage.operations import events, ingest, locations, pending_deletes, promises, quota, visible
from partage.operations.imports import abandon
from partage.operations.service import Service
from partage.policies import authority
from partage.policies import images as rules
from partage.policies.properties import Action
from partage.records import endings, images, paging
from partage.records.database import Transaction
from partage.records.images import Slice

_RULE_OF_VISIBILITY = {Visibility.PUBLIC: rules.PUBLICIZE_IMAGE, Visibility.COMMUNITY: rules.COMMUNITIZE_IMAGE}


def create_image(service: Service, caller: Caller, new: NewImage) -> Image:
    """Create a queued image, owned by the caller's project or by the project that an administrator names.

    Raises:
        PolicyForbids, Forbidden: the caller may not create it, or not with this owner or visibility.
        ImageExists: another image has the id, or had it before it was deleted.
        TooMany, QuotaExceeded: more tags, properties or images than allowed.
    """
    now = service.clock()
    image = new.image(id=new.id or ImageID(service.new_id()), owner=new.owner if new.owner_given else caller.project_id, now=now)
    _authorise_creation(service, caller, image)
    if service.protections is not None:
        service.protections.require_creation(caller, image)
    service.limits.check_tags(len(new.tags))  # Source: Glance counts duplicates too
    service.limits.check_image(image)
    quota.try_within(service, image.owner, lambda allowance: _add(service, caller, image, allowance))
    service.announce(Event.IMAGE_CREATE, image)
    return visible.hide_properties(service, caller, image)


def list_images(service: Service, caller: Caller, query: ImageQuery) -> Page[Image]:
    """Return a page of matching images that the caller may list, and the position of the next page.

    Raises:
        PolicyForbids: the caller may not list images.
        QueryInvalid: the caller sees no image with the marker's id, and the query does not have its position.
    """
    service.authority.require(caller, rules.GET_IMAGES, authority.project_target(caller.project_id))
    if query.limit == 0 or _asks_for_hidden(service, caller, query):
        return Page(items=(), next_marker=None)
    with service.database.read() as tx:
        after = None if query.marker is None else _position(service, tx, caller, query, query.marker)
        found = _full_page(service, tx, caller, query, after)
    items = tuple(visible.hide_properties(service, caller, image) for image in found.images)
    # Differs from Glance: there is a link only if there is a next image. Glance has one whenever the page is full.
    if not found.has_more:
        return Page(items=items, next_marker=None)
    last = found.images[-1]
    return Page(items=items, next_marker=last.id, position=paging.position(last, query))


def show_image(service: Service, caller: Caller, image_id: ImageID) -> Image:
    """Return one image.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
    """
    with service.database.read() as tx:
        return visible.hide_properties(service, caller, visible.find(service, tx, caller, image_id))


def update_image(
    service: Service, caller: Caller, image_id: ImageID, changes: tuple[patch.Change, ...], *, is_acknowledged: bool = False
) -> Image:
    """Apply all changes, or none.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        PolicyForbids, AttributeReadOnly, PropertyConflict, BodyInvalid: a change is not allowed or invalid.
        TooMany: the image would have too many tags, properties or locations.
        Forbidden: the image is retained.
        ImageFrozen: a notice runs, and the change would alter what its member sees.
        QuotaExceeded: an administrator gives the image to a project whose quota it would exceed.
        ImageGuarded: the image would become private, and projects that use it would lose access within the cool-down.
        UriRefused, FetchFailed, StatusConflict, Problem: a change of locations, as in `locations.sizes_of_new`.
    """
    allowance = _allowance_of_receiver(service, caller, changes)
    sizes = locations.sizes_of_new(service, caller, image_id, changes)
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, image_id)
        service.authority.require(caller, rules.MODIFY_IMAGE, authority.image_target(caller, image))
        image.require_changeable()
        locations.authorise_changes(service, tx, caller, image, changes)
        seen = visible.hide_properties(service, caller, image)
        changed = patch.apply(seen, changes, now=service.clock(), locations=locations.terms_of(service))
        changed = locations.set_sizes(image, changed, sizes)
        if service.protections is not None:
            changed = service.protections.apply_changes(caller, image, seen, changed, patch.list_changed_names(changes))
        _authorise_changes(service, caller, image, changed, changes)
        _check_counts(service, image, changed, changes)
        if changed.owner != image.owner:
            quota.check_moved_image(tx, changed, allowance, now=service.clock())
        promises.require_unfrozen(service, tx, caller, changed, was=image)
        promises.follow_visibility(service, tx, caller, changed, was=image, is_acknowledged=is_acknowledged)
        images.save(tx, changed, was=image)
        if changed.owner is not None and changed.owner != image.owner:
            promises.settle_ended(service, tx, image.id)
            endings.remove(tx, image.id, changed.owner)  # a share that was ending: the project owns the image now
        if changes:
            events.record(tx, *events.describe_change(service, caller, changed, was=image))
    if changes:
        ingest.announce_change(service, changed, was=image)
    return visible.hide_properties(service, caller, changed)


def delete_image(service: Service, caller: Caller, image_id: ImageID, *, is_acknowledged: bool = False) -> None:
    """Delete an image. A later sweep removes its bytes; with delayed delete only after it was scrubbed.

    It is retained for members whose shares have notice, unless an administrator takes it down.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        PolicyForbids, ImageProtected: the caller may not delete it, or it is protected.
        ImageGuarded: projects that use it would lose access within the cool-down, and this is not acknowledged.
    """
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, image_id, absent=visible.NO_IMAGE_TO_DELETE)
        service.authority.require(caller, rules.DELETE_IMAGE, authority.image_target(caller, image))
        image.require_unprotected()
        promises.end_all_shares(service, tx, caller, image, EndReason.DELETED, is_acknowledged=is_acknowledged)
        image, task = _end_copy(service, tx, image)
        deleted = pending_deletes.remove_image(
            service, tx, image, now=service.clock(), by_owner=not promises.takes_down(caller, image)
        )
        events.record(tx, events.describe_image(service, caller, EventType.IMAGE_DELETED, deleted))
    if task is not None:
        service.announce(Event.TASK_FAILURE, task)
    service.announce(Event.IMAGE_DELETE, deleted)


def deactivate_image(service: Service, caller: Caller, image_id: ImageID, *, is_acknowledged: bool = False) -> None:
    """Deactivate an image: only administrators can download its data. Idempotent.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        PolicyForbids, StatusForbids: the caller may not deactivate it, or the image has no data.
        ImageGuarded: projects that use it would lose access within the cool-down, and this is not acknowledged.
    """
    _change_status(service, caller, image_id, rule=rules.DEACTIVATE, to=ImageStatus.DEACTIVATED, is_acknowledged=is_acknowledged)


def reactivate_image(service: Service, caller: Caller, image_id: ImageID) -> None:
    """Reactivate an image, so that its data can be downloaded again. Idempotent.

    Raises:
        ImageNotFound, PolicyForbids, StatusForbids: as `deactivate_image`.
    """
    _change_status(service, caller, image_id, rule=rules.REACTIVATE, to=ImageStatus.ACTIVE)


def _end_copy(service: Service, tx: Transaction, image: Image) -> tuple[Image, Task | None]:
    """End the copy of an image that will be retained: each further store would count against the quota of its members.

    An image that is not retained is gone for the worker, which ends the task itself.
    """
    if not promises.list_kept(service, tx, image):
        return image, None
    return abandon.end_import(service, tx, image, f"Image {image.id} was deleted during its import")


def _change_status(
    service: Service, caller: Caller, image_id: ImageID, *, rule: str, to: ImageStatus, is_acknowledged: bool = False
) -> None:
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, image_id)
        service.authority.require(caller, rule, authority.image_target(caller, image))
        if image.status not in (ImageStatus.ACTIVE, ImageStatus.DEACTIVATED):
            verb = "deactivate" if to is ImageStatus.DEACTIVATED else "reactivate"
            raise problems.StatusForbids(f"Not allowed to {verb} image in status '{image.status}'")
        if to is ImageStatus.DEACTIVATED:
            promises.end_all_shares(service, tx, caller, image, EndReason.DEACTIVATED, is_acknowledged=is_acknowledged)
        if image.status is to:
            return
        switched = image.become(to, now=service.clock())
        images.change_status(tx, switched, was=image.status)
        if to is ImageStatus.ACTIVE:
            promises.cancel_notices(service, tx, caller, switched, EndReason.DEACTIVATED)
        event_type = EventType.IMAGE_REACTIVATED if to is ImageStatus.ACTIVE else EventType.IMAGE_DEACTIVATED
        events.record(tx, events.describe_image(service, caller, event_type, switched))
    service.announce(Event.IMAGE_UPDATE, switched)


def _authorise_creation(service: Service, caller: Caller, image: Image) -> None:
    target = authority.image_target(caller, image)
    try:
        service.authority.require(caller, rules.ADD_IMAGE, target)
    except problems.PolicyForbids as problem:
        if image.owner == caller.project_id:
            raise
        raise problems.Forbidden(f"You are not permitted to create images owned by '{image.owner}'.") from problem
    if image.visibility in _RULE_OF_VISIBILITY:
        service.authority.require(caller, _RULE_OF_VISIBILITY[image.visibility], target)


def _authorise_changes(service: Service, caller: Caller, image: Image, changed: Image, changes: tuple[patch.Change, ...]) -> None:
    if "visibility" in patch.list_changed_names(changes) and changed.visibility in _RULE_OF_VISIBILITY:
        service.authority.require(caller, _RULE_OF_VISIBILITY[changed.visibility], authority.image_target(caller, changed))
    if not caller.is_admin and any(each.name == "owner" and not _changes_nothing(each, image) for each in changes):
        raise problems.AttributeReadOnly("Owner can't be updated by non admin.")


def _changes_nothing(change: patch.Change, image: Image) -> bool:
    """Whether a change sets the owner to its current value. Source: Glance allows that for add, not for replace."""
    return change.op is patch.Operation.ADD and change.value == image.owner


def _asks_for_hidden(service: Service, caller: Caller, query: ImageQuery) -> bool:
    """Whether a filter names a property that the caller may not read: the result would reveal the property's value."""
    protections = service.protections
    if protections is None:
        return False
    return not all(protections.allows(caller, Action.READ, name) for name, _value in query.properties)


def _check_counts(service: Service, image: Image, changed: Image, changes: tuple[patch.Change, ...]) -> None:
    """Refuse growth above a limit, but let an image that was above it shrink. Duplicates of tags count."""
    given = [len(change.value) for change in changes if change.path == ("tags",) and change.value is not None]
    tags = max([len(changed.tags), *given])
    if tags > len(image.tags):
        service.limits.check_tags(tags)
    if len(changed.properties) > len(image.properties):
        service.limits.check_properties(changed.properties)
    service.limits.check_growth(changed, was=image)


def _add(service: Service, caller: Caller, image: Image, allowance: Allowance) -> None:
    with service.database.write() as tx:
        quota.check_new_image(tx, image.owner, allowance, now=service.clock())
        images.add(tx, image)
        events.record(tx, events.describe_image(service, caller, EventType.IMAGE_CREATED, image))


def _allowance_of_receiver(service: Service, caller: Caller, changes: tuple[patch.Change, ...]) -> Allowance:
    """Return the allowance of the project to which an administrator gives an image."""
    given = [change.value for change in changes if change.path == ("owner",) and isinstance(change.value, str)]
    return quota.allowance_of(service, ProjectID(given[-1]) if given and caller.is_admin else None, fresh=True)


def _position(service: Service, tx: Transaction, caller: Caller, query: ImageQuery, marker: ImageID) -> Position:
    """Return the marker's position: from the image, or from the query if the image does not exist or the caller may not see it."""
    try:
        return paging.position(visible.find(service, tx, caller, marker), query)
    except problems.ImageNotFound as problem:
        if query.after is None:
            raise problems.QueryInvalid(visible.NO_IMAGE.format(marker)) from problem
        return query.after


def _full_page(service: Service, tx: Transaction, caller: Caller, query: ImageQuery, after: Position | None) -> Slice:
    """Return a page. If an operator's policy rule hides images, read on until the page is full or the list ends."""
    most_bytes = service.limits.page_bytes
    found = images.page(tx, caller, query, after=after, most_bytes=most_bytes, now=service.clock())
    if not service.authority.hides_images:
        return found
    shown = _is_visible_to(service, caller)
    kept = list(filter(shown, found.images))
    while found.has_more and len(kept) <= query.limit and (room := most_bytes - sum(each.document_bytes for each in kept)) > 0:
        after = paging.position(found.images[-1], query)
        found = images.page(tx, caller, query, after=after, most_bytes=room, now=service.clock())
        kept += filter(shown, found.images)
    return Slice(kept[: query.limit], has_more=found.has_more or len(kept) > query.limit)


def _is_visible_to(service: Service, caller: Caller) -> Callable[[Image], bool]:
    return lambda image: service.authority.allows(caller, rules.GET_IMAGE, authority.image_target(caller, image))
