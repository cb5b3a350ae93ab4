"""Impact: what an action on an image would end, and for whom, if the caller did it now. Pure.

It plans endings with the functions of `model/ending.py` that the operations use, so that it cannot disagree with them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from partage.model.ending import NO_GRACE, NO_USAGE, READABLE, Ending, EndReason, Usage, has_ended_shares, keep_later, start_notices
from partage.model.guard import GuardMode
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.member import Member, MemberStatus
from partage.model.terms import Notice
from partage.model.use import ProjectUses


class Action(StrEnum):
    """What ends access to an image."""

    DELETE = "delete"
    UNSHARE = "unshare"
    PRIVATE = "private"
    DEACTIVATE = "deactivate"


REASONS: Mapping[Action, EndReason] = MappingProxyType(
    {
        Action.DELETE: EndReason.DELETED,
        Action.UNSHARE: EndReason.REMOVED,
        Action.PRIVATE: EndReason.PRIVATE,
        Action.DEACTIVATE: EndReason.DEACTIVATED,
    }
)
"""The reason of the endings that an action begins."""


class EndOfAccess(StrEnum):
    """When access ends."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """An image with its memberships and its running endings at one moment. `takes_down`: an administrator acts on it."""

    image: Image
    members: Sequence[Member]
    endings: Sequence[Ending]
    takes_down: bool
    now: datetime
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectImpact:
    """What becomes of one project's access. `ends_at` None is never, and unknown with the notice while-used.

    `ends_anyway_at` is the end of its access without the action; None is never. `quota_bytes` are added to the project's usage,
    because the image is retained for it. `uses` None: nothing is known.
    """

    project_id: ProjectID
    status: MemberStatus
    notice: Notice
    ends: EndOfAccess
    ends_at: datetime | None
    ends_anyway_at: datetime | None = None
    quota_bytes: int = 0
    uses: ProjectUses | None = None

    @property
    def order(self) -> tuple[bool, bool, ProjectID]:
        """The position in a list: projects whose access ends at once come first."""
        return self.ends is not EndOfAccess.NOW, self.ends is EndOfAccess.NEVER, self.project_id

    def is_cut_short(self, until: datetime) -> bool:
        """Whether the action ends access before `until`, and before it would end anyway."""
        return self.ends_at is not None and self.ends_at < min(until, self.ends_anyway_at or until)


@dataclass(frozen=True, slots=True)
class Bounds:
    """A number of bytes that lies between two; both are equal where it is known exactly."""

    least: int = 0
    most: int = 0


class KeptFor(StrEnum):
    """Why bytes stay: the image stays, notice runs, the image can be restored, or other images have them too."""

    IMAGE = "image"
    NOTICE = "notice"
    DELAYED_DELETE = "delayed-delete"
    OTHER_IMAGES = "other-images"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteImpact:
    """What becomes of the stored bytes.

    `freed` are those that the sweeps remove because of the action; `kept` those of the image that stay.
    `quota_bytes` are taken from the usage of the image's owner.
    """

    freed: Bounds = field(default_factory=Bounds)
    kept: Bounds = field(default_factory=Bounds)
    kept_for: KeptFor | None = None
    kept_until: datetime | None = None
    quota_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What an action would do now.

    `ends_for_everybody`: the image is open, and projects without a share lose access at once; `other_users` of them are known to
    use it. `left_out` counts the projects that are not in `projects`. `is_blocked`: the guard refuses the action unless it is
    acknowledged; what is predicted is the acknowledged action.
    """

    image_id: ImageID
    action: Action
    takes_down: bool
    ends_for_everybody: bool
    is_retained: bool
    projects: Sequence[ProjectImpact]
    other_users: int = 0
    left_out: int = 0
    guard: GuardMode = GuardMode.OFF
    is_blocked: bool = False
    can_acknowledge: bool = True
    bytes: ByteImpact = field(default_factory=ByteImpact)


def predict(
    situation: Situation, action: Action, *, member_id: ProjectID | None = None, grace: Mapping[ProjectID, timedelta] = NO_GRACE
) -> Impact:
    """Predict whose access to the image data ends, and when. `member_id` is the project of `unshare`."""
    image, now = situation.image, situation.now
    running = {each.member_id: each for each in situation.endings if each.runs(now)}
    after = _plan_endings(situation, action, running, member_id, grace)
    current = {each.member_id: each for each in situation.members if is_current(image, each, now)}
    named = {*running, *current, *after} if member_id is None else {member_id}
    has_access = named & {*running, *current, *after} if image.status in READABLE else set()
    stays_open = is_open(image) and not _closes(image, action)
    is_retained = action is Action.DELETE and bool(after)
    projects = []
    for project_id in has_access:
        ending = after.get(project_id)
        ends, ends_at = (EndOfAccess.NEVER, None) if stays_open else _end_of(ending, now)
        known = current.get(project_id) or running.get(project_id) or after[project_id]
        projects.append(
            ProjectImpact(
                project_id=project_id,
                status=known.status,
                notice=known.terms.notice,
                ends=ends,
                ends_at=ends_at,
                ends_anyway_at=_end_without(image, current.get(project_id), running.get(project_id)),
                quota_bytes=_charge(image) if is_retained and not image.is_retained and ending is not None else 0,
            )
        )
    return Impact(
        image_id=image.id,
        action=action,
        takes_down=situation.takes_down,
        ends_for_everybody=is_open(image) and _closes(image, action),
        is_retained=is_retained,
        projects=sorted(projects, key=lambda each: each.order),
    )


def is_current(image: Image, member: Member, now: datetime) -> bool:
    """Whether a member can download the image data now, through its share or because the image is open."""
    is_shared = image.visibility is Visibility.SHARED and image.status is ImageStatus.ACTIVE
    return (is_shared or is_open(image)) and not member.has_expired(now) and member.member_id != image.owner


def is_open(image: Image) -> bool:
    """Whether every project can download the image data, with or without a share."""
    has_no_owner = image.owner is None
    return image.status is ImageStatus.ACTIVE and (has_no_owner or image.visibility in (Visibility.PUBLIC, Visibility.COMMUNITY))


def _closes(image: Image, action: Action) -> bool:
    """Whether the image is not open any more after the action. Every project sees an image without an owner."""
    return action in (Action.DELETE, Action.DEACTIVATE) or (action is Action.PRIVATE and image.owner is not None)


def _plan_endings(
    situation: Situation,
    action: Action,
    running: Mapping[ProjectID, Ending],
    member_id: ProjectID | None,
    grace: Mapping[ProjectID, timedelta],
) -> Mapping[ProjectID, Ending]:
    """Return the endings that run after the action."""
    image = situation.image
    if action is Action.PRIVATE and image.visibility is Visibility.PRIVATE:
        return running
    if situation.takes_down:
        return {project: each for project, each in running.items() if member_id not in (None, project)}
    if has_ended_shares(image):
        return running
    ended: Iterable[Member] = [each for each in situation.members if member_id in (None, each.member_id)]
    if member_id is not None and image.visibility is not Visibility.SHARED:
        ended = ()  # the membership is no share
    return keep_later(running, start_notices(image, ended, REASONS[action], now=situation.now, usage=situation.usage, grace=grace))


def _end_of(ending: Ending | None, now: datetime) -> tuple[EndOfAccess, datetime | None]:
    if ending is None:
        return EndOfAccess.NOW, now
    ends = EndOfAccess.LATER if ending.ends_at is not None or ending.terms.notice.while_used else EndOfAccess.NEVER
    return ends, ending.ends_at


def _end_without(image: Image, share: Member | None, former: Ending | None) -> datetime | None:
    """Return the end of a project's access if nothing is done: of its share, or of the former share's notice if that is later."""
    if is_open(image):
        return None
    ends = [] if share is None else [share.terms.expires_at]
    if former is not None:
        ends.append(former.ends_at)
    times = [each for each in ends if each is not None]
    return max(times) if times and len(times) == len(ends) else None


def _charge(image: Image) -> int:
    return (image.size or 0) * len(image.stores)
