"""The guard: a call that would end the access of projects that use an image at once is refused, unless it is acknowledged.

A caller that acknowledges ends nothing at once either: members that use the image keep access for the cool-down. So a hasty caller
can cancel, and a stolen session cannot take an image away before its owner can notice. Administrators of other projects are not
guarded, nor is the closing of a project.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Never

from partage import problems
from partage.model.guard import GuardMode, counts_as_use
from partage.model.ids import ProjectID
from partage.model.image import Image
from partage.model.impact import Action, EndOfAccess, ProjectImpact, Situation, is_open, predict
from partage.model.member import MemberStatus
from partage.model.terms import Notice
from partage.model.use import ProjectUses, UseKind
from partage.operations.service import Service
from partage.records import guards, uses
from partage.records.database import Transaction

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What the guard says of an action. `mode` is the mode that holds now.

    `users` are members that use the image and would lose access at once. `other_users` counts projects that use an open image
    without a share.
    """

    mode: GuardMode
    users: tuple[ProjectImpact, ...] = ()
    other_users: int = 0
    grace: Mapping[ProjectID, timedelta] = field(default_factory=dict)

    @property
    def blocks(self) -> bool:
        """Whether the action is refused unless it is acknowledged."""
        return bool(self.users or self.other_users)


def is_on(service: Service, tx: Transaction, image: Image) -> bool:
    """Whether the image is guarded now."""
    return guards.find(tx, image.id, service.sharing.guard).mode(service.clock()) is GuardMode.BLOCK


def assess(
    service: Service, tx: Transaction, situation: Situation, action: Action, member_id: ProjectID | None = None
) -> Assessment:
    """Say whom the guard protects from an action."""
    mode = guards.find(tx, situation.image.id, service.sharing.guard).mode(situation.now)
    if mode is GuardMode.OFF or situation.takes_down:
        return Assessment(mode=mode)
    known = {each.project_id: each for each in uses.list_by_project(tx, situation.image.id)}
    if action is Action.UNSHARE and is_open(situation.image):
        # Access goes on, but without the membership no notice can be kept when the image is closed.
        removed = [each for each in situation.members if each.member_id == member_id and each.status is MemberStatus.ACCEPTED]
        return Assessment(mode=mode, other_users=sum(counts_as_use(known.get(each.member_id), situation.now) for each in removed))
    found = predict(situation, action, member_id=member_id)
    rows = [replace(each, uses=known.pop(each.project_id, None)) for each in found.projects]
    lost = [each for each in rows if each.ends is EndOfAccess.NOW and each.status is MemberStatus.ACCEPTED]
    users = tuple(each for each in lost if counts_as_use(each.uses, situation.now))
    known.pop(situation.image.owner or ProjectID(""), None)
    return Assessment(
        mode=mode,
        users=users,
        other_users=sum(each.has_uses for each in known.values()) if found.ends_for_everybody else 0,
        grace={each.project_id: service.sharing.guard_cool_down for each in users},
    )


def require_unused(
    service: Service,
    tx: Transaction,
    situation: Situation,
    action: Action,
    member_id: ProjectID | None = None,
    *,
    is_acknowledged: bool,
) -> Mapping[ProjectID, timedelta]:
    """Let an action pass that ends no access of users at once, or that is acknowledged; return the shortest notice of its users.

    Raises:
        ImageGuarded: projects that use the image would lose access at once, and this is not acknowledged; or projects without a
            share use it, for which no notice can be kept.
    """
    found = assess(service, tx, situation, action, member_id)
    if found.other_users:
        _refuse_for_others(situation, found.other_users)
    if found.users and not is_acknowledged:
        named = "; ".join(_describe(each) for each in found.users[:_MOST_NAMED])
        more = f"; and {len(found.users) - _MOST_NAMED} more" if len(found.users) > _MOST_NAMED else ""
        _refuse(
            situation,
            f"other projects, which would lose access at once: {named}{more}",
            f"promise them notice, or acknowledge with POST /partage/v1/images/{situation.image.id}/end: "
            f"they then keep access for {Notice(service.sharing.guard_cool_down)}",
        )
    return found.grace


def require_no_other_users(service: Service, tx: Transaction, situation: Situation) -> None:
    """Let an open image become shared, unless projects without a share use it.

    Raises:
        ImageGuarded: they do.
    """
    found = assess(service, tx, situation, Action.PRIVATE)
    if found.other_users:
        _refuse_for_others(situation, found.other_users)


def _refuse_for_others(situation: Situation, count: int) -> Never:
    _refuse(situation, f"projects without a share ({count})", "switch the guard off, which takes effect later")


def _refuse(situation: Situation, users: str, remedy: str) -> Never:
    raise problems.ImageGuarded(f"Image {situation.image.id} is guarded and used by {users}. To end access, {remedy}")


def _describe(project: ProjectImpact) -> str:
    return f"project {project.project_id} ({_describe_uses(project.uses)})"


def _describe_uses(found: ProjectUses | None) -> str:
    parts = [] if found is None else [f"{count} {kind}s" for kind in UseKind if (count := found.counts.get(kind, 0))]
    if found is not None and not found.is_complete:
        parts.append("more than are recorded")
    if found is not None and found.last_download is not None:
        parts.append(f"last download {found.last_download:%Y-%m-%d}")
    return ", ".join(parts) or "use unknown"
