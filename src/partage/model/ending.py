"""The ending of a share: the owner has ended the share, and the member keeps access until the notice has run out."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.member import Member, MemberStatus
from partage.model.terms import Notice, Terms

READABLE = (ImageStatus.ACTIVE, ImageStatus.DEACTIVATED)
"""The statuses of images that have data, so that notice can be kept."""
TAKEDOWN_SHOWN = timedelta(days=30)
"""For so long owner and member see that an administrator has ended their share."""
NO_GRACE: Mapping[ProjectID, timedelta] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Usage:
    """The projects that use an image, and the grace that a notice while-used has after their last use."""

    users: Collection[ProjectID] = frozenset()
    grace: timedelta = timedelta(days=1)

    def end(self, project_id: ProjectID, now: datetime) -> datetime | None:
        """Return the end of a notice while-used as things are now; None is unknown, because the project uses the image."""
        return None if project_id in self.users else now + self.grace


NO_USAGE = Usage()


class EndReason(StrEnum):
    """What ended a share."""

    REMOVED = "removed"
    DELETED = "deleted"
    PRIVATE = "private"
    DEACTIVATED = "deactivated"
    PROJECT_CLOSED = "project-closed"
    TAKEN_DOWN = "taken-down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A share that its owner has ended and whose notice runs. Times are UTC, aware; `ends_at` None is never.

    `status` is the member status at that time: the image stays in the member's lists with that status. `terms`, `offered_at` and
    `answered_at` are those of the share; `offered_at` is None if the ending began before they were recorded. `least_ends_at` is the
    earliest end of a notice while-used, whatever is used.
    """

    image_id: ImageID
    member_id: ProjectID
    status: MemberStatus
    reason: EndReason
    began_at: datetime
    ends_at: datetime | None
    terms: Terms = field(default_factory=Terms)
    offered_at: datetime | None = None
    answered_at: datetime | None = None
    least_ends_at: datetime | None = None

    def membership(self) -> Member:
        """Return the membership as it was; its row may have been removed."""
        return Member(
            image_id=self.image_id,
            member_id=self.member_id,
            created_at=self.offered_at or self.began_at,
            updated_at=self.began_at,
            status=self.status,
            terms=self.terms,
            answered_at=self.answered_at,
        )

    def runs(self, now: datetime) -> bool:
        """Whether the member still has access."""
        return self.ends_at is None or now < self.ends_at


def has_ended_shares(image: Image) -> bool:
    """Whether the image's shares have ended: members have access only while a notice runs."""
    return image.visibility is Visibility.PRIVATE or image.status is ImageStatus.DEACTIVATED


def start_notices(
    image: Image,
    shares: Iterable[Member],
    reason: EndReason,
    *,
    now: datetime,
    usage: Usage,
    grace: Mapping[ProjectID, timedelta] = NO_GRACE,
) -> list[Ending]:
    """Return the endings of an image's shares that its owner ends now; `grace` is the shortest notice of some members."""
    if image.status not in READABLE:
        return []
    of_others = (each for each in shares if each.member_id != image.owner)
    found = (start_notice(each, reason, now=now, usage=usage, grace=grace.get(each.member_id, timedelta())) for each in of_others)
    return [each for each in found if each is not None]


def start_notice(
    member: Member, reason: EndReason, *, now: datetime, usage: Usage, grace: timedelta = timedelta()
) -> Ending | None:
    """Return the ending of a share that its owner ends now; None if the share has no notice, or the member has not accepted it.

    The notice is at least `grace`. It ends at the latest when the share expires.
    """
    if member.status is not MemberStatus.ACCEPTED:
        return None
    terms, shortest = member.terms, Notice(grace)
    notice = terms.notice if terms.notice.covers(shortest) else shortest
    end = notice.end(now)
    if terms.notice.while_used:
        used = usage.end(member.member_id, now)
        end = None if used is None else max(used, now + grace)
    ends = [each for each in (end, terms.expires_at) if each is not None]
    ending = Ending(
        image_id=member.image_id,
        member_id=member.member_id,
        status=member.status,
        reason=reason,
        began_at=now,
        ends_at=min(ends) if ends else None,
        terms=terms,
        offered_at=member.created_at,
        answered_at=member.answered_at,
        least_ends_at=now + grace if terms.notice.while_used else None,
    )
    return ending if ending.runs(now) else None


def keep_later(running: Mapping[ProjectID, Ending], new: Iterable[Ending]) -> dict[ProjectID, Ending]:
    """Return the running endings with the new ones. Of two for one project the later one stays: a notice is never shortened."""
    found = dict(running)
    for each in new:
        was = found.get(each.member_id)
        if was is None or not _ends_later(was, each):
            found[each.member_id] = each
    return found


def _ends_later(ending: Ending, other: Ending) -> bool:
    return ending.ends_at is None or (other.ends_at is not None and ending.ends_at >= other.ends_at)
