"""Show and switch the guard of an image, and end access to an image in spite of it."""

from dataclasses import dataclass

from partage.model import patch
from partage.model.caller import Caller
from partage.model.event import EventType
from partage.model.guard import Guard, GuardMode
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Visibility
from partage.model.impact import Action
from partage.operations import events, images, visible
from partage.operations.service import Service
from partage.operations.sharing import endings
from partage.operations.sharing.impact import find_own
from partage.policies import authority
from partage.policies import sharing as rules
from partage.records import guards
from partage.records import images as image_rows

_MAKE_PRIVATE = (patch.Change(patch.Operation.REPLACE, ("visibility",), Visibility.PRIVATE),)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRequest:
    """A request to end access. `member_id` is the project of `unshare`."""

    action: Action
    member_id: ProjectID | None = None
    is_acknowledged: bool = False


def show_guard(service: Service, caller: Caller, image_id: ImageID) -> Guard:
    """Return the guard of an image as it holds now.

    Raises:
        ImageNotFound: there is no such image, or the caller neither owns it nor is an administrator.
        PolicyForbids: the caller may not see it.
    """
    with service.database.read() as tx:
        image = find_own(service, tx, caller, image_id)
        service.authority.require(caller, rules.GET_GUARD, authority.image_target(caller, image))
        return guards.find(tx, image_id, service.sharing.guard).settle(service.clock())


def switch_guard(service: Service, caller: Caller, image_id: ImageID, override: GuardMode | None) -> Guard:
    """Switch the guard of an image; None goes back to the operator's default. From block to off it takes the cool-down.

    Raises:
        ImageNotFound: there is no such image, or the caller neither owns it nor is an administrator.
        PolicyForbids: the caller may not switch it.
    """
    now = service.clock()
    with service.database.write() as tx:
        find_own(service, tx, caller, image_id)
        image_rows.lock(tx, image_id)
        # Before the lock another request may have deleted the image, or given it away.
        image = find_own(service, tx, caller, image_id)
        service.authority.require(caller, rules.SWITCH_GUARD, authority.image_target(caller, image))
        was = guards.find(tx, image_id, service.sharing.guard)
        guard = was.switch(override, now=now, cool_down=service.sharing.guard_cool_down)
        if guard != was:
            guards.save(tx, image_id, guard)
            at = None if guard.pending is None else events.format_time(guard.pending.at)
            changed = {"mode": guard.mode(now).value, "pending_at": at}
            events.record(tx, events.describe_image(service, caller, EventType.IMAGE_GUARD_SWITCHED, image, guard=changed))
    return guard


def end_access(service: Service, caller: Caller, image_id: ImageID, request: EndRequest) -> None:
    """Delete, deactivate or unshare an image, or make it private, as the Image API does.

    Acknowledged, it proceeds although projects use the image: these keep access for the cool-down.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        ImageGuarded: projects that use the image would lose access within the cool-down, and this is not acknowledged.
        Problem: as the action itself.
    """
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id)
        service.authority.require(caller, rules.END_ACCESS, authority.image_target(caller, image))
    is_acknowledged = request.is_acknowledged
    if request.member_id is not None:
        endings.end_share(service, caller, image_id, request.member_id, is_acknowledged=is_acknowledged)
    elif request.action is Action.DELETE:
        images.delete_image(service, caller, image_id, is_acknowledged=is_acknowledged)
    elif request.action is Action.DEACTIVATE:
        images.deactivate_image(service, caller, image_id, is_acknowledged=is_acknowledged)
    else:
        images.update_image(service, caller, image_id, _MAKE_PRIVATE, is_acknowledged=is_acknowledged)
