"""The reference model of sharing: what docs/sharing.md and docs/sharing-api.md promise, as a sequential program without a database.

`sharing_world.py` has its state and what callers see of it, `sharing_endings.py` how shares end. A call returns the new world and
an answer: the HTTP status of a refusal, or what the caller gets. Nothing here imports the service.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.races.sharing_endings import (
    LEFT,
    cancel,
    drop_former_notice,
    end_shares,
    keep_notice,
    take_down,
    with_member,
    without,
)
from tests.races.sharing_world import (
    ADMIN,
    GRACE_SECONDS,
    WHILE_USED,
    Code,
    Image,
    Membership,
    Notice,
    Refused,
    World,
    at,
    download,
    find_share,
    is_later,
    is_over,
    list_shares,
    sees,
    show,
    show_share,
)


@dataclass(frozen=True)
class Call:
    """An operation of a caller on images. `given` are the operation's own arguments."""

    name: str
    caller: str
    images: tuple[str, ...]
    given: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.caller}: {self.name}({', '.join([*self.images, *(f'{key}={value}' for key, value in self.given.items())])})"


def carry_out(world: World, call: Call, now: int) -> tuple[World, Any]:
    """Carry out a call at one moment."""
    world = at(world, now)
    try:
        if call.name in OF_WORLDS:
            changed, answer = OF_WORLDS[call.name](world, call, now)
            return at(changed, now), answer
        (name,) = call.images
        image = world.images.get(name)
        if image is None or (call.name in OF_IMAGES and not sees(image, call.caller)):
            raise Refused(404)  # noqa: TRY301
        act = OF_IMAGES.get(call.name) or OF_SHARES[call.name]
        image, answer = act(image, call.caller, now, **call.given)
        return at(world.put(name, image), now), answer
    except Refused as refused:
        return world, refused.status


def _change_visibility(image: Image, caller: str, now: int, visibility: str) -> Image:
    changed = replace(image, visibility=visibility)
    if visibility == "private" != image.visibility:
        return replace(end_shares(image, caller, now, "private", _everybody(image, caller)), visibility=visibility)
    return cancel(changed, "private") if image.visibility == "private" != visibility else changed


def _everybody(image: Image, caller: str) -> set[str]:
    return {*image.members, *(image.endings if caller == ADMIN else ())}


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


def add_member(world: World, call: Call, now: int) -> tuple[World, Any]:
    (name,), project = call.images, call.given["project"]
    image = world.find(name)
    if image is None or not sees(image, call.caller):
        raise Refused(404)
    if not image.is_shared:
        raise Refused(403)
    _require_owner(image, call.caller)
    if project in image.members:
        raise Refused(409)
    return world.put(name, _add_member(world, image, project, Membership(now))), None


def _add_member(world: World, image: Image, project: str, share: Membership) -> Image:
    """Add a member whose trust rule answers, or who has answered."""
    rule = "ask" if share.status == "accepted" else world.rules.get((project, image.owner), "ask")
    share = share.answer("accepted", share.offered_at) if rule == "accept" else replace(share, is_hidden=rule == "refuse")
    takedowns = {p: each for p, each in image.takedowns.items() if p != project}
    image = replace(with_member(image, project, share), takedowns=takedowns)
    return drop_former_notice(image, project, share.offered_at)


def update_member(image: Image, caller: str, now: int, *, project: str, status: str) -> tuple[Image, Any]:
    """Answer; a member that rejects while its notice runs gives up the notice, unless there is a new offer to reject."""
    ending, share = image.endings.get(project), image.members.get(project)
    is_hidden = share and share.is_hidden and caller == project
    is_new_offer = ending and ending.reason == "removed" and image.is_shared and share and not is_hidden
    if status == "rejected" and caller == project and ending and not is_new_offer:
        return _give_up(image, project, now), None
    if not image.is_shared:
        raise Refused(403)
    if not share or is_hidden or caller not in (image.owner, project, ADMIN):
        raise Refused(404)
    if caller != ADMIN and (caller != project or project == image.owner):
        raise Refused(403)
    image = with_member(image, project, share.answer(status, now))
    if status == "accepted":
        image = drop_former_notice(image, project, now)
    elif status == "rejected" and share.status == "accepted" and caller == project:
        image = without(image, project, member=False)  # it gives up all of the one share
    return image, None


def _give_up(image: Image, project: str, now: int) -> Image:
    """Give up a notice, as the member: its membership is rejected, or removed with an offer that it was not to see."""
    share = image.members.get(project)
    if share and share.is_hidden:
        return without(image, project)
    image = with_member(image, project, share.answer("rejected", now)) if share else image
    return without(image, project, member=False)


def remove_member(image: Image, caller: str, now: int, *, project: str) -> tuple[Image, Any]:
    if not image.is_shared:
        raise Refused(403)
    member = image.members.get(project)
    if member is None or caller not in (image.owner, project, ADMIN) or (member.is_hidden and caller == project):
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
    return replace(end_shares(image, caller, now, "deactivated", _everybody(image, caller)), status="deactivated"), None


def reactivate(image: Image, caller: str, _now: int) -> tuple[Image, Any]:
    _require_owner(image, caller)
    if image.status == "active" or image.is_retained:
        return image, None
    return cancel(replace(image, status="active"), "deactivated"), None


def delete(image: Image, caller: str, now: int) -> tuple[Image, Any]:
    """Delete an image, or retain it while notice runs."""
    _require_owner(image, caller)
    return replace(end_shares(image, caller, now, "deleted", _everybody(image, caller)), is_retained=True), None


# The sharing API.


def offer(world: World, call: Call, now: int) -> tuple[World, Any]:
    """Offer each image to each project; an outcome for each pair."""
    terms = {name: call.given[name] for name in ("notice", "expires_at") if name in call.given}
    if is_over(terms.get("expires_at"), now):
        raise Refused(400)
    changed, outcomes = world, []
    for name in call.images:
        try:
            image, made = _offer_image(world, name, call, Membership(now, **terms))
            changed = changed.put(name, image)
        except Refused as refused:
            made = [refused.status for _ in call.given["projects"]]
        outcomes += made
    if call.given["all_or_nothing"] and any(outcomes):
        raise Refused(409)
    return changed, outcomes


def _offer_image(world: World, name: str, call: Call, share: Membership) -> tuple[Image, list[int | None]]:
    image, now = _find_shareable(world, name, call), share.offered_at
    # The memberships of a private image are no shares: a new offer replaces them.
    there = {image.owner, *(image.members if image.is_shared else [])}
    new = [p for p in call.given["projects"] if p not in there]
    for project in new if image.visibility == "private" else []:
        image = without(keep_notice(image, project), project, ending=False)
    if new:
        image = _change_visibility(image, call.caller, now, "shared")
    for project in new:
        image = _add_member(world, image, project, share)
    return image, [None if p in new else 409 for p in call.given["projects"]]


def _find_shareable(world: World, name: str, call: Call) -> Image:
    """Return an image that the caller can offer, or make a claim code of."""
    image = world.find(name)
    if image is None or not sees(image, call.caller):
        raise Refused(404)
    _require_owner(image, call.caller)
    if image.is_retained:
        raise Refused(403)
    if not image.is_shared and not (image.visibility == "private" and call.given["make_shared"]):
        raise Refused(409)
    return image


def answer(image: Image, caller: str, now: int, *, project: str, status: str) -> tuple[Image, Any]:
    owner, _status, seen, _ends = find_share(image, project, caller)
    if caller not in (project, ADMIN):
        raise Refused(403)
    was, ending = image.members.get(project), image.endings.get(project)
    is_current = image.shares_with(project) and (caller != project or image.shows_to(project))
    is_new_offer = ending and ending.reason == "removed" and is_current and seen.status != "accepted"
    gives_up = status == "rejected" and caller == project and not is_new_offer
    if not is_current and not gives_up:
        raise Refused(409)
    if seen.status == status:
        return image, find_share(image, project, caller)
    if gives_up:
        image = _give_up(image, project, now)
        return image, (owner, "active" if image.is_retained else image.status, seen.answer(status, now), None)
    image = with_member(image, project, was.answer(status, now)) if was else image
    if status == "accepted" and is_new_offer:
        image = drop_former_notice(image, project, now)
    return image, find_share(image, project, caller)


def answer_many(world: World, call: Call, now: int) -> tuple[World, Any]:
    """Answer the offers of many images; an outcome for each."""
    outcomes = []
    for name in call.images:
        try:
            if name not in world.images:
                raise Refused(404)  # noqa: TRY301
            image, outcome = answer(world.images[name], call.caller, now, project=call.caller, status=call.given["status"])
            world = world.put(name, image)
        except Refused as refused:
            outcome = refused.status
        outcomes.append(outcome)
    return world, outcomes


def leave(image: Image, caller: str, _now: int, *, project: str) -> tuple[Image, Any]:
    find_share(image, project, caller)
    if caller not in (project, ADMIN):
        raise Refused(403)
    return without(image, project), None


def end(image: Image, caller: str, now: int, *, project: str) -> tuple[Image, Any]:
    """End a share: as removing the member, also where the image is private, deactivated or retained."""
    if project in image.members and caller in (image.owner, ADMIN) and not (image.shares_with(project) or project in image.endings):
        if image.is_retained and caller != ADMIN:
            raise Refused(404)
        # It is no share, but would be one again as soon as the image is shared.
        return _show_ended(_remove_membership(image, caller, now, project), project, caller)
    find_share(image, project, caller)
    if caller not in (image.owner, ADMIN):
        raise Refused(403)
    if image.shares_with(project):
        image = _remove(image, caller, now, project)
    elif caller == ADMIN:
        image = without(take_down(image, now, "removed", [project]), project)
    elif not image.is_retained:
        image = _remove_membership(keep_notice(image, project), caller, now, project)
    return _show_ended(image, project, caller)


def _remove_membership(image: Image, caller: str, now: int, project: str) -> Image:
    """Remove a membership that is no share. That of an open image has its notice, for when the image is closed."""
    if caller != ADMIN and project in image.members and image.visibility != "private":
        image = end_shares(image, caller, now, "removed", [project])
    return without(image, project, ending=False)


def _show_ended(image: Image, project: str, caller: str) -> tuple[Image, Any]:
    try:
        return image, find_share(image, project, caller)
    except Refused:
        return image, None


def cancel_ending(image: Image, caller: str, now: int, *, project: str) -> tuple[Image, Any]:
    """Take the removal of a member back."""
    find_share(image, project, caller)
    if caller not in (image.owner, ADMIN):
        raise Refused(403)
    ending = image.endings.get(project)
    is_removal = ending and ending.reason == "removed" and image.is_shared and image.status == "active"
    if not ending or not is_removal or image.shares_with(project):
        raise Refused(409)
    takedowns = {p: each for p, each in image.takedowns.items() if p != project}
    image = drop_former_notice(with_member(replace(image, takedowns=takedowns), project, ending.share), project, now)
    return image, find_share(image, project, caller)


def change_terms(image: Image, caller: str, now: int, *, project: str, **terms: int | None) -> tuple[Image, Any]:
    """Change the terms; what a member has accepted can only be extended."""
    find_share(image, project, caller)
    if caller not in (image.owner, ADMIN):
        raise Refused(403)
    ending = find_share(image, project, caller)[3]
    is_new_offer = image.shares_with(project) and ending and ending[0] == "removed" and image.members[project].status != "accepted"
    if ending and not is_new_offer:
        raise Refused(409)
    was = image.members[project]
    share = replace(was, **terms)
    if share.expires_at != was.expires_at and is_over(share.expires_at, now):
        raise Refused(400)
    if was.status == "accepted" and (not _covers(share.notice, was.notice) or is_later(was.expires_at, share.expires_at)):
        raise Refused(400)
    image = with_member(image, project, share)
    return image, find_share(image, project, caller)


def _covers(notice: Notice, was: Notice) -> bool:
    """Whether a notice is at least as long as another one, whatever is used."""
    if WHILE_USED in (notice, was):
        return notice in (was, None) or was == 0
    return not is_later(was, notice)


def restore(world: World, call: Call, _now: int) -> tuple[World, Any]:
    """Take a retained image back, with the endings cancelled that its deletion began; the operator's command does the same."""
    (name,) = call.images
    image = world.find(name)
    if image is None or not image.is_retained or call.caller not in (image.owner, ADMIN):
        raise Refused(404)
    return world.put(name, cancel(replace(image, is_retained=False), *LEFT)), None


def close_project(world: World, call: Call, now: int) -> tuple[World, Any]:
    """Delete what the project owns, with its promises kept, and give up what was shared with it."""
    project = call.given["project"]
    for name, image in world.images.items():
        if image.owner == project and not image.is_retained and not image.is_gone:
            ended = end_shares(image, project, now, "project-closed", image.members)
            image = replace(ended, is_retained=True)  # noqa: PLW2901
        takedowns = {p: each for p, each in image.takedowns.items() if p != project}
        uses = frozenset(each for each in image.uses if each[0] != project)
        codes = {} if image.owner == project else image.codes
        image = replace(without(image, project), takedowns=takedowns, uses=uses, codes=codes)  # noqa: PLW2901
        world = world.put(name, image)
    return replace(world, rules={pair: each for pair, each in world.rules.items() if pair[0] != project}), None


def adopt(world: World, call: Call, _now: int) -> tuple[World, Any]:
    """Make an own private image of one that can be downloaded."""
    source = world.find(call.images[0])
    if source is None or not sees(source, call.caller) or show(source, call.caller)[0] != "active":
        raise Refused(404)
    return world.put(call.images[1], Image(call.caller, visibility="private", source=call.images[0])), None


def create(world: World, call: Call, _now: int) -> tuple[World, Any]:
    """Create an image with data."""
    return world.put(call.images[0], Image(call.caller)), None


# Uses: what a project records, and what other services notify.


def record_use(image: Image, caller: str, now: int, *, server: str) -> tuple[Image, Any]:
    return _follow_uses(image, caller, now, image.uses | {(caller, server)}), None


def release_use(world: World, call: Call, now: int) -> tuple[World, Any]:
    """Release a use, also after access has ended."""
    return _release(world, call.images[0], call.caller, call.given["server"], now), None


def hear(world: World, call: Call, now: int) -> tuple[World, Any]:
    """Learn that a project's server uses an image, or that it uses this image and no other any more, or that it was deleted."""
    (name,), project, server = call.images, call.given["project"], call.given["server"]
    change, image = call.given["change"], world.find(name)
    if change == "ended":
        world = replace(world, gone=world.gone | {server})
    elif image and server not in world.gone:
        world = world.put(name, _follow_uses(image, project, now, image.uses | {(project, server)}))
    for other, its in world.images.items() if change != "seen" else ():
        for user in {p for p, each in its.uses if each == server and (change == "ended" or (p == project and other != name))}:
            world = _release(world, other, user, server, now)
    return world, None


def _release(world: World, name: str, project: str, server: str, now: int) -> World:
    image = world.images.get(name)
    if image is None or (project, server) not in image.uses:
        return world
    return world.put(name, _follow_uses(image, project, now, image.uses - {(project, server)}))


def _follow_uses(image: Image, project: str, now: int, uses: frozenset[tuple[str, str]]) -> Image:
    """Let a running notice while-used begin its grace anew. It counts when there is no use left."""
    endings = dict(image.endings)
    if project in endings:
        renewed = [replace(p, idle_until=p.idle_until and now + GRACE_SECONDS) for p in endings[project].promises]
        endings[project] = replace(endings[project], promises=tuple(renewed))
    return replace(image, uses=uses, endings=endings)


# Claim codes and trust rules.


def create_code(world: World, call: Call, now: int) -> tuple[World, Any]:
    (name,) = call.images
    image = _find_shareable(world, name, call)
    terms = {each: call.given[each] for each in ("notice", "expires_at") if each in call.given}
    if is_over(terms.get("expires_at"), now) or is_over(call.given["valid_until"], now):
        raise Refused(400)
    image = _change_visibility(image, call.caller, now, "shared")
    code = Code(call.given["uses"], call.given["valid_until"], terms)
    return world.put(name, replace(image, codes={**image.codes, call.given["code"]: code})), None


def revoke_code(image: Image, caller: str, _now: int, *, code: str) -> tuple[Image, Any]:
    _require_owner(image, caller)
    if code not in image.codes:
        raise Refused(404)
    return replace(image, codes={each: found for each, found in image.codes.items() if each != code}), None


def claim(image: Image, caller: str, now: int, *, code: str) -> tuple[Image, Any]:
    """Become an accepted member; a member keeps its terms, and takes no use of the code. No trust rule is asked."""
    found = image.codes.get(code)
    if found is None or not image.is_shared or is_over(found.terms.get("expires_at"), now):
        raise Refused(404)
    if caller == image.owner:
        raise Refused(409)
    share = image.members.get(caller)
    if share is None and not found.left:
        raise Refused(404)
    if share is None:
        codes = {**image.codes, code: replace(found, left=found.left - 1)}
        new = Membership(now, **found.terms).answer("accepted", now)
        image = _add_member(World(), replace(image, codes=codes), caller, new)
    elif share.status != "accepted":
        image = drop_former_notice(with_member(image, caller, share.answer("accepted", now)), caller, now)
    return image, find_share(image, caller, caller)


def set_rule(world: World, call: Call, _now: int) -> tuple[World, Any]:
    """Answer offers from an owner from now on. Offers that no rule refuses any more appear."""
    return _change_rule(world, call, call.given["rule"]), None


def remove_rule(world: World, call: Call, _now: int) -> tuple[World, Any]:
    if (call.caller, call.given["owner"]) not in world.rules:
        raise Refused(404)
    return _change_rule(world, call, None), None


def _change_rule(world: World, call: Call, rule: str | None) -> World:
    pair = (call.caller, call.given["owner"])
    rules = {each: answer for each, answer in world.rules.items() if each != pair} | ({pair: rule} if rule else {})
    world = replace(world, rules=rules)
    for name, image in world.images.items():
        share = image.members.get(call.caller)
        if share and rules.get((call.caller, image.owner)) != "refuse":
            world = world.put(name, with_member(image, call.caller, replace(share, is_hidden=False)))
    return world


def _require_owner(image: Image, caller: str) -> None:
    if caller != ADMIN and (caller != image.owner or image.is_retained):
        raise Refused(403)


def _remove(image: Image, caller: str, now: int, project: str) -> Image:
    return without(keep_notice(end_shares(image, caller, now, "removed", [project]), project), project, ending=False)


OF_IMAGES: Mapping[str, Callable[..., tuple[Image, Any]]] = {
    "update member": update_member,
    "remove member": remove_member,
    "set visibility": set_visibility,
    "deactivate": deactivate,
    "reactivate": reactivate,
    "delete": delete,
    "show image": read_image,
    "download": read_data,
    "record use": record_use,
    "revoke code": revoke_code,
}
"""What needs an image that the caller sees."""

OF_SHARES: Mapping[str, Callable[..., tuple[Image, Any]]] = {
    "answer": answer,
    "leave": leave,
    "end": end,
    "cancel ending": cancel_ending,
    "change terms": change_terms,
    "show share": read_share,
    "claim": claim,
}
"""What needs a share that the caller may know of: the former owner of a retained image knows its shares, and not the image."""

OF_WORLDS: Mapping[str, Callable[[World, Call, int], tuple[World, Any]]] = {
    "add member": add_member,
    "offer": offer,
    "answer many": answer_many,
    "restore": restore,
    "restore as operator": restore,
    "adopt": adopt,
    "create": create,
    "list shares": read_shares,
    "close project": close_project,
    "release use": release_use,
    "hear": hear,
    "create code": create_code,
    "set rule": set_rule,
    "remove rule": remove_rule,
}
