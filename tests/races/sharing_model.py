"""The reference model of sharing: what docs/sharing.md and docs/sharing-api.md promise, as a sequential program without a database.

A world is the images by name. An image is its owner, its state, its memberships and its endings, each by project. Times are whole
seconds, and None is never. What has ended by the clock is not in a world: `at` removes it, before every call and every look. There
are no jobs in this model, so that a job can change nothing.

A call returns the new world and an answer: the HTTP status of a refusal, or what the caller gets. Nothing here imports the service.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

ADMIN = "Z"
NOBODY = "-retained-"
DEFAULT_NOTICE_SECONDS = 20


@dataclass(frozen=True)
class Membership:
    """A share: the member's answer, its terms, and when it was offered and answered."""

    offered_at: int
    notice: int | None = DEFAULT_NOTICE_SECONDS
    expires_at: int | None = None
    status: str = "pending"
    answered_at: int | None = None

    def end(self, now: int) -> int | None:
        """Return the end of access if the owner ends the share now; None is never."""
        return _earlier(None if self.notice is None else now + self.notice, self.expires_at)

    def answer(self, status: str, now: int) -> "Membership":
        return replace(self, status=status, answered_at=None if status == "pending" else now)


@dataclass(frozen=True)
class Ending:
    """A share that its owner has ended and whose notice runs."""

    reason: str
    began_at: int
    ends_at: int | None
    share: Membership


@dataclass(frozen=True)
class Image:
    """An image. A retained one keeps the visibility and status that it had: its former owner can take it back."""

    owner: str
    visibility: str = "shared"
    status: str = "active"
    is_retained: bool = False
    members: Mapping[str, Membership] = field(default_factory=dict)
    endings: Mapping[str, Ending] = field(default_factory=dict)

    @property
    def is_shared(self) -> bool:
        return self.visibility == "shared" and not self.is_retained

    @property
    def has_ended_shares(self) -> bool:
        return self.visibility == "private" or self.status == "deactivated" or self.is_retained

    def shares_with(self, project: str) -> bool:
        """Whether there is a current share. An owner is not its own member, even if there is such a membership."""
        return self.is_shared and project in self.members and project != self.owner


World = Mapping[str, Image]


class Refused(Exception):
    """A refusal, with its HTTP status."""

    def __init__(self, status: int) -> None:
        self.status = status


@dataclass(frozen=True)
class Call:
    """An operation of a caller on images. `given` are the operation's own arguments."""

    name: str
    caller: str
    images: tuple[str, ...]
    given: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.caller}: {self.name}({', '.join([*self.images, *(f'{key}={value}' for key, value in self.given.items())])})"


def at(world: World, now: int) -> World:
    """Remove what has ended by the clock: expired shares, notices that have run out, retained images without a notice."""
    present = {}
    for name, image in world.items():
        members = {p: each for p, each in image.members.items() if not _is_over(each.expires_at, now)}
        endings = {p: each for p, each in image.endings.items() if not _is_over(each.ends_at, now)}
        if endings or not image.is_retained:
            present[name] = replace(image, members=members, endings=endings)
    return present


def carry_out(world: World, call: Call, now: int) -> tuple[World, Any]:
    """Carry out a call at one moment."""
    world = at(world, now)
    try:
        if call.name in OF_WORLDS:
            changed, answer = OF_WORLDS[call.name](world, call, now)
            return at(changed, now), answer
        (name,) = call.images
        image = world.get(name)
        if image is None or (call.name in OF_IMAGES and not sees(image, call.caller)):
            raise Refused(404)  # noqa: TRY301
        act = OF_IMAGES.get(call.name) or OF_SHARES[call.name]
        image, answer = act(image, call.caller, now, **call.given)
        return at({**world, name: image}, now), answer
    except Refused as refused:
        return world, refused.status


# What a caller sees.


def sees(image: Image, caller: str) -> bool:
    """Whether the image exists for the caller."""
    is_open = not image.is_retained and (image.owner == caller or image.visibility in ("public", "community"))
    return caller == ADMIN or is_open or (image.is_shared and caller in image.members) or caller in image.endings


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
    return {p: each.status for p, each in image.members.items() if caller in (image.owner, ADMIN, p)}


def show_share(image: Image, project: str, caller: str) -> tuple[Any, ...]:
    """Return the share with a project as its owner, its member or an administrator sees it."""
    ending = image.endings.get(project)
    if caller not in (image.owner, project, ADMIN) or not (ending or image.shares_with(project)):
        raise Refused(404)
    share = image.members[project] if image.shares_with(project) else ending.share
    if (
        ending
        and image.shares_with(project)
        and ending.reason == "removed"
        and share.status == "accepted"
        and image.status == "active"
    ):
        ending = None  # there is one share; the notice of the former one is the least that the member gets
    is_owner = caller == image.owner
    status = "active" if ending and not is_owner else image.status
    ends = (ending.reason, ending.began_at, ending.ends_at) if ending else None
    return image.owner, status, share, ends


def list_shares(world: World, caller: str, direction: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Return the inbox (in) or the outbox (out)."""
    found = {}
    for name, image in world.items():
        for project in {*image.members, *image.endings}:
            if caller == (project if direction == "in" else image.owner) and (
                image.shares_with(project) or project in image.endings
            ):
                found[name, project] = show_share(image, project, caller)
    return found


def list_images(world: World, caller: str, member_status: str | None) -> dict[str, tuple[str, str, str]]:
    """Return the images of the Image API's list: own, public, and shared ones with that answer (None: any)."""
    listed = {}
    for name, image in world.items():
        answers = [image.endings[caller].share.status] if caller in image.endings else []
        if not answers and image.is_shared and caller in image.members:
            answers = [image.members[caller].status]
        is_own = image.owner == caller and not image.is_retained
        seen = show(image, caller)
        is_listed = (
            is_own or seen[1] == "public" or (seen[1] == "shared" and any(member_status in (None, each) for each in answers))
        )
        if is_listed or (caller == ADMIN and seen[1] != "community"):
            listed[name] = seen
    return listed


def count_images(world: World, project: str) -> int:
    """Count the images against a project's quota: its own, and those retained for it."""
    return sum(project in image.endings if image.is_retained else image.owner == project for image in world.values())


# Endings.


def _end(image: Image, caller: str, now: int, reason: str, projects: Iterable[str]) -> Image:
    """End shares: start the notices of accepted ones. An administrator of another project ends every promise instead."""
    endings = dict(image.endings)
    for project in projects:
        if caller == ADMIN:
            endings.pop(project, None)
        elif not image.has_ended_shares and project != image.owner:
            share, former = image.members[project], endings.get(project)
            ends_at = share.end(now)
            if share.status == "accepted" and not _is_over(ends_at, now):
                if former is None or _is_later(ends_at, former.ends_at):
                    endings[project] = Ending(reason, now, ends_at, share)
                elif reason == former.reason == "removed":
                    endings[project] = Ending(reason, now, former.ends_at, share)
    image = replace(image, endings=endings)
    if reason == "deleted":
        for was in ("private", "deactivated"):
            image = _change_reason(image, was, reason, image.endings)
    return image


def _drop_former_notice(image: Image, project: str, now: int) -> Image:
    """Drop the notice of a former share, once the member has accepted a share that promises no less."""
    former, share = image.endings.get(project), image.members[project]
    promised = share.end(now)
    if former and not image.has_ended_shares and not _is_over(promised, now) and not _is_later(former.ends_at, promised):
        return _without(image, project, member=False)
    return image


def _keep_notice(image: Image, project: str) -> Image:
    """Let a notice run on whatever becomes of the image, because the membership is removed."""
    for was in ("private", "deactivated"):
        image = _change_reason(image, was, "removed", [project])
    return image


def _change_reason(image: Image, was: str, reason: str, projects: Iterable[str]) -> Image:
    changed = {p: replace(each, reason=reason) for p, each in image.endings.items() if p in projects and each.reason == was}
    return replace(image, endings={**image.endings, **changed})


def _cancel(image: Image, reason: str) -> Image:
    """Cancel the endings whose reason has gone; if the image is still private or deactivated, they go on for that reason."""
    if image.visibility == "private" or image.status == "deactivated":
        return _change_reason(image, reason, "private" if image.visibility == "private" else "deactivated", image.endings)
    return replace(image, endings={p: each for p, each in image.endings.items() if each.reason != reason})


def _change_visibility(image: Image, caller: str, now: int, visibility: str) -> Image:
    changed = replace(image, visibility=visibility)
    if visibility == "private" != image.visibility:
        everybody = image.endings if caller == ADMIN else image.members
        return replace(_end(image, caller, now, "private", everybody), visibility=visibility)
    return _cancel(changed, "private") if image.visibility == "private" != visibility else changed


# Reads, as calls: of one image, and of a world.


def read_image(image: Image, caller: str, _now: int) -> tuple[Image, Any]:
    return image, show(image, caller)


def read_data(image: Image, caller: str, _now: int) -> tuple[Image, Any]:
    return image, download(image, caller)


def read_share(image: Image, caller: str, _now: int, *, project: str) -> tuple[Image, Any]:
    return image, show_share(image, project, caller)


def read_shares(world: World, call: Call, _now: int) -> tuple[World, Any]:
    listed = list_shares(world, call.caller, call.given["direction"])
    return world, {key: share for key, share in listed.items() if key[0] in call.images or not call.images}


# The Image API.


def add_member(image: Image, caller: str, now: int, *, project: str) -> tuple[Image, Any]:
    if not image.is_shared:
        raise Refused(403)
    _require_owner(image, caller)
    if project in image.members:
        raise Refused(409)
    return _with_member(image, project, Membership(now)), None


def update_member(image: Image, caller: str, now: int, *, project: str, status: str) -> tuple[Image, Any]:
    """Answer; a member that rejects while its notice runs gives up the notice, unless there is a new offer to reject."""
    ending, share = image.endings.get(project), image.members.get(project)
    is_new_offer = ending and ending.reason == "removed" and image.is_shared and share
    gives_up = status == "rejected" and caller == project and ending and not is_new_offer
    if gives_up:
        image = _without(image, project, member=False)
    elif not image.is_shared:
        raise Refused(403)
    elif not share or caller not in (image.owner, project, ADMIN):
        raise Refused(404)
    if caller != ADMIN and (caller != project or project == image.owner):
        raise Refused(403)
    if share:
        image = _with_member(image, project, share.answer(status, now))
    if share and status == "accepted":
        image = _drop_former_notice(image, project, now)
    elif share and status == "rejected" and share.status == "accepted" and caller == project:
        image = _without(image, project, member=False)  # it gives up all of the one share
    return image, None


def remove_member(image: Image, caller: str, now: int, *, project: str) -> tuple[Image, Any]:
    if not image.is_shared:
        raise Refused(403)
    if project not in image.members or caller not in (image.owner, project, ADMIN):
        raise Refused(404)
    _require_owner(image, caller)
    return _remove(image, caller, now, project), None


def set_visibility(image: Image, caller: str, now: int, *, visibility: str) -> tuple[Image, Any]:
    _require_owner(image, caller)
    if image.is_retained or (visibility == "public" and caller != ADMIN):
        raise Refused(403)
    return _change_visibility(image, caller, now, visibility), None


def deactivate(image: Image, caller: str, now: int) -> tuple[Image, Any]:
    _require_owner(image, caller)
    everybody = image.endings if caller == ADMIN else image.members
    return replace(_end(image, caller, now, "deactivated", everybody), status="deactivated"), None


def reactivate(image: Image, caller: str, _now: int) -> tuple[Image, Any]:
    _require_owner(image, caller)
    if image.status == "active" or image.is_retained:
        return image, None
    return _cancel(replace(image, status="active"), "deactivated"), None


def delete(image: Image, caller: str, now: int) -> tuple[Image, Any]:
    """Delete an image, or retain it while notice runs."""
    _require_owner(image, caller)
    everybody = image.endings if caller == ADMIN else image.members
    return replace(_end(image, caller, now, "deleted", everybody), is_retained=True), None


# The sharing API.


def offer(world: World, call: Call, now: int) -> tuple[World, Any]:
    """Offer each image to each project; an outcome for each pair."""
    terms = {name: call.given[name] for name in ("notice", "expires_at") if name in call.given}
    if _is_over(terms.get("expires_at"), now):
        raise Refused(400)
    changed, outcomes = dict(world), []
    for name in call.images:
        try:
            changed[name], made = _offer_image(world.get(name), call, Membership(now, **terms), now)
        except Refused as refused:
            made = [refused.status for _ in call.given["projects"]]
        outcomes += made
    if call.given["all_or_nothing"] and any(outcomes):
        raise Refused(409)
    return changed, outcomes


def _offer_image(image: Image | None, call: Call, share: Membership, now: int) -> tuple[Image, list[int | None]]:
    if image is None or not sees(image, call.caller):
        raise Refused(404)
    _require_owner(image, call.caller)
    if image.is_retained:
        raise Refused(403)
    if not image.is_shared and not (image.visibility == "private" and call.given["make_shared"]):
        raise Refused(409)
    # The memberships of a private image are no shares: a new offer replaces them.
    there = {image.owner, *(image.members if image.is_shared else [])}
    new = [p for p in call.given["projects"] if p not in there]
    for project in new if image.visibility == "private" else []:
        image = _keep_notice(image, project)
    if new:
        image = _change_visibility(image, call.caller, now, "shared")
    for project in new:
        image = _with_member(image, project, share)
    return image, [None if p in new else 409 for p in call.given["projects"]]


def answer(image: Image, caller: str, now: int, *, project: str, status: str) -> tuple[Image, Any]:
    show_share(image, project, caller)
    if caller not in (project, ADMIN):
        raise Refused(403)
    was, ending = image.members.get(project), image.endings.get(project)
    is_current = image.shares_with(project)
    is_new_offer = ending and ending.reason == "removed" and is_current and was.status != "accepted"
    gives_up = status == "rejected" and caller == project and not is_new_offer
    if not is_current and not gives_up:
        raise Refused(409)
    seen = show_share(image, project, caller)[2]
    if seen.status == status:
        return image, show_share(image, project, caller)
    if was:
        image = _with_member(image, project, was.answer(status, now))
    if gives_up:
        image = _without(image, project, member=False)
        return image, (image.owner, "active" if image.is_retained else image.status, seen.answer(status, now), None)
    if status == "accepted" and is_new_offer:
        image = _drop_former_notice(image, project, now)
    return image, show_share(image, project, caller)


def answer_many(world: World, call: Call, now: int) -> tuple[World, Any]:
    """Answer the offers of many images; an outcome for each."""
    outcomes = []
    for name in call.images:
        try:
            if name not in world:
                raise Refused(404)  # noqa: TRY301
            image, outcome = answer(world[name], call.caller, now, project=call.caller, status=call.given["status"])
            world = {**world, name: image}
        except Refused as refused:
            outcome = refused.status
        outcomes.append(outcome)
    return world, outcomes


def leave(image: Image, caller: str, _now: int, *, project: str) -> tuple[Image, Any]:
    show_share(image, project, caller)
    if caller not in (project, ADMIN):
        raise Refused(403)
    return _without(image, project), None


def end(image: Image, caller: str, now: int, *, project: str) -> tuple[Image, Any]:
    """End a share: as removing the member, also where the image is private, deactivated or retained."""
    if project in image.members and caller in (image.owner, ADMIN) and not (image.shares_with(project) or project in image.endings):
        if image.is_retained and caller != ADMIN:
            raise Refused(404)
        return _without(image, project), None  # it is no share, but would be one again as soon as the image is shared
    show_share(image, project, caller)
    if caller not in (image.owner, ADMIN):
        raise Refused(403)
    if image.shares_with(project):
        image = _remove(image, caller, now, project)
    elif caller == ADMIN:
        image = _without(image, project)
    elif not image.is_retained:
        image = _without(_keep_notice(image, project), project, ending=False)
    try:
        return image, show_share(image, project, caller)
    except Refused:
        return image, None


def cancel_ending(image: Image, caller: str, now: int, *, project: str) -> tuple[Image, Any]:
    """Take the removal of a member back."""
    show_share(image, project, caller)
    if caller not in (image.owner, ADMIN):
        raise Refused(403)
    ending = image.endings.get(project)
    is_removal = ending and ending.reason == "removed" and image.is_shared and image.status == "active"
    if not ending or not is_removal or image.shares_with(project):
        raise Refused(409)
    image = _drop_former_notice(_with_member(image, project, ending.share), project, now)
    return image, show_share(image, project, caller)


def change_terms(image: Image, caller: str, now: int, *, project: str, **terms: int | None) -> tuple[Image, Any]:
    """Change the terms; what a member has accepted can only be extended."""
    show_share(image, project, caller)
    if caller not in (image.owner, ADMIN):
        raise Refused(403)
    ending = show_share(image, project, caller)[3]
    is_new_offer = image.shares_with(project) and ending and ending[0] == "removed" and image.members[project].status != "accepted"
    if ending and not is_new_offer:
        raise Refused(409)
    was = image.members[project]
    share = replace(was, **terms)
    if share.expires_at != was.expires_at and _is_over(share.expires_at, now):
        raise Refused(400)
    if was.status == "accepted" and (_is_later(was.notice, share.notice) or _is_later(was.expires_at, share.expires_at)):
        raise Refused(400)
    image = _with_member(image, project, share)
    return image, show_share(image, project, caller)


def restore(world: World, call: Call, _now: int) -> tuple[World, Any]:
    """Take a retained image back, with the endings cancelled that its deletion began; the operator's command does the same."""
    (name,) = call.images
    image = world.get(name)
    if image is None or not image.is_retained or call.caller not in (image.owner, ADMIN):
        raise Refused(404)
    return {**world, name: _cancel(replace(image, is_retained=False), "deleted")}, None


def adopt(world: World, call: Call, _now: int) -> tuple[World, Any]:
    """Make an own private image of one that can be downloaded."""
    source = world.get(call.images[0])
    if source is None or not sees(source, call.caller) or show(source, call.caller)[0] != "active":
        raise Refused(404)
    return {**world, call.images[1]: Image(call.caller, visibility="private")}, None


def create(world: World, call: Call, _now: int) -> tuple[World, Any]:
    """Create an image with data."""
    return {**world, call.images[0]: Image(call.caller)}, None


def _require_owner(image: Image, caller: str) -> None:
    if caller != ADMIN and (caller != image.owner or image.is_retained):
        raise Refused(403)


def _remove(image: Image, caller: str, now: int, project: str) -> Image:
    return _without(_keep_notice(_end(image, caller, now, "removed", [project]), project), project, ending=False)


def _with_member(image: Image, project: str, share: Membership) -> Image:
    return replace(image, members={**image.members, project: share})


def _without(image: Image, project: str, *, member: bool = True, ending: bool = True) -> Image:
    members = {p: each for p, each in image.members.items() if p != project or not member}
    endings = {p: each for p, each in image.endings.items() if p != project or not ending}
    return replace(image, members=members, endings=endings)


def _is_over(moment: int | None, now: int) -> bool:
    return moment is not None and moment <= now


def _is_later(moment: int | None, than: int | None) -> bool:
    return than is not None and (moment is None or moment > than)


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)


OF_IMAGES: Mapping[str, Callable[..., tuple[Image, Any]]] = {
    "add member": add_member,
    "update member": update_member,
    "remove member": remove_member,
    "set visibility": set_visibility,
    "deactivate": deactivate,
    "reactivate": reactivate,
    "delete": delete,
    "show image": read_image,
    "download": read_data,
}
"""What needs an image that the caller sees."""

OF_SHARES: Mapping[str, Callable[..., tuple[Image, Any]]] = {
    "answer": answer,
    "leave": leave,
    "end": end,
    "cancel ending": cancel_ending,
    "change terms": change_terms,
    "show share": read_share,
}
"""What needs a share that the caller may know of: the former owner of a retained image knows its shares, and not the image."""

OF_WORLDS: Mapping[str, Callable[[World, Call, int], tuple[World, Any]]] = {
    "offer": offer,
    "answer many": answer_many,
    "restore": restore,
    "restore as operator": restore,
    "adopt": adopt,
    "create": create,
    "list shares": read_shares,
}
