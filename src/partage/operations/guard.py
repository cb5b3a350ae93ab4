"""The guard: a call that would end the access of a project that uses an image within the cool-down is refused.

A caller that acknowledges ends nothing sooner either: members that use the image keep access for the cool-down from that call on,
whatever was ended before. So a hasty caller can cancel, and a stolen session cannot take an image away before its owner can
notice. Administrators of other projects are not guarded, nor is the closing of a project.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Never

from partage import problems
from partage.model import wording
from partage.model.guard import GuardMode, counts_as_use
from partage.model.ids import ProjectID
from partage.model.image import Image
from partage.model.impact import Action, ProjectImpact, Situation, is_open, predict
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

    `users` are members that use the image and would lose access within the cool-down. `other_users` counts projects that use an
    open image without a share that they have accepted. `grace` is the shortest notice of each member that uses the image, also of
    those whose own notice is longer today: a notice while-used ends when the member's uses end.
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
    cool_down = service.sharing.guard_cool_down
    accepted = {each.member_id for each in situation.members if each.status is MemberStatus.ACCEPTED}
    found = predict(situation, action, member_id=member_id)
    rows = {each.project_id: replace(each, uses=known.get(each.project_id)) for each in found.projects}
    users = [each for each in rows.values() if each.project_id in accepted and counts_as_use(each.uses, situation.now)]
    lost = {each.project_id for each in rows.values() if each.is_cut_short(situation.now + cool_down)}
    # No notice can be kept for them: they have no share, or an offer that they have not accepted, or one that has ended before.
    others = (lost | (known.keys() - rows)) - accepted - {situation.image.owner}
    return Assessment(
        mode=mode,
        users=tuple(each for each in users if each.project_id in lost),
        other_users=sum(known[each].has_uses for each in others & known.keys()) if found.ends_for_everybody else 0,
        grace={each.project_id: cool_down for each in users},
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
    """Let an action pass that ends no user's access within the cool-down, or that is acknowledged.

    Return the shortest notice of the members that use the image.

    Raises:
        ImageGuarded: projects that use the image would lose access within the cool-down, and this is not acknowledged; or projects
            without a share use it, for which no notice can be kept.
    """
    found = assess(service, tx, situation, action, member_id)
    if found.other_users:
        _refuse_for_others(situation, found.other_users)
    if found.users and not is_acknowledged:
        named = "; ".join(_describe(each) for each in found.users[:_MOST_NAMED])
        more = f"; and {len(found.users) - _MOST_NAMED} more" if len(found.users) > _MOST_NAMED else ""
        cool_down = Notice(service.sharing.guard_cool_down)
        _refuse(
            situation,
            f"other projects, which would lose access sooner than the guard's cool-down of {cool_down}: {named}{more}",
            f"promise them a notice of {cool_down} or more, or acknowledge with POST /partage/v1/images/{situation.image.id}/end: "
            f"they then keep access for {cool_down}",
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
    parts = [] if found is None else [wording.count(count, kind) for kind in UseKind if (count := found.counts.get(kind, 0))]
    if found is not None and not found.is_complete:
        parts.append("more than are recorded")
    if found is not None and found.last_download is not None:
        parts.append(f"last download {found.last_download:%Y-%m-%d}")
    return ", ".join(parts) or "use unknown"
