"""Events: what happened to images and shares, one record for each project that may know of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self

from partage.model.caller import Caller
from partage.model.event_cursor import Cursor, CursorCipher
from partage.model.ids import ImageID, ProjectID, UserID
from partage.model.task import Task


class EventType(StrEnum):
    """What happened. Types of images go to the owner, types of shares to the owner and the member."""

    IMAGE_CREATED = "image.created"
    IMAGE_ADOPTED = "image.adopted"
    IMAGE_UPDATED = "image.updated"
    IMAGE_STAGED = "image.staged"
    IMAGE_IMPORT_REQUESTED = "image.import_requested"
    IMAGE_IMPORTED = "image.imported"
    IMAGE_IMPORT_FAILED = "image.import_failed"
    IMAGE_ACTIVATED = "image.activated"
    IMAGE_DEACTIVATED = "image.deactivated"
    IMAGE_REACTIVATED = "image.reactivated"
    IMAGE_DELETED = "image.deleted"
    IMAGE_RESTORED = "image.restored"
    IMAGE_GIVEN_AWAY = "image.given_away"
    IMAGE_GUARD_SWITCHED = "image.guard_switched"
    IMAGE_RECEIVED = "image.received"
    CLAIM_CODE_CREATED = "image.claim_code_created"
    CLAIM_CODE_REVOKED = "image.claim_code_revoked"
    SHARE_OFFERED = "share.offered"
    SHARE_ACCEPTED = "share.accepted"
    SHARE_REJECTED = "share.rejected"
    SHARE_ANSWER_WITHDRAWN = "share.answer_withdrawn"
    SHARE_TERMS_CHANGED = "share.terms_changed"
    SHARE_LEFT = "share.left"
    SHARE_ENDED = "share.ended"
    SHARE_ENDING_CHANGED = "share.ending_changed"
    SHARE_ENDING_CANCELLED = "share.ending_cancelled"
    SHARE_NOTICE_ENDED = "share.notice_ended"
    SHARE_EXPIRED = "share.expired"


class ActorRole(StrEnum):
    """In which role somebody acted: as the image's owner, as the share's member, as the operator; or no user did."""

    OWNER = "owner"
    MEMBER = "member"
    OPERATOR = "operator"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A user and its request. Without a user, the service acted; `is_operator`: the operator, from the command line."""

    project_id: ProjectID | None = None
    user_id: UserID | None = None
    request_id: str | None = None
    is_operator: bool = False

    @classmethod
    def of_caller(cls, caller: Caller) -> Self:
        """Return the actor of a request."""
        return cls(project_id=caller.project_id, user_id=caller.user_id, request_id=caller.request_id or None, is_operator=True)

    @classmethod
    def of_task(cls, task: Task) -> Self:
        """Return the user that requested a task."""
        return cls(project_id=task.owner, user_id=task.user_id, request_id=task.request_id, is_operator=True)

    def role_at(self, owner: ProjectID | None, member_id: ProjectID | None) -> ActorRole:
        """Return the role towards an image or a share. A user of neither project acts by the operator's rules, as operator."""
        if self.project_id is not None and self.project_id == owner:
            return ActorRole.OWNER
        if self.project_id is not None and self.project_id == member_id:
            return ActorRole.MEMBER
        return ActorRole.OPERATOR if self.is_operator else ActorRole.SERVICE


SERVICE = Actor()
"""A job of the service: nobody asked for it."""

OPERATOR = Actor(is_operator=True)
"""The operator, from the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """What happened, before it is recorded. `owner` is the image's, also after it deleted the image; None is nobody.

    `is_hidden`: the member must not read of it, because the offer is hidden from it, or its access had ended before.
    """

    type: EventType
    at: datetime
    image_id: ImageID
    owner: ProjectID | None
    member_id: ProjectID | None = None
    actor: Actor = SERVICE
    is_hidden: bool = False
    data: Mapping[str, object] = field(default_factory=dict)

    @property
    def recipients(self) -> tuple[ProjectID | None, ...]:
        """The projects that may know of it."""
        is_of_owner = self.member_id is None or self.member_id == self.owner or self.is_hidden
        return (self.owner,) if is_of_owner else (self.owner, self.member_id)

    def is_caused_by_others(self, recipient: ProjectID | None) -> bool:
        """Whether another project caused the event, as often as it likes: a member, for the owner; anybody else, for the member."""
        by_member = self.actor.role_at(self.owner, self.member_id) is ActorRole.MEMBER
        if recipient == self.owner:
            by_service = self.actor.role_at(self.owner, self.member_id) is not ActorRole.OWNER
            return by_member or (by_service and self.type is EventType.SHARE_ENDING_CHANGED)  # a report of the member's servers
        return not by_member


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """The record of an event for one recipient, `project_id`. `number` grows: later events have higher ones.

    `project_id` None: the image belongs to nobody, and only administrators can read of it. `type` may be one of a newer release.
    """

    number: int
    project_id: ProjectID | None
    type: str
    at: datetime
    image_id: ImageID
    owner: ProjectID | None
    member_id: ProjectID | None
    actor: Actor
    data: Mapping[str, object]

    @property
    def actor_role(self) -> ActorRole:
        """The role in which the actor acted."""
        return self.actor.role_at(self.owner, self.member_id)

    def document(self, cursor: Cursor, *, complete: bool) -> dict[str, object]:
        """Write the event for a reply or a webhook. Users and requests of other projects are left out unless it is `complete`."""
        shown = complete or self.is_own_action()
        return {
            "cursor": cursor,
            "type": self.type,
            "time": self.at,
            "project_id": self.project_id,
            "image_id": self.image_id,
            "owner_id": self.owner,
            "member_id": self.member_id,
            "actor": {
                "role": self.actor_role,
                "project_id": self.actor.project_id if shown else None,
                "user_id": self.actor.user_id if shown else None,
            },
            "request_id": self.actor.request_id if shown else None,
            "data": self.data,
        }

    def is_own_action(self) -> bool:
        """Whether a user of the recipient acted. Other projects' users and requests are not the recipient's business."""
        return self.project_id is not None and self.actor.project_id == self.project_id


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events: of one project, or of all (None); from after a position, or from the first that is kept."""

    project_id: ProjectID | None
    limit: int
    after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRequest:
    """A request for events: as `EventQuery`, from after a cursor. With `latest`: none, but the position of the last."""

    project_id: ProjectID | None
    limit: int
    after: str | None = None
    latest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events in order. `last` is the number to continue after, also if there are none now."""

    events: tuple[RecordedEvent, ...]
    last: int
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFeed:
    """A page of events for a reply, with what writes their cursors.

    `is_complete`: since the position that was asked for, no events that others caused have been removed because they were too many.
    """

    page: EventPage
    cursors: CursorCipher
    is_complete: bool = True

    @property
    def after(self) -> Cursor:
        """The cursor to continue after."""
        return self.cursors.write(self.page.last)

    def documents(self, *, complete: bool) -> list[dict[str, object]]:
        """Write the events, as `RecordedEvent.document`."""
        return [each.document(self.cursors.write(each.number), complete=complete) for each in self.page.events]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRetention:
    """For how long events are kept, and how many of each project: those that it caused itself, and those that others caused."""

    days: int = 90
    rows_per_project: int = 100_000
    rows_by_others: int = 50_000
