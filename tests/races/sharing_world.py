"""The world of the reference model: the state that sharing_model.py changes, and what each caller sees of it. Nothing else.

A world is the images by name, the trust rules, and the servers that were deleted. An image is its owner, its state, its memberships
and its endings, each by project. Times are whole seconds, and None is never. What has ended by the clock is not in a world: `at`
removes it, before every call and every look. There are no jobs, so that a job can change nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

ADMIN = "Z"
NOBODY = "-retained-"
DEFAULT_NOTICE_SECONDS = 20
WHILE_USED = "while-used"
GRACE_SECONDS = 8
"""After the last use, for a notice while-used."""

Notice = int | str | None
"""Seconds, `WHILE_USED`, or None for forever."""


class Refused(Exception):
    """A refusal, with its HTTP status."""

    def __init__(self, status: int) -> None:
        self.status = status


@dataclass(frozen=True)
class Promise:
    """Access until a time. While-used: at most until then, as long as there are uses; `idle_until` is the end without uses."""

    until: int | None
    idle_until: int | None = None

    def end(self, *, is_used: bool) -> int | None:
        return self.until if self.idle_until is None or is_used else earlier(self.until, self.idle_until)


@dataclass(frozen=True)
class Membership:
    """A share: the member's answer, its terms, and when it was offered and answered. A hidden one was refused by a trust rule."""

    offered_at: int
    notice: Notice = DEFAULT_NOTICE_SECONDS
    expires_at: int | None = None
    status: str = "pending"
    answered_at: int | None = None
    is_hidden: bool = False

    def promise(self, now: int) -> Promise:
        """Return what the member is promised if the owner ends the share now."""
        if self.notice == WHILE_USED:
            return Promise(self.expires_at, now + GRACE_SECONDS)
        return Promise(earlier(now + self.notice if isinstance(self.notice, int) else None, self.expires_at))

    def answer(self, status: str, now: int) -> "Membership":
        return replace(self, status=status, answered_at=None if status == "pending" else now, is_hidden=False)


@dataclass(frozen=True)
class Ending:
    """A share that its owner has ended. Access ends when the last of its promises has ended."""

    reason: str
    began_at: int
    promises: tuple[Promise, ...]
    share: Membership

    def end(self, *, is_used: bool) -> int | None:
        ends = [each.end(is_used=is_used) for each in self.promises]
        return None if None in ends else max(each for each in ends if each is not None)


@dataclass(frozen=True)
class Takedown:
    """A share that an administrator has ended, as its two sides see it afterwards. `reason` is what the administrator did."""

    reason: str
    taken_at: int
    status: str
    share: Membership


@dataclass(frozen=True)
class Code:
    """A claim code: how often it can still be used, and the terms of the shares that it makes."""

    left: int
    valid_until: int | None
    terms: Mapping[str, Any]


@dataclass(frozen=True)
class Image:
    """An image. A retained one keeps the visibility and status that it had: its former owner can take it back.

    Of an image that is gone, only its takedowns are left. `uses` are pairs of a project and a server.
    """

    owner: str
    visibility: str = "shared"
    status: str = "active"
    is_retained: bool = False
    is_gone: bool = False
    members: Mapping[str, Membership] = field(default_factory=dict)
    endings: Mapping[str, Ending] = field(default_factory=dict)
    takedowns: Mapping[str, Takedown] = field(default_factory=dict)
    codes: Mapping[str, Code] = field(default_factory=dict)
    uses: frozenset[tuple[str, str]] = frozenset()
    source: str | None = None

    @property
    def is_shared(self) -> bool:
        return self.visibility == "shared" and not self.is_retained

    @property
    def has_ended_shares(self) -> bool:
        return self.visibility == "private" or self.status == "deactivated" or self.is_retained

    def shares_with(self, project: str) -> bool:
        """Whether there is a current share. An owner is not its own member, even if there is such a membership."""
        return self.is_shared and project in self.members and project != self.owner

    def shows_to(self, project: str) -> bool:
        """Whether the image's membership is visible to its member."""
        return self.is_shared and project in self.members and not self.members[project].is_hidden

    def is_used_by(self, project: str) -> bool:
        return any(project == each for each, _server in self.uses)

    def end_of(self, project: str) -> int | None:
        """Return when the access of a project ends whose notice runs."""
        return self.endings[project].end(is_used=self.is_used_by(project))


@dataclass(frozen=True)
class World:
    """Images by name, trust rules by member and owner (accept, ask or refuse), and deleted servers."""

    images: Mapping[str, Image] = field(default_factory=dict)
    rules: Mapping[tuple[str, str], str] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()

    def find(self, name: str) -> Image | None:
        """Return an image, unless it is gone."""
        image = self.images.get(name)
        return None if image is None or image.is_gone else image

    def put(self, name: str, image: Image) -> "World":
        return replace(self, images={**self.images, name: image})

    def only(self, names: Iterable[str]) -> "World":
        return replace(self, images={name: self.images[name] for name in names})


def at(world: World, now: int) -> World:
    """Remove what has ended by the clock: expired shares and codes, notices that have run out, retained images without a notice."""
    present = {}
    for name, image in world.images.items():
        members = {p: each for p, each in image.members.items() if not is_over(each.expires_at, now)}
        endings = {p: each for p, each in image.endings.items() if not is_over(image.end_of(p), now)}
        codes = {code: each for code, each in image.codes.items() if not is_over(each.valid_until, now)}
        if endings or not image.is_retained:
            present[name] = replace(image, members=members, endings=endings, codes=codes)
        elif image.takedowns:
            present[name] = Image(image.owner, is_gone=True, takedowns=image.takedowns)
    return replace(world, images=present)


# What a caller sees.


def sees(image: Image, caller: str) -> bool:
    """Whether the image exists for the caller."""
    is_open = not image.is_retained and (image.owner == caller or image.visibility in ("public", "community"))
    return not image.is_gone and (caller == ADMIN or is_open or image.shows_to(caller) or caller in image.endings)


def show(image: Image, caller: str) -> tuple[str, str, str]:
    """Return status, visibility and owner. A member whose notice runs sees the image as it was shared."""
    is_owner = caller == image.owner and not image.is_retained
    if caller in image.endings and not is_owner:
        return "active", "shared" if image.visibility == "private" or image.is_retained else image.visibility, image.owner
    if image.is_retained:
        return "active", "private", NOBODY  # the operator's view
    return image.status, image.visibility, image.owner


def download(image: Image, caller: str) -> str:
    """Return that the data can be downloaded."""
    if show(image, caller)[0] == "deactivated" and caller != ADMIN:
        raise Refused(403)
    return "data"


def list_members(image: Image, caller: str) -> dict[str, str]:
    """Return the members that the Image API lists, with their answers."""
    if show(image, caller)[1] != "shared":
        raise Refused(403)
    seen = {p: each for p, each in image.members.items() if caller in (image.owner, ADMIN) or (caller == p and not each.is_hidden)}
    return {p: each.status for p, each in seen.items()}


def list_uses(image: Image, caller: str) -> set[str]:
    """Return the recorded servers of the caller's project."""
    return {server for project, server in image.uses if project == caller}


def show_lineage(image: Image, caller: str) -> str | None:
    """Return what the image was adopted from."""
    if caller not in (image.owner, ADMIN):
        raise Refused(403)
    return image.source


def find_share(image: Image, project: str, caller: str) -> tuple[Any, ...]:
    """Return the share with a project as its owner, its member or an administrator may know of it: owner, status, share, ending."""
    ending = image.endings.get(project)
    is_current = image.shares_with(project) and (caller != project or image.shows_to(project))
    if image.is_gone or caller not in (image.owner, project, ADMIN) or not (ending or is_current):
        raise Refused(404)
    share = image.members[project] if is_current else image.endings[project].share
    if ending and is_current and ending.reason == "removed" and share.status == "accepted" and image.status == "active":
        ending = None  # there is one share; the notice of the former one is the least that the member gets
    status = "active" if ending and caller != image.owner else image.status
    ends = (ending.reason, ending.began_at, image.end_of(project)) if ending else None
    return image.owner, status, replace(share, is_hidden=False), ends


def show_share(image: Image, project: str, caller: str) -> tuple[Any, ...]:
    """Return the share as the service shows it: with its takedown, also if there is nothing else left."""
    taken = image.takedowns.get(project)
    end = None if taken is None else ("taken-down", taken.taken_at, taken.taken_at)
    try:
        owner, status, share, ends = find_share(image, project, caller)
    except Refused:
        if taken is None or caller not in (image.owner, project, ADMIN):
            raise
        return image.owner, taken.status, taken.share, end
    return owner, status, share, end if ends is None and image.status == "deactivated" else ends


def list_shares(world: World, caller: str, direction: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Return the inbox (in) or the outbox (out)."""
    found = {}
    for name, image in world.images.items():
        for project in {*image.members, *image.endings, *image.takedowns}:
            if caller == (project if direction == "in" else image.owner):
                try:
                    found[name, project] = show_share(image, project, caller)
                except Refused:
                    continue
    return found


def list_images(world: World, caller: str, member_status: str | None) -> dict[str, tuple[str, str, str]]:
    """Return the images of the Image API's list: own, public, and shared ones with that answer (None: any)."""
    listed = {}
    for name, image in world.images.items():
        answers = [image.endings[caller].share.status] if caller in image.endings else []
        if not answers and image.shows_to(caller):
            answers = [image.members[caller].status]
        is_own = image.owner == caller and not image.is_retained
        seen = show(image, caller)
        is_listed = (
            is_own or seen[1] == "public" or (seen[1] == "shared" and any(member_status in (None, each) for each in answers))
        )
        if not image.is_gone and (is_listed or (caller == ADMIN and seen[1] != "community")):
            listed[name] = seen
    return listed


def count_images(world: World, project: str) -> int:
    """Count the images against a project's quota: its own, and those retained for it."""
    there = [image for image in world.images.values() if not image.is_gone]
    return sum(project in image.endings if image.is_retained else image.owner == project for image in there)


def is_over(moment: int | None, now: int) -> bool:
    return moment is not None and moment <= now


def is_later(moment: int | None, than: int | None) -> bool:
    return than is not None and (moment is None or moment > than)


def earlier(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)
