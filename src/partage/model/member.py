"""A project's membership of an image, and its changes of status."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from partage import problems
from partage.model.ids import ImageID, ProjectID
from partage.model.terms import Terms


class MemberStatus(StrEnum):
    """The member's answer. Any status may follow any other."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A share: a membership of the Image API, with the terms of the share. Times are UTC, aware.

    `answered_at` is None until the project answers. `is_hidden`: a trust rule of the project refused the offer. For the owner it is
    pending, for the member it does not exist. `offered_from` is the domain of the project that offered it; empty: unknown.
    """

    image_id: ImageID
    member_id: ProjectID
    created_at: datetime
    updated_at: datetime
    status: MemberStatus = MemberStatus.PENDING
    terms: Terms = field(default_factory=Terms)
    answered_at: datetime | None = None
    is_hidden: bool = False
    offered_from: str = ""

    def has_expired(self, now: datetime) -> bool:
        """Whether the share has expired."""
        return self.terms.expires_at is not None and self.terms.expires_at <= now

    def become(self, status: str, *, now: datetime) -> "Member":
        """Set the member's answer. A hidden offer is shown.

        Raises:
            BodyInvalid: there is no such status. It is checked here, after authorisation, so that it reveals nothing to outsiders.
        """
        if status not in tuple(MemberStatus):
            raise problems.BodyInvalid('Incorrect request: Status must be "pending", "accepted" or "rejected".')
        answered_at = None if status == MemberStatus.PENDING else now
        return replace(self, status=MemberStatus(status), updated_at=now, answered_at=answered_at, is_hidden=False)
