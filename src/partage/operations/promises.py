"""Notice: after an owner has ended a share, the member keeps access until the notice has run out.

Every way in which an owner ends access calls this module: the member is removed, the image is made private, deactivated or deleted,
or its project is closed. An administrator who does this to another project's image takes it down: that ends every notice at once.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

from partage import problems
from partage.model.caller import Caller
from partage.model.claim_code import WINDOW
from partage.model.ending import (
    NO_GRACE,
    READABLE,
    Ending,
    EndReason,
    Usage,
    has_ended_shares,
    keep_later,
    start_notice,
    start_notices,
)
from partage.model.event import EventType, NewEvent
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.impact import REASONS, Action, Situation
from partage.model.member import Member, MemberStatus
from partage.model.share import choose_ending
from partage.operations import events, guard
from partage.operations.events import By
from partage.operations.service import Service
from partage.records import claim_codes, claim_failures, endings, idempotency, images, members, takedowns, uses
from partage.records.database import Transaction

_LEFT = (EndReason.DELETED, EndReason.PROJECT_CLOSED)
"""The reasons of endings that begin, or go on, because the owner left the image."""
_UNDONE_ON_THE_IMAGE = (EndReason.PRIVATE, EndReason.DEACTIVATED)
"""The reasons of endings that a change of the image cancels."""
_ABANDONED_AT_ONCE = 100
_ENDED_AT_ONCE = 500
_MOST_OF_IMAGE = 10_000
"""Rows of one image that are settled at a time: more than any image has members."""
_ACTIONS: Mapping[EndReason, Action] = MappingProxyType({reason: action for action, reason in REASONS.items()})
"""The reasons that the guard looks at. Nothing guards an image from the closing of its project."""


def settle_ended(service: Service, tx: Transaction, image_id: ImageID) -> None:
    """Remove an image's shares that have expired and endings that are over, and record that, before other rows replace them.

    Access has ended already. Usually a job is faster; where it is not, its event would be lost. The image is locked.
    """
    now = service.clock()
    if not endings.has_ended(tx, image_id, now=now):
        return
    expired = members.take_expired(tx, now=now, limit_rows=_MOST_OF_IMAGE, image_id=image_id)
    over = endings.take_over(tx, now=now, limit_rows=_MOST_OF_IMAGE, image_id=image_id)
    events.record(tx, *_describe_settled(service, expired, over))


def takes_down(caller: Caller, image: Image) -> bool:
    """Whether the caller is an administrator of the cloud who acts on another project's image. Notice does not bind operators."""
    return caller.is_admin and caller.project_id != image.owner


def end_member_share(
    service: Service, tx: Transaction, caller: Caller, image: Image, member: Member, *, is_acknowledged: bool = False
) -> None:
    """Start the notice of a share, in the transaction that removes the member.

    Raises:
        ImageGuarded: the member uses the image and would lose access within the cool-down, and this is not acknowledged.
    """
    settle_ended(service, tx, image.id)
    if takes_down(caller, image):
        take_down_share(service, tx, caller, image, member)
        return
    if has_ended_shares(image):
        keep_notice(tx, image, member.member_id)
    else:
        grace = find_grace(
            service, tx, caller, image, EndReason.REMOVED, member_id=member.member_id, is_acknowledged=is_acknowledged
        )
        _start_notices(service, tx, image, [member], EndReason.REMOVED, grace=grace)
    record_ended(service, tx, caller, image, {member.member_id: EndReason.REMOVED}, hidden=_list_hidden([member]))


def end_all_shares(
    service: Service,
    tx: Transaction,
    caller: Caller,
    image: Image,
    reason: EndReason,
    *,
    by: By | None = None,
    is_acknowledged: bool = False,
) -> None:
    """Start the notice of every share of an image, in the transaction that ends access to it. `by` is who acts for the caller.

    A share that has ended gets no second notice: its members would get access back that they had lost, even to an image that an
    administrator took down. After the owner has left the image, that is the reason of its running notices, because only a restored
    image can be made shared or reactivated. The notice of a removed member keeps its reason: no restoring cancels it.

    Raises:
        ImageGuarded: projects use the image and would lose access within the cool-down, and this is not acknowledged.
    """
    settle_ended(service, tx, image.id)
    now = service.clock()
    current = [] if has_ended_shares(image) else [each for each in members.list_all(tx, image.id) if not each.has_expired(now)]
    if takes_down(caller, image):
        running = endings.list_running(tx, image.id, now=now)
        endings.remove_all(tx, image.id)
        record_takedowns(service, tx, caller, image, [*current, *(each.membership() for each in running)], reason=reason)
        return
    grace = find_grace(service, tx, caller, image, reason, is_acknowledged=is_acknowledged)
    _start_notices(service, tx, image, current, reason, grace=grace)
    if reason in _LEFT:
        for was in _UNDONE_ON_THE_IMAGE:
            _change_reason(service, tx, by or caller, image, was=was, reason=reason)
    record_ended(service, tx, by or caller, image, {each.member_id: reason for each in current}, hidden=_list_hidden(current))


def take_down_share(service: Service, tx: Transaction, caller: Caller, image: Image, member: Member) -> None:
    """End one share against every promise, in the transaction that removes the member."""
    endings.remove(tx, image.id, member.member_id)
    record_takedowns(service, tx, caller, image, [member], reason=EndReason.REMOVED)


def record_takedowns(
    service: Service, tx: Transaction, by: By, image: Image, shares: Iterable[Member], *, reason: EndReason
) -> None:
    """Record shares that an administrator has ended, for the two sides that see them: those that were promised or accepted."""
    ended = {each.member_id: each for each in shares}
    accepted = [each for each in ended.values() if each.status is MemberStatus.ACCEPTED]
    takedowns.add(tx, image, accepted, reason, now=service.clock())
    reasons = {each: EndReason.TAKEN_DOWN if ended[each] in accepted else reason for each in ended}
    record_ended(service, tx, by, image, reasons, hidden=_list_hidden(list(ended.values())))


def preview_endings(service: Service, tx: Transaction, image: Image, reason: EndReason) -> list[Ending]:
    """List the notices that would run if the owner ended all shares of the image now, and those that run already, by member."""
    if image.status not in READABLE:
        return []
    now = service.clock()
    running = {each.member_id: _follow(each, reason) for each in endings.list_running(tx, image.id, now=now)}
    shares = [] if has_ended_shares(image) else members.list_all(tx, image.id)
    usage = find_usage(service, tx, image.id, shares)
    found = keep_later(running, start_notices(image, shares, reason, now=now, usage=usage))
    return [found[each] for each in sorted(found)]


def list_kept(service: Service, tx: Transaction, image: Image) -> list[Ending]:
    """List the running notices of an image that has just been deleted, if it is retained for them."""
    return endings.list_running(tx, image.id, now=service.clock()) if image.status in READABLE else []


def read_situation(service: Service, tx: Transaction, caller: Caller, image: Image) -> Situation:
    """Read the memberships and running endings of an image."""
    now = service.clock()
    shares = members.list_all(tx, image.id)
    return Situation(
        image=image,
        members=shares,
        usage=find_usage(service, tx, image.id, shares),
        endings=endings.list_running(tx, image.id, now=now),
        takes_down=takes_down(caller, image),
        now=now,
    )


def keep_notice(tx: Transaction, image: Image, member_id: ProjectID) -> bool:
    """Let a notice of a private or deactivated image run on after the membership has been removed; return whether there is one.

    Sharing or reactivating the image must not cancel it any more, because the member would lose access.
    """
    kept = [endings.change_reason(tx, image.id, reason, EndReason.REMOVED, member_id=member_id) for reason in _UNDONE_ON_THE_IMAGE]
    return any(kept)


def drop_former_notice(service: Service, tx: Transaction, image: Image, member: Member) -> None:
    """Remove the ending of a former share, if the member has accepted a share that promises no less.

    Otherwise it is kept: when the owner ends the new share, the member keeps access until the former notice has run out.
    """
    # Whatever is used: the last use may end at any time.
    unused = Usage(grace=service.sharing.while_used_grace)
    new = start_notice(member, EndReason.REMOVED, now=service.clock(), usage=unused)
    if new is not None and not has_ended_shares(image):
        endings.remove_covered(tx, new)


def settle_former_notice(service: Service, tx: Transaction, caller: Caller, image: Image, answered: Member, *, was: Member) -> None:
    """Do with the notice of a former share what the answer to a new offer means.

    After a member has accepted it there is one share. If the member then rejects that, it gives up all of it.
    """
    if answered.status is MemberStatus.ACCEPTED:
        drop_former_notice(service, tx, image, answered)
    elif answered.status is MemberStatus.REJECTED and was.status is MemberStatus.ACCEPTED and caller.project_id == was.member_id:
        endings.remove(tx, image.id, was.member_id)


def find_ended_share(service: Service, tx: Transaction, caller: Caller, image: Image, member_id: ProjectID) -> Member | None:
    """Return the caller's own membership if the share has ended and its notice runs. Its row may have been removed."""
    now = service.clock()
    running = {each.member_id: each for each in endings.list_running(tx, image.id, now=now)}
    ending = running.get(member_id)
    if caller.project_id != member_id or ending is None:
        return None
    try:
        member = members.find(tx, caller, image.id, member_id, now=now)
    except problems.MemberNotFound:
        return ending.membership()
    # The owner removed the member and offered the image again: the answer is to the new offer.
    is_new_offer = ending.reason is EndReason.REMOVED and image.visibility is Visibility.SHARED
    return None if is_new_offer else member


def require_unfrozen(service: Service, tx: Transaction, caller: Caller, changed: Image, *, was: Image) -> None:
    """Check that a change alters nothing that members see whose notice runs: they rebuild servers with the image as it was shared.

    The visibility can change, because their view of it does not, and `protected`, which decides nothing for them. The owner is
    changed by administrators only. An administrator of another project is not bound by promises.

    Raises:
        ImageFrozen: it would.
    """
    seen = replace(changed, visibility=was.visibility, protected=was.protected, owner=was.owner, updated_at=was.updated_at)
    if takes_down(caller, was) or seen == was:
        return
    now = service.clock()
    is_shared = was.visibility is Visibility.SHARED
    current = {each.member_id: each for each in members.list_all(tx, was.id) if is_shared and not each.has_expired(now)}
    for ending in endings.list_running(tx, was.id, now=now):
        share = current.get(ending.member_id)
        if share is None or choose_ending(was, share.status, ending) is not None:
            until = "for ever" if ending.ends_at is None else f"until {events.format_time(ending.ends_at)}"
            raise problems.ImageFrozen(
                f"Image {was.id} is kept as it was shared for project {ending.member_id} {until}, because its notice runs; "
                "only visibility and protected can be changed. Cancel the ending, or adopt the image and change the new one"
            )


def follow_visibility(
    service: Service, tx: Transaction, caller: Caller, image: Image, *, was: Image, is_acknowledged: bool = False
) -> None:
    """Start notices when an image becomes private, and cancel them when it no longer is.

    Raises:
        ImageGuarded: projects use the image and would lose access within the cool-down, and this is not acknowledged.
    """
    if image.visibility is was.visibility:
        return
    if image.visibility is Visibility.PRIVATE:
        end_all_shares(service, tx, caller, was, EndReason.PRIVATE, is_acknowledged=is_acknowledged)
    elif was.visibility is Visibility.PRIVATE:
        cancel_notices(service, tx, caller, image, EndReason.PRIVATE)
    elif image.visibility is Visibility.SHARED and guard.is_on(service, tx, image):
        guard.require_no_other_users(service, tx, read_situation(service, tx, caller, was))


def cancel_notices(service: Service, tx: Transaction, caller: Caller, image: Image, ended_by: EndReason) -> None:
    """Cancel the notices that run for the reason `ended_by`, which no longer applies.

    If the image is private or deactivated all the same, the notices continue for that reason.
    """
    settle_ended(service, tx, image.id)
    _lift_reason(service, tx, caller, image, ended_by)
    if not has_ended_shares(image):
        takedowns.cancel(tx, image.id, ended_by)
    record_shares_back(service, tx, caller, image)


def record_shares_back(service: Service, tx: Transaction, by: By, image: Image) -> None:
    """Record that the shares of an image have not ended any more, unless the image is private or deactivated."""
    if has_ended_shares(image):
        return
    now = service.clock()
    shares = [each for each in members.list_all(tx, image.id) if not each.has_expired(now) and each.member_id != image.owner]
    back = [
        replace(
            events.describe_share(service, by, EventType.SHARE_ENDING_CANCELLED, image, each.member_id), is_hidden=each.is_hidden
        )
        for each in shares
    ]
    events.record(tx, *back)


def record_ended(
    service: Service,
    tx: Transaction,
    by: By,
    image: Image,
    ended: Mapping[ProjectID, EndReason],
    *,
    hidden: Collection[ProjectID] = (),
) -> None:
    """Record that shares have ended, each with the time at which access ends: now, unless a notice runs.

    `hidden` are the members from which the offer is hidden.
    """
    if not ended:
        return
    now = service.clock()
    running = {each.member_id: each.ends_at for each in endings.list_running(tx, image.id, now=now)}
    ends = [(member_id, ended[member_id], running.get(member_id, now)) for member_id in sorted(ended)]
    events.record(tx, *events.describe_endings(service, by, image, ends, hidden=hidden))


def _list_hidden(shares: Iterable[Member]) -> set[ProjectID]:
    return {each.member_id for each in shares if each.is_hidden}


def find_usage(service: Service, tx: Transaction, image_id: ImageID, shares: Iterable[Member]) -> Usage:
    """Find which members use the image, of those whose notice depends on it."""
    asked = (each.member_id for each in shares if each.terms.notice.while_used)
    users = frozenset(each for each in asked if uses.has_any(tx, image_id, each))
    return Usage(users, service.sharing.while_used_grace)


def follow_uses(service: Service, tx: Transaction, by: By, image_id: ImageID, project_id: ProjectID, *, now: datetime) -> None:
    """Let a running notice while-used follow a change of the project's uses, in its transaction. The image is locked.

    `by` is who changed the uses.
    """
    users = {project_id} if uses.has_any(tx, image_id, project_id) else set[ProjectID]()
    until = Usage(users, service.sharing.while_used_grace).end(project_id, now)
    moved = endings.follow_uses(tx, image_id, project_id, until=until, now=now)
    image = None if moved is None else images.find_for_work(tx, image_id)
    if moved is not None and image is not None:
        events.record(tx, events.describe_changed_ending(service, by, image, moved))


def retain(service: Service, tx: Transaction, image: Image) -> bool:
    """Retain a deleted image for the members whose notice runs; return whether there are any."""
    now = service.clock()
    if image.status not in READABLE or not endings.list_running(tx, image.id, now=now):
        return False
    images.save(tx, image.retain(now=now), was=image)
    return True


def is_held(service: Service, tx: Transaction, image: Image) -> bool:
    """Whether the image is retained and some member's notice runs. After the last notice the image is deleted, swept or not."""
    return image.is_retained and bool(endings.list_running(tx, image.id, now=service.clock()))


def give_back(service: Service, tx: Transaction, by: By, retained: Image) -> Image:
    """Return a retained image to its former owner, and cancel the notices that began when the owner left the image."""
    settle_ended(service, tx, retained.id)
    image = retained.give_back(now=service.clock())
    images.save(tx, image, was=retained)
    for reason in _LEFT:
        _lift_reason(service, tx, by, image, reason)
        takedowns.cancel(tx, image.id, reason)
    events.record(tx, events.describe_image(service, by, EventType.IMAGE_RESTORED, image))
    record_shares_back(service, tx, by, image)
    return image


def remove_expired(service: Service) -> int:
    """Remove expired shares and claim codes, endings whose notice has run out, and retained images without a running notice.

    This only frees space: access has ended already. Return how many retained images were removed.
    """
    now = service.clock()
    with service.database.write() as tx:
        members.add_owners(tx)
        endings.add_owners(tx)
        takedowns.remove_old(tx, now=now)
        idempotency.remove_old(tx, before=now - idempotency.KEPT)
        claim_codes.remove_expired(tx, now=now)
        claim_failures.remove_old(tx, before=now - WINDOW)
    while _remove_ended(service, now):
        pass
    removed = 0
    while True:
        with service.database.read() as tx:
            abandoned = endings.list_abandoned(tx, now=now, limit_rows=_ABANDONED_AT_ONCE)
        for image_id in abandoned:
            with service.database.write() as tx:
                removed += _remove_abandoned(service, tx, images.find_for_work(tx, image_id))
        if len(abandoned) < _ABANDONED_AT_ONCE:
            return removed


def _remove_ended(service: Service, now: datetime) -> bool:
    """Remove a batch of expired shares and of endings that are over, and record that; return whether there may be more."""
    with service.database.write() as tx:
        expired = members.take_expired(tx, now=now, limit_rows=_ENDED_AT_ONCE)
        over = endings.take_over(tx, now=now, limit_rows=_ENDED_AT_ONCE)
        events.record(tx, *_describe_settled(service, expired, over))
    return _ENDED_AT_ONCE in (len(expired), len(over))


def _describe_settled(
    service: Service, expired: Iterable[tuple[Member, ProjectID | None]], over: Iterable[tuple[Ending, ProjectID | None]]
) -> list[NewEvent]:
    return [
        *(events.describe_expiry(service, member, owner) for member, owner in expired),
        *(events.describe_end_of_notice(service, ending, owner) for ending, owner in over),
    ]


def _follow(ending: Ending, reason: EndReason) -> Ending:
    """Return an ending after the owner left the image for this reason."""
    return replace(ending, reason=reason) if reason in _LEFT and ending.reason in _UNDONE_ON_THE_IMAGE else ending


def _lift_reason(service: Service, tx: Transaction, by: By, image: Image, ended_by: EndReason) -> None:
    if image.visibility is Visibility.PRIVATE:
        _change_reason(service, tx, by, image, was=ended_by, reason=EndReason.PRIVATE)
    elif image.status is ImageStatus.DEACTIVATED:
        _change_reason(service, tx, by, image, was=ended_by, reason=EndReason.DEACTIVATED)
    else:
        endings.cancel(tx, image.id, ended_by)


def _change_reason(service: Service, tx: Transaction, by: By, image: Image, *, was: EndReason, reason: EndReason) -> None:
    """Let the image's running notices for the reason `was` run on for another, and record that for both sides."""
    running = endings.list_running(tx, image.id, now=service.clock())
    if was is reason or not endings.change_reason(tx, image.id, was, reason):
        return
    moved = [replace(each, reason=reason) for each in running if each.reason is was]
    events.record(tx, *(events.describe_changed_ending(service, by, image, each) for each in moved))


def find_grace(
    service: Service,
    tx: Transaction,
    caller: Caller,
    image: Image,
    reason: EndReason,
    *,
    member_id: ProjectID | None = None,
    is_acknowledged: bool,
) -> Mapping[ProjectID, timedelta]:
    """Return the shortest notice of the members that the guard protects.

    Raises:
        ImageGuarded: as `guard.require_unused`.
    """
    action = _ACTIONS.get(reason)
    if action is None or not guard.is_on(service, tx, image):
        return NO_GRACE
    situation = read_situation(service, tx, caller, image)
    return guard.require_unused(service, tx, situation, action, member_id, is_acknowledged=is_acknowledged)


def _start_notices(
    service: Service,
    tx: Transaction,
    image: Image,
    shares: list[Member],
    reason: EndReason,
    *,
    grace: Mapping[ProjectID, timedelta],
) -> None:
    usage = find_usage(service, tx, image.id, shares)
    for ending in start_notices(image, shares, reason, now=service.clock(), usage=usage, grace=grace):
        endings.put(tx, ending, image)


def _remove_abandoned(service: Service, tx: Transaction, image: Image | None) -> bool:
    """Delete a retained image, unless it was restored, or has a running notice again, since it was listed."""
    if image is None or not image.is_retained or is_held(service, tx, image):
        return False
    images.remove(tx, replace(image, updated_at=service.clock()))
    return True
