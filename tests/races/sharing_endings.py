"""How shares end in the reference model: notices that start, are kept, are cancelled, or are taken down."""

from collections.abc import Iterable
from dataclasses import replace

from tests.races.sharing_world import ADMIN, WHILE_USED, Ending, Image, Membership, Takedown, is_later, is_over

LEFT = ("deleted", "project-closed")
"""The reasons of endings that begin, or go on, because the owner has left the image."""


def end_shares(image: Image, caller: str, now: int, reason: str, projects: Iterable[str]) -> Image:
    """End shares: start the notices of accepted ones. An administrator of another project ends every promise instead."""
    if caller == ADMIN:
        return take_down(image, now, reason, projects)
    for project in projects:
        share = image.members[project]
        promise = share.promise(now)
        is_promised = share.status == "accepted" and not is_over(promise.end(is_used=image.is_used_by(project)), now)
        if is_promised and not image.has_ended_shares and project != image.owner:
            image = with_ending(image, project, Ending(reason, now, (promise,), share))
    for was in ("private", "deactivated") if reason in LEFT else ():
        image = change_reason(image, was, reason, image.endings)
    return image


def with_ending(image: Image, project: str, new: Ending) -> Image:
    """Start a notice; every promise of a former one that runs still holds. A notice that can end later keeps its reason."""
    was, is_used = image.endings.get(project), image.is_used_by(project)
    if was:
        may_end_later = new.share.notice == WHILE_USED or not is_later(new.end(is_used=is_used), was.end(is_used=is_used))
        kept = was if may_end_later and not (was.reason == new.reason == "removed") else new
        new = replace(kept, promises=was.promises + new.promises)
    return replace(image, endings={**image.endings, project: new})


def take_down(image: Image, now: int, reason: str, projects: Iterable[str]) -> Image:
    """End shares against every promise. Accepted ones stay to be seen by their two sides."""
    status = {"deleted": "deleted", "deactivated": "deactivated"}.get(reason, "active" if image.is_retained else image.status)
    for project in projects:
        is_current = project in image.members and (image.is_shared if reason == "removed" else not image.has_ended_shares)
        share = image.members[project] if is_current else None
        if project in image.endings and not (is_current and reason == "removed"):
            share = image.endings[project].share
        image = without(image, project, member=False)
        if share and share.status == "accepted" and project != image.owner:
            image = replace(image, takedowns={**image.takedowns, project: Takedown(reason, now, status, share)})
    return image


def drop_former_notice(image: Image, project: str, now: int) -> Image:
    """Drop the notice of a former share, once the member has accepted a share that promises no less, whatever is used."""
    former, share = image.endings.get(project), image.members[project]
    promised = share.promise(now).end(is_used=False)
    if not former or share.status != "accepted" or image.has_ended_shares or is_over(promised, now):
        return image
    ends = [former.end(is_used=image.is_used_by(project)), *(each.until for each in former.promises)]
    return image if any(is_later(each, promised) for each in ends) else without(image, project, member=False)


def keep_notice(image: Image, project: str) -> Image:
    """Let a notice run on whatever becomes of the image, because the membership is removed."""
    for was in ("private", "deactivated"):
        image = change_reason(image, was, "removed", [project])
    return image


def change_reason(image: Image, was: str, reason: str, projects: Iterable[str]) -> Image:
    changed = {p: replace(each, reason=reason) for p, each in image.endings.items() if p in projects and each.reason == was}
    return replace(image, endings={**image.endings, **changed})


def cancel(image: Image, *reasons: str) -> Image:
    """Cancel the endings whose reason has gone; if the image is still private or deactivated, they go on for that reason."""
    if image.has_ended_shares:
        instead = "private" if image.visibility == "private" else "deactivated"
        for reason in reasons:
            image = change_reason(image, reason, instead, image.endings)
        return image
    endings = {p: each for p, each in image.endings.items() if each.reason not in reasons}
    return replace(image, endings=endings, takedowns={p: each for p, each in image.takedowns.items() if each.reason not in reasons})


def with_member(image: Image, project: str, share: Membership) -> Image:
    return replace(image, members={**image.members, project: share})


def without(image: Image, project: str, *, member: bool = True, ending: bool = True) -> Image:
    members = {p: each for p, each in image.members.items() if p != project or not member}
    endings = {p: each for p, each in image.endings.items() if p != project or not ending}
    return replace(image, members=members, endings=endings)
