"""A share as its owner and its member see it: the image, the member's answer, the terms, the ending; and pages of shares."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import orjson

from partage import problems
from partage.model.ending import Ending, EndReason
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus
from partage.model.member import Member, MemberStatus
from partage.model.terms import Terms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Direction(StrEnum):
    """Shares with a project (in), or shares of its images (out)."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One image offered to one project. `image` lacks tags, properties, digests and locations. Times are UTC, aware.

    `is_current`: the project is a member of a shared image. Where it is not, the share has ended and its notice runs. A share can
    be both: the owner deactivated the image, or removed the member and offered the image anew. After the member has accepted the
    new offer there is one share, without an ending. `is_hidden`: as of a `Member`; only the owner and administrators find such a
    share. `last_used` is the latest time at which the member used or downloaded the image; None is unknown.
    """

    image: Image
    member_id: ProjectID
    status: MemberStatus
    terms: Terms
    offered_at: datetime
    updated_at: datetime
    answered_at: datetime | None
    is_current: bool
    is_hidden: bool = False
    ending: Ending | None
    last_used: datetime | None = None

    @property
    def owner_id(self) -> ProjectID | None:
        """The project that shares the image, even if it has deleted the image."""
        return self.image.former_owner or self.image.owner

    @property
    def is_new_offer(self) -> bool:
        """Whether this is an offer, not accepted yet, beside the running notice of a former share with the same project."""
        is_beside = self.ending is not None and self.ending.reason is EndReason.REMOVED
        return is_beside and self.is_current and self.status is not MemberStatus.ACCEPTED

    def visible_image(self, project_id: ProjectID | None) -> Image:
        """Return the image as a project sees it: its owner as it has or had it, others as it was shared while a notice runs."""
        if project_id == self.owner_id:
            return self.image.as_owned()
        is_running = self.ending is not None and self.ending.reason is not EndReason.TAKEN_DOWN
        return self.image.as_shared() if is_running else self.image

    def membership(self) -> Member:
        """Return the membership of the Image API; a removed one as it was."""
        return Member(
            image_id=self.image.id,
            member_id=self.member_id,
            created_at=self.offered_at,
            updated_at=self.updated_at,
            status=self.status,
            terms=self.terms,
            answered_at=self.answered_at,
            is_hidden=self.is_hidden,
        )


def choose_ending(image: Image, status: MemberStatus, ending: Ending | None) -> Ending | None:
    """Return the ending that a current share has; None if it is that of a former share, and the member has accepted the new offer.

    The former notice still is the least that the member gets when the owner ends the new share. A deactivated image is left to its
    members by notice only.
    """
    is_former = ending is not None and ending.reason is EndReason.REMOVED
    is_accepted = status is MemberStatus.ACCEPTED and image.status is not ImageStatus.DEACTIVATED
    return None if is_former and is_accepted else ending


@dataclass(frozen=True, slots=True)
class SharePosition:
    """A share's position in lists, newest images first, then by image and project. It is valid after the share is gone."""

    image_created_at: datetime
    image_id: ImageID
    member_id: ProjectID

    @classmethod
    def after(cls, share: Share) -> "SharePosition":
        """Return a share's position."""
        return cls(share.image.created_at, share.image.id, share.member_id)

    @classmethod
    def parse(cls, marker: str) -> "SharePosition":
        """Read what `marker` wrote.

        Raises:
            QueryInvalid: it did not write that.
        """
        try:
            microseconds, image_id, member_id = orjson.loads(
                base64.b64decode(marker + "=" * (-len(marker) % 4), b"-_", validate=True)
            )
            if "\x00" in f"{image_id}{member_id}":
                raise ValueError(marker)  # noqa: TRY301 -- no database keeps it
            return cls(_EPOCH + timedelta(microseconds=microseconds), ImageID(str(image_id)), ProjectID(str(member_id)))
        except (ValueError, TypeError, OverflowError) as error:
            raise problems.QueryInvalid("The marker is not one of this service; follow the link next of a page") from error

    @property
    def marker(self) -> str:
        """Write the position as text for a URL, from which it can be read again."""
        microseconds = (self.image_created_at - _EPOCH) // timedelta(microseconds=1)
        encoded = base64.urlsafe_b64encode(orjson.dumps([microseconds, self.image_id, self.member_id]))
        return encoded.rstrip(b"=").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareQuery:
    """A page of shares. `project_id` is the other side: the owner in an inbox, the member in an outbox."""

    direction: Direction
    limit: int
    status: MemberStatus | None = None
    image_id: ImageID | None = None
    project_id: ProjectID | None = None
    after: SharePosition | None = None


@dataclass(frozen=True, slots=True)
class SharePage:
    """A page of shares, and whether there are more."""

    shares: Sequence[Share]
    has_more: bool
