"""Impact: what an action on an image would do if its owner did it now."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from partage import problems
from partage.model.caller import Caller
from partage.model.ending import READABLE
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.impact import Action, Bounds, ByteImpact, EndOfAccess, Impact, KeptFor, predict
from partage.operations import exclusive_bytes, guard, pending_deletes, promises, visible
from partage.operations.service import Service
from partage.policies import authority
from partage.policies import sharing as rules
from partage.records import members, shares, uses
from partage.records.database import Transaction

MOST_PROJECTS = 1000
"""Projects in one answer. Those whose access ends at once come first."""


def show_impact(
    service: Service,
    caller: Caller,
    image_id: ImageID,
    action: Action,
    member_id: ProjectID | None = None,
    *,
    limit: int = MOST_PROJECTS,
) -> Impact:
    """Predict what the action would do for the caller: who loses access when, and which bytes are freed. Nothing changes.

    An action that would be refused, whether or not others use the image, is refused here with the same problem.

    Raises:
        ImageNotFound: there is no such image, or the caller neither owns it nor is an administrator.
        PolicyForbids: the caller may not see the impact.
        ShareNotFound: there is no share of the image with the project of `unshare`.
        ImageProtected, StatusForbids: the image is protected from deletion, or has no data to deactivate.
    """
    with service.database.read() as tx:
        image = find_own(service, tx, caller, image_id)
        service.authority.require(caller, rules.GET_IMPACT, authority.image_target(caller, image))
        if member_id is not None:
            _require_share(tx, caller, image_id, member_id, service.clock())
        _require_possible(image, action)
        situation = promises.read_situation(service, tx, caller, image)
        assessed = guard.assess(service, tx, situation, action, member_id)
        found = predict(situation, action, member_id=member_id, grace=assessed.grace)
        found = replace(found, guard=assessed.mode, is_blocked=assessed.blocks, can_acknowledge=not assessed.other_users)
        # An owner must not learn whether other projects have the same bytes.
        known_to = None if caller.is_admin else image.owner
        return _add_uses(tx, replace(found, bytes=_predict_bytes(service, tx, image, found, known_to)), image.owner, limit)


def find_own(service: Service, tx: Transaction, caller: Caller, image_id: ImageID) -> Image:
    """Return an image of the caller's project; for an administrator, any image.

    Raises:
        ImageNotFound: there is no such image, or the caller neither owns it nor is an administrator.
    """
    image = visible.find(service, tx, caller, image_id)
    if not caller.is_admin and (caller.project_id is None or caller.project_id != image.owner):
        raise problems.ImageNotFound(visible.NO_IMAGE.format(image_id))
    return image


def _require_share(tx: Transaction, caller: Caller, image_id: ImageID, member_id: ProjectID, now: datetime) -> None:
    """Check that there is a share that can be ended; a membership of an image that is not shared can be removed, too."""
    try:
        shares.find(tx, caller, image_id, member_id, now=now)
    except problems.ShareNotFound as problem:
        try:
            members.find(tx, caller, image_id, member_id, now=now)
        except problems.MemberNotFound:
            raise problem from None


def _require_possible(image: Image, action: Action) -> None:
    if action is Action.DELETE:
        image.require_unprotected()
    if action is Action.DEACTIVATE and image.status not in READABLE:
        raise problems.StatusForbids(f"Not allowed to deactivate image in status '{image.status}'")


def _add_uses(tx: Transaction, found: Impact, owner: ProjectID | None, limit: int) -> Impact:
    """Add what is known of the uses of each project, for as many projects as an answer has."""
    known = {each.project_id: each for each in uses.list_by_project(tx, found.image_id)}
    projects = [replace(each, uses=known.pop(each.project_id, None)) for each in found.projects]
    known.pop(owner or ProjectID(""), None)
    others = sum(each.has_uses for each in known.values()) if found.ends_for_everybody else 0
    return replace(found, projects=projects[:limit], left_out=len(projects[limit:]), other_users=others)


def _predict_bytes(service: Service, tx: Transaction, image: Image, found: Impact, known_to: ProjectID | None) -> ByteImpact:
    measured = exclusive_bytes.measure(service, tx, image, known_to=known_to)
    if found.action is not Action.DELETE:
        return ByteImpact(kept=measured.stored, kept_for=KeptFor.IMAGE)
    quota_bytes = 0 if image.is_retained else (image.size or 0) * len(image.stores)
    if found.is_retained:
        until = _find_latest([each.ends_at for each in found.projects if each.ends is not EndOfAccess.NOW])
        return ByteImpact(kept=measured.stored, kept_for=KeptFor.NOTICE, kept_until=until, quota_bytes=quota_bytes)
    if pending_deletes.waits_for_scrub(service, image):
        until = service.clock() + service.features.scrub_time
        return ByteImpact(kept=measured.stored, kept_for=KeptFor.DELAYED_DELETE, kept_until=until, quota_bytes=quota_bytes)
    freed, stored = measured.exclusive, measured.stored
    kept = Bounds(max(stored.least - freed.most, 0), stored.most - freed.least)
    kept_for = KeptFor.OTHER_IMAGES if measured.is_shared else None
    return ByteImpact(freed=freed, kept=kept, kept_for=kept_for, quota_bytes=quota_bytes)


def _find_latest(ends: Sequence[datetime | None]) -> datetime | None:
    """Return the latest time; None, which is never, is later than all."""
    times = [each for each in ends if each is not None]
    return max(times) if times and len(times) == len(ends) else None
