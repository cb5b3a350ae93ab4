"""Accept, reject or leave a share, as its member."""

from collections.abc import Sequence
from dataclasses import replace

from partage import problems
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.event import EventType, NewEvent
from partage.model.ids import ImageID, ProjectID
from partage.model.member import MemberStatus
from partage.model.share import Share, choose_ending
from partage.operations import events, promises
from partage.operations.service import Service
from partage.operations.sharing import shares
from partage.policies import authority
from partage.policies import sharing as rules
from partage.records import endings, members
from partage.records.database import Transaction

_ENDED = (
    "The owner has ended the share of image {}: there is no offer to accept. The member can use the image until the notice ends"
)


def answer_share(service: Service, caller: Caller, image_id: ImageID, member_id: ProjectID, status: MemberStatus) -> Share:
    """Accept or reject an offer, or change the answer. The same answer twice is the same as once.

    A member that rejects a share whose notice runs gives up the notice: its access ends at once. Of a new offer beside a running
    notice it rejects the offer only.

    Raises:
        ShareNotFound: no such share, or none that the caller may know of.
        PolicyForbids: the caller may not answer it.
        ShareConflict: the owner has ended the share, and the caller is not a member that rejects it.
    """
    with service.database.write() as tx:
        was = shares.find_for_change(service, tx, caller, image_id, member_id)
        answered = _answer(service, tx, caller, was, status)
        _record(service, tx, caller, [(answered, was)])
    _announce(service, answered, was)
    return answered


def answer_shares(
    service: Service, caller: Caller, image_ids: Sequence[ImageID], status: MemberStatus
) -> list[Share | problems.Problem]:
    """Answer the offers of many images to the caller's project in one transaction; return what became of each, in order.

    What one image refuses does not keep the others from being answered.

    Raises:
        PolicyForbids: the caller may answer none.
    """
    project_id = caller.project_id or ProjectID("")
    changed: list[tuple[Share, Share]] = []
    outcomes: dict[ImageID, Share | problems.Problem] = {}
    with service.database.write() as tx:
        for image_id in sorted(set(image_ids)):  # in one order, so that two requests never wait for each other
            try:
                was = shares.find_for_change(service, tx, caller, image_id, project_id)
                answered = _answer(service, tx, caller, was, status)
            except (problems.NotFound, problems.Forbidden, problems.Conflict) as problem:
                outcomes[image_id] = problem
            else:
                outcomes[image_id] = answered
                changed.append((answered, was))
        _record(service, tx, caller, changed)
    for answered, was in changed:
        _announce(service, answered, was)
    return [outcomes[image_id] for image_id in image_ids]


def leave_share(service: Service, caller: Caller, image_id: ImageID, member_id: ProjectID) -> None:
    """Give up a share, whatever its state: access ends at once, also where a notice runs.

    Raises:
        ShareNotFound: no such share, or none that the caller may know of.
        PolicyForbids: the caller is not the member.
    """
    with service.database.write() as tx:
        share = shares.find_for_change(service, tx, caller, image_id, member_id)
        service.authority.require(caller, rules.LEAVE_SHARE, authority.share_target(share))
        members.remove(tx, share.membership())
        endings.remove(tx, image_id, member_id)
        events.record(tx, events.describe_share(service, caller, EventType.SHARE_LEFT, share.image, member_id))
    service.announce(Event.MEMBER_DELETE, share.membership())


def _answer(service: Service, tx: Transaction, caller: Caller, share: Share, status: MemberStatus) -> Share:
    service.authority.require(caller, rules.ANSWER_SHARE, authority.share_target(share))
    gives_up = status is MemberStatus.REJECTED and caller.project_id == share.member_id and not share.is_new_offer
    if not share.is_current and not gives_up:
        raise problems.ShareConflict(_ENDED.format(share.image.id))
    if share.status is status:
        return share
    member = share.membership().become(status, now=service.clock())
    if gives_up:
        # As one that leaves: a refused offer must not appear because of an answer to the former one.
        members.remove_hidden(tx, share.image.id, share.member_id)
    members.set_status(tx, member)
    if gives_up:
        endings.remove(tx, share.image.id, share.member_id)
        share = replace(share, ending=None)
    elif status is MemberStatus.ACCEPTED and share.is_new_offer:
        promises.drop_former_notice(service, tx, share.image, member)
        share = replace(share, ending=choose_ending(share.image, member.status, share.ending))
    return replace(share, status=member.status, updated_at=member.updated_at, answered_at=member.answered_at)


def _record(service: Service, tx: Transaction, caller: Caller, changed: Sequence[tuple[Share, Share]]) -> None:
    found = [_describe(service, caller, answered, was) for answered, was in changed if answered != was]
    events.record(tx, *found)


def _describe(service: Service, caller: Caller, answered: Share, was: Share) -> NewEvent:
    gave_up = answered.status is MemberStatus.REJECTED and was.ending is not None and answered.ending is None
    if gave_up:
        return events.describe_share(service, caller, EventType.SHARE_LEFT, was.image, was.member_id)
    return events.describe_answer(service, caller, answered.image, answered.member_id, answered.status)


def _announce(service: Service, answered: Share, was: Share) -> None:
    if answered != was:
        service.announce(Event.MEMBER_UPDATE, answered.membership())
