"""Record what happened to images and shares, in the transaction of the change: the event is there if and only if its change is.

An operation that changes an image or a share calls `record` before its transaction ends, beside the statements of the change.
`service.announce`, after the transaction, is for the message bus, which may lose notifications.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from partage.model.caller import Caller
from partage.model.ending import Ending, EndReason
from partage.model.event import SERVICE, Actor, EventType, NewEvent
from partage.model.ids import ProjectID
from partage.model.image import Image, ImageStatus
from partage.model.member import Member, MemberStatus
from partage.model.task import Task
from partage.model.terms import Terms
from partage.operations.service import Service
from partage.records import events
from partage.records.database import Transaction

By = Caller | Task | Actor
"""The user that acts: a request's caller, or the one that requested a task; or an actor without a user."""

_ANSWERS = {
    MemberStatus.ACCEPTED: EventType.SHARE_ACCEPTED,
    MemberStatus.REJECTED: EventType.SHARE_REJECTED,
    MemberStatus.PENDING: EventType.SHARE_ANSWER_WITHDRAWN,
}
_ATTRIBUTES = (
    "name", "visibility", "protected", "os_hidden", "min_disk", "min_ram", "disk_format", "container_format", "tags", "properties",
    "stores",
)  # fmt: skip


def record(tx: Transaction, *new: NewEvent) -> None:
    """Record events, in order. One call for many events takes one statement."""
    events.add(tx, new)


def describe_image(service: Service, by: By, event_type: EventType, image: Image, **data: object) -> NewEvent:
    """Build the event of an image. Its owner reads it; after the deletion, the former owner."""
    described = {"name": image.name, "status": image.status.value, "visibility": image.visibility.value, **data}
    owner = image.former_owner or image.owner
    return NewEvent(type=event_type, at=service.clock(), image_id=image.id, owner=owner, actor=_actor(by), data=described)


def describe_change(service: Service, by: By, image: Image, *, was: Image) -> list[NewEvent]:
    """Build the events of a changed image: what changed, that it became active, that it has another owner.

    Properties are not named, because the operator may hide some from the owner.
    """
    changed = [name for name in _ATTRIBUTES if getattr(image, name) != getattr(was, name)]
    if image.references != was.references:
        changed.append("locations")
    found = [describe_image(service, by, EventType.IMAGE_UPDATED, image, changed=changed)]
    if image.owner != was.owner:
        found = [
            describe_image(service, by, EventType.IMAGE_GIVEN_AWAY, was),
            describe_image(service, by, EventType.IMAGE_RECEIVED, image, changed=changed),
        ]
    if image.status is ImageStatus.ACTIVE and was.status is not ImageStatus.ACTIVE:
        found.append(describe_image(service, by, EventType.IMAGE_ACTIVATED, image, size=image.size))
    return found


def describe_share(service: Service, by: By, event_type: EventType, image: Image, member_id: ProjectID, **data: object) -> NewEvent:
    """Build the event of a share. The image's owner and the member read it."""
    return NewEvent(
        type=event_type,
        at=service.clock(),
        image_id=image.id,
        owner=image.former_owner or image.owner,
        member_id=member_id,
        actor=_actor(by),
        data={"image_name": image.name, **data},
    )


def describe_answer(service: Service, by: By, image: Image, member_id: ProjectID, status: MemberStatus) -> NewEvent:
    """Build the event of an answer to an offer."""
    return describe_share(service, by, _ANSWERS[status], image, member_id)


def describe_offer(service: Service, by: By, image: Image, member: Member) -> list[NewEvent]:
    """Build the events of an offer, and of the answer that a trust rule gave at once."""
    terms = _describe_terms(member.terms)
    offered = describe_share(service, by, EventType.SHARE_OFFERED, image, member.member_id, terms=terms)
    if member.status is MemberStatus.PENDING:
        return [replace(offered, is_hidden=member.is_hidden)]
    return [offered, describe_answer(service, SERVICE, image, member.member_id, member.status)]


def describe_terms(service: Service, by: By, image: Image, member: Member) -> NewEvent:
    """Build the event of changed terms."""
    terms = _describe_terms(member.terms)
    changed = describe_share(service, by, EventType.SHARE_TERMS_CHANGED, image, member.member_id, terms=terms)
    return replace(changed, is_hidden=member.is_hidden)


def describe_endings(
    service: Service,
    by: By,
    image: Image,
    ends: Iterable[tuple[ProjectID, EndReason, datetime | None]],
    *,
    hidden: Collection[ProjectID] = (),
) -> list[NewEvent]:
    """Build the events of shares that end: each member with the reason, and the time at which its access ends; None is never.

    `hidden` are the members from which the offer is hidden.
    """
    found = [
        describe_share(service, by, EventType.SHARE_ENDED, image, member_id, reason=reason.value, ends_at=format_time(ends_at))
        for member_id, reason, ends_at in ends
        if member_id != image.owner
    ]
    return [replace(each, is_hidden=each.member_id in hidden) for each in found]


def describe_changed_ending(service: Service, by: By, image: Image, ending: Ending) -> NewEvent:
    """Build the event of a running notice that has another reason, or another end."""
    data = {"reason": ending.reason.value, "ends_at": format_time(ending.ends_at)}
    return describe_share(service, by, EventType.SHARE_ENDING_CHANGED, image, ending.member_id, **data)


def describe_expiry(service: Service, member: Member, owner: ProjectID | None) -> NewEvent:
    """Build the event of a share that has expired."""
    data = {"ended_at": format_time(member.terms.expires_at)}
    return NewEvent(
        type=EventType.SHARE_EXPIRED,
        at=service.clock(),
        image_id=member.image_id,
        owner=owner,
        member_id=member.member_id,
        is_hidden=member.is_hidden,
        data=data,
    )


def describe_end_of_notice(service: Service, ending: Ending, owner: ProjectID | None) -> NewEvent:
    """Build the event of a notice that has run out."""
    data = {"reason": ending.reason.value, "ended_at": format_time(ending.ends_at)}
    return NewEvent(
        type=EventType.SHARE_NOTICE_ENDED,
        at=service.clock(),
        image_id=ending.image_id,
        owner=owner,
        member_id=ending.member_id,
        data=data,
    )


def format_time(moment: datetime | None) -> str | None:
    """Write a time for the data of an event; None is never."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _describe_terms(terms: Terms) -> dict[str, object]:
    """Write terms without the message: it is long, and the share has it."""
    return {"notice": str(terms.notice), "expires_at": format_time(terms.expires_at)}


def _actor(by: By) -> Actor:
    if isinstance(by, Actor):
        return by
    return Actor.of_task(by) if isinstance(by, Task) else Actor.of_caller(by)
