"""End a share, as its owner, and cancel the ending."""

from dataclasses import replace

from partage import problems
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.ending import EndReason
from partage.model.event import EventType
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.member import Member
from partage.model.quota import Allowance
from partage.model.share import Share
from partage.operations import events, pending_deletes, promises, quota, visible
from partage.operations import members as memberships
from partage.operations.service import Service
from partage.operations.sharing import shares
from partage.policies import authority
from partage.policies import sharing as rules
from partage.policies.images import GET_IMAGE
from partage.records import closings, endings, images, members
from partage.records import shares as share_rows
from partage.records.database import Transaction

_HOW_TO_CANCEL = {
    EndReason.PRIVATE: "The share ends because its image is private; make the image shared to cancel all of its endings",
    EndReason.DEACTIVATED: "The share ends because its image is deactivated; reactivate the image to cancel all of its endings",
    EndReason.DELETED: "The image was deleted; restore it before an ending is cancelled",
    EndReason.PROJECT_CLOSED: "The share ends because the project of its owner was closed; only restoring the image cancels that",
}


def end_share(
    service: Service, caller: Caller, image_id: ImageID, member_id: ProjectID, *, is_acknowledged: bool = False
) -> Share | None:
    """End a share; return it while its notice runs, None when access has ended at once. Ending twice is the same as once.

    An administrator of another project takes the share down: that ends every promise. The owner can also remove the membership of
    an image that is not shared: it is no share, but would be one again as soon as the image is shared.

    Raises:
        ShareNotFound: no such share, or none that the caller may know of.
        PolicyForbids: the caller may not end it.
        ImageGuarded: the member uses the image and would lose access within the cool-down, and this is not acknowledged.
    """
    with service.database.write() as tx:
        share = _find_or_lock(service, tx, caller, image_id, member_id)
        # At one moment: a notice that has just begun has not run out in the response.
        now = service.clock()
        service = replace(service, clock=lambda: now)
        if share is None:
            removed: Member | None = _remove_membership(service, tx, caller, image_id, member_id, is_acknowledged=is_acknowledged)
        else:
            service.authority.require(caller, rules.END_SHARE, authority.share_target(share))
            _end(service, tx, caller, share, is_acknowledged=is_acknowledged)
            removed = share.membership() if share.is_current else None
        ended = _find_or_none(service, tx, caller, image_id, member_id)
    if removed is not None:
        service.announce(Event.MEMBER_DELETE, removed)
    return ended


def cancel_ending(service: Service, caller: Caller, image_id: ImageID, member_id: ProjectID) -> Share:
    """Take back the removal of a member whose notice runs: the share is as it was, accepted, with its terms.

    The endings of a private, deactivated or deleted image are cancelled by sharing, reactivating or restoring the image.

    Raises:
        ShareNotFound: no such share, or none that the caller may know of.
        PolicyForbids: the caller may not share the image.
        ShareConflict: the share is not ending, not for this reason, or the image has been offered anew.
        TooMany: the image has as many members as it may have.
    """
    with service.database.write() as tx:
        share = shares.find_for_change(service, tx, caller, image_id, member_id)
        service.authority.require(caller, rules.CANCEL_ENDING, authority.share_target(share))
        _require_cancellable(share)
        memberships.check_count(service, tx, share.image)
        member = replace(share.membership(), updated_at=service.clock())
        members.add(tx, member, share.image)
        promises.drop_former_notice(service, tx, share.image, member)
        events.record(tx, events.describe_share(service, caller, EventType.SHARE_ENDING_CANCELLED, share.image, member_id))
        restored = shares.find(service, tx, caller, image_id, member_id)
    service.announce(Event.MEMBER_CREATE, member)
    return restored


def restore_image(service: Service, caller: Caller, image_id: ImageID) -> Image:
    """Take back an image that the caller's project has deleted, with its id, members and terms.

    That is possible as long as the image is retained, and with delayed delete until it is scrubbed; not to a closed project.

    Raises:
        ImageNotFound: no such image is retained or waits, or not one that was the caller's.
        PolicyForbids: the caller may not have it back.
        QuotaExceeded: the project has no room for it.
        IdentityUnavailable: the limits are kept in Keystone, which does not answer.
    """
    with service.database.read() as tx:
        owner = _find_restorable(service, tx, caller, image_id).owner
    restored = quota.try_within(service, owner, lambda allowance: _restore(service, caller, image_id, allowance))
    return visible.hide_properties(service, caller, restored)


def _restore(service: Service, caller: Caller, image_id: ImageID, allowance: Allowance) -> Image:
    with service.database.write() as tx:
        _find_restorable(service, tx, caller, image_id)
        retained = images.find_for_work(tx, image_id)
        # Before the lock another request may have restored it, the last member left, or a job scrubbed it.
        restorable = _find_restorable(service, tx, caller, image_id)
        target = authority.image_target(caller, restorable)
        if not service.authority.allows(caller, GET_IMAGE, target):
            raise _not_found(image_id)
        service.authority.require(caller, rules.RESTORE_IMAGE, target)
        quota.check_moved_image(tx, restorable, allowance, now=service.clock())
        if retained is not None:
            return promises.give_back(service, tx, caller, retained)
        restored = pending_deletes.restore_waiting(service, tx, caller, image_id)
        if restored is None:
            raise _not_found(image_id)
        return restored


def _find_restorable(service: Service, tx: Transaction, caller: Caller, image_id: ImageID) -> Image:
    """Return a deleted image as it will be when the caller restores it.

    Raises:
        ImageNotFound: there is none, not one of the caller's project, or the project was closed.
    """
    now = service.clock()
    is_closed = not caller.is_admin and closings.is_requested(tx, caller.project_id)
    owner = None if is_closed else endings.find_retained(tx, caller, image_id, now=now)
    retained = None if owner is None else images.find_or_none(tx, image_id)
    if retained is not None and retained.is_retained:
        return retained.give_back(now=now)
    waiting = None if is_closed else pending_deletes.find_restorable(service, tx, caller, image_id)
    if waiting is None:
        raise _not_found(image_id)
    return waiting


def _not_found(image_id: ImageID) -> problems.ImageNotFound:
    return problems.ImageNotFound(visible.NO_IMAGE.format(image_id))


def _find_or_lock(service: Service, tx: Transaction, caller: Caller, image_id: ImageID, member_id: ProjectID) -> Share | None:
    """Return a share with its image locked. Without a share, lock the image if the caller sees it, and return None."""
    try:
        return shares.find_for_change(service, tx, caller, image_id, member_id)
    except problems.ShareNotFound:
        try:
            visible.find_for_change(service, tx, caller, image_id)
        except problems.ImageNotFound:
            return None
    # Before the lock another request may have made the image shared, and its memberships shares.
    return _find_or_none(service, tx, caller, image_id, member_id)


def _remove_membership(
    service: Service, tx: Transaction, caller: Caller, image_id: ImageID, member_id: ProjectID, *, is_acknowledged: bool
) -> Member:
    """Remove a membership that is no share, because its image is not shared or the member owns it.

    Only the image's owner and administrators know of it.

    Raises:
        ShareNotFound: there is none, or none that the caller may know of.
        PolicyForbids: the caller may not remove it.
        ImageGuarded: the image is open, guarded, and the member uses it.
    """
    try:
        image = visible.find_for_change(service, tx, caller, image_id)
        member = members.find(tx, caller, image_id, member_id, now=service.clock())
    except problems.NotFound as unknown:
        raise problems.ShareNotFound(share_rows.NO_SHARE.format(image_id, member_id)) from unknown
    if not caller.is_admin and image.owner != caller.project_id:
        raise problems.ShareNotFound(share_rows.NO_SHARE.format(image_id, member_id))
    service.authority.require(caller, rules.END_SHARE, authority.member_target(image, member_id))
    if image.visibility is Visibility.PRIVATE:
        # The member has lost access, and learns nothing of the image any more, not even its name of today.
        promises.record_ended(service, tx, caller, image, {member_id: EndReason.REMOVED}, hidden=[member_id])
    elif promises.takes_down(caller, image):
        promises.record_ended(service, tx, caller, image, {member_id: EndReason.REMOVED})
    else:
        # Nothing else would protect the member when the open image is closed later.
        promises.end_member_share(service, tx, caller, image, member, is_acknowledged=is_acknowledged)
    members.remove(tx, member)
    return member


def _end(service: Service, tx: Transaction, caller: Caller, share: Share, *, is_acknowledged: bool) -> None:
    member = share.membership()
    if share.is_current:
        promises.end_member_share(service, tx, caller, share.image, member, is_acknowledged=is_acknowledged)
        members.remove(tx, member)
        return
    if caller.is_admin and caller.project_id != share.owner_id:
        promises.take_down_share(service, tx, caller, share.image, member)
        members.remove(tx, member)
        return
    if share.image.is_retained:
        return  # its membership stays with it, for the owner who takes the image back
    kept = _find_membership(service, tx, caller, share)
    if kept is not None and share.image.visibility is not Visibility.PRIVATE:
        # The image is open. The membership's own notice may run longer than the former one that the share shows.
        promises.end_member_share(service, tx, caller, share.image, kept, is_acknowledged=is_acknowledged)
        members.remove(tx, kept)
        return
    changed = promises.keep_notice(tx, share.image, share.member_id)
    if members.remove(tx, member) or changed:
        promises.record_ended(service, tx, caller, share.image, {share.member_id: EndReason.REMOVED})


def _find_membership(service: Service, tx: Transaction, caller: Caller, share: Share) -> Member | None:
    try:
        return members.find(tx, caller, share.image.id, share.member_id, now=service.clock())
    except problems.MemberNotFound:
        return None


def _find_or_none(service: Service, tx: Transaction, caller: Caller, image_id: ImageID, member_id: ProjectID) -> Share | None:
    try:
        return shares.find(service, tx, caller, image_id, member_id)
    except problems.ShareNotFound:
        return None


def _require_cancellable(share: Share) -> None:
    if share.ending is None:
        raise problems.ShareConflict("The share is not ending; there is nothing to cancel")
    reason = share.ending.reason
    if share.image.is_retained and reason is not EndReason.PROJECT_CLOSED:
        reason = EndReason.DELETED
    if reason is not EndReason.REMOVED:
        raise problems.ShareConflict(_HOW_TO_CANCEL[reason])
    if share.is_current:
        raise problems.ShareConflict(
            "The image was offered to the project anew; end that offer to cancel the ending of the former one"
        )
    if share.image.visibility is not Visibility.SHARED:
        raise problems.ShareConflict(f"The image is {share.image.visibility}; make it shared before the ending is cancelled")
    if share.image.status is ImageStatus.DEACTIVATED:
        raise problems.ShareConflict("The image is deactivated; reactivate it before the ending is cancelled")
