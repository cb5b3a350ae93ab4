"""The ending of a share: the owner has ended the share, and the member keeps access until the notice has run out."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from partage.model.ids import ImageID, ProjectID
from partage.model.member import Member, MemberStatus
from partage.model.terms import Terms


class EndReason(StrEnum):
    """What ended a share."""

    REMOVED = "removed"
    DELETED = "deleted"
    PRIVATE = "private"
    DEACTIVATED = "deactivated"
    PROJECT_CLOSED = "project-closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A share that its owner has ended and whose notice runs. Times are UTC, aware; `ends_at` None is never.

    `status` is the member status at that time: the image stays in the member's lists with that status. `terms`, `offered_at` and
    `answered_at` are those of the share; `offered_at` is None if the ending began before they were recorded.
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

    def runs(self, now: datetime) -> bool:
        """Whether the member still has access."""
        return self.ends_at is None or now < self.ends_at


def start_notice(member: Member, reason: EndReason, *, now: datetime) -> Ending | None:
    """Return the ending of a share that its owner ends now; None if the share has no notice, or the member has not accepted it.

    The notice ends at the latest when the share expires.
    """
    if member.status is not MemberStatus.ACCEPTED:
        return None
    terms = member.terms
    ends = [each for each in (terms.notice.end(now), terms.expires_at) if each is not None]
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
    )
    return ending if ending.runs(now) else None
