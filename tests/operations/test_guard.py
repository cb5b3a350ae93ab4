"""The guard: no call ends the access of users at once, the owner's no more than a stolen session's; and nobody else is kept."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from partage import problems
from partage.model.caller import Caller
from partage.model.guard import GuardMode
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.impact import Action, EndOfAccess
from partage.model.member import MemberStatus
from partage.model.terms import TermsChange
from partage.model.use import Use, UseKey, UseKind
from partage.operations import downloads, images, members, promises
from partage.operations.service import Service
from partage.operations.sharing import endings, guards, impact, shares, terms
from partage.operations.sharing import uses as recorded_uses
from partage.operations.sharing.guards import EndRequest
from partage.records import guards as rows
from partage.records import uses
from tests.operations.services import OWNER, Clock, download
from tests.operations.sharing_worlds import ADMIN, DATA, MEMBER, OTHER, offer, service_with, set_visibility, share
from tests.services import change_service

B, C = ProjectID("B"), ProjectID("C")
DAY = timedelta(days=1)

End = Callable[[Service, Caller, ImageID], Any]

ENDS: dict[Action, End] = {
    Action.DELETE: images.delete_image,
    Action.DEACTIVATE: images.deactivate_image,
    Action.PRIVATE: lambda service, caller, image_id: set_visibility(service, image_id, "private", caller),
    Action.UNSHARE: lambda service, caller, image_id: members.remove_member(service, caller, image_id, B),
}
every_action = pytest.mark.parametrize("action", Action)


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Service:
    """Compose a service that guards every image, where shares have no notice."""
    return service_with(tmp_path, clock, "P0D", guard=GuardMode.BLOCK)


def acknowledge(service: Service, image_id: ImageID, action: Action, caller: Caller = OWNER) -> None:
    member_id = B if action is Action.UNSHARE else None
    guards.end_access(service, caller, image_id, EndRequest(action=action, member_id=member_id, is_acknowledged=True))


def has_access(service: Service, image: Image, who: Caller = MEMBER) -> bool:
    try:
        downloads.open_image_data(service, who, image.id)
    except (problems.ImageNotFound, problems.ImageDeactivated):
        return False
    return True


def note_use(service: Service, image: Image, project: ProjectID = B, *, ended: bool = False) -> None:
    key = UseKey(image_id=image.id, project_id=project, kind=UseKind.SERVER, use_id="s")
    with service.database.write() as tx:
        uses.put(tx, Use(key, service.clock(), service.clock()))
        if ended:
            uses.remove(tx, key, seen_until=service.clock())


@every_action
def test_call_that_would_end_access_of_a_user_at_once_is_refused(service: Service, action: Action) -> None:
    image = share(service)
    note_use(service, image)
    with pytest.raises(problems.ImageGuarded) as failed:
        ENDS[action](service, OWNER, image.id)
    assert "project B (1 server)" in failed.value.sentence()
    assert f"/partage/v1/images/{image.id}/end" in failed.value.sentence()
    assert download(service, image.id, MEMBER) == DATA
    with pytest.raises(problems.ImageGuarded):
        endings.end_share(service, OWNER, image.id, B)


@every_action
def test_users_keep_access_for_the_cool_down_after_an_acknowledged_call(service: Service, clock: Clock, action: Action) -> None:
    image = share(service)
    note_use(service, image)
    predicted = impact.show_impact(service, OWNER, image.id, action, B if action is Action.UNSHARE else None)
    assert (predicted.guard, predicted.is_blocked, predicted.can_acknowledge) == (GuardMode.BLOCK, True, True)
    acknowledge(service, image.id, action)
    (row,) = predicted.projects
    assert (row.ends, row.ends_at) == (EndOfAccess.LATER, clock.now + DAY)
    ending = shares.show_share(service, MEMBER, image.id, B).ending
    assert ending is not None
    assert ending.ends_at == row.ends_at
    clock.passes(days=1, seconds=-1)
    assert has_access(service, image)
    clock.passes(seconds=1)
    assert not has_access(service, image)


@every_action
def test_hasty_owner_takes_an_acknowledged_end_back(service: Service, clock: Clock, action: Action) -> None:
    image = share(service)
    acknowledge(service, image.id, action)
    back = {
        Action.DELETE: lambda: endings.restore_image(service, OWNER, image.id),
        Action.DEACTIVATE: lambda: images.reactivate_image(service, OWNER, image.id),
        Action.PRIVATE: lambda: set_visibility(service, image.id, "shared"),
        Action.UNSHARE: lambda: endings.cancel_ending(service, OWNER, image.id, B),
    }
    back[action]()
    clock.passes(days=2)
    assert has_access(service, image)


@every_action
def test_stolen_session_ends_no_access_within_the_cool_down(service: Service, clock: Clock, action: Action) -> None:
    image = share(service)
    guards.switch_guard(service, OWNER, image.id, GuardMode.OFF)
    guards.switch_guard(service, OWNER, image.id, GuardMode.OFF)
    with pytest.raises(problems.ImageGuarded):
        ENDS[action](service, OWNER, image.id)
    acknowledge(service, image.id, action)
    for each in Action:
        with suppress(problems.Problem):
            ENDS[each](service, OWNER, image.id)
    clock.passes(days=1, seconds=-1)
    assert has_access(service, image)


@every_action
def test_without_users_the_call_is_that_of_glance(service: Service, action: Action) -> None:
    image = share(service)
    note_use(service, image, ended=True)
    ENDS[action](service, OWNER, image.id)
    assert not has_access(service, image)


def test_unknown_use_counts_as_use_and_a_pending_offer_does_not(service: Service) -> None:
    with pytest.raises(problems.ImageGuarded) as failed:
        images.delete_image(service, OWNER, share(service).id)
    assert "project B (use unknown)" in failed.value.sentence()
    images.delete_image(service, OWNER, offer(service, "B").id)
    images.delete_image(service, OWNER, share(service, "rejected").id)


def test_recent_download_counts_as_use(service: Service, clock: Clock) -> None:
    image = share(service)
    note_use(service, image, ended=True)
    with service.database.write() as tx:
        uses.note_downloads(tx, {(image.id, B): clock.now})
    clock.passes(days=30)
    with pytest.raises(problems.ImageGuarded) as failed:
        images.delete_image(service, OWNER, image.id)
    assert "last download 2026-11-24" in failed.value.sentence()
    clock.passes(seconds=1)
    images.delete_image(service, OWNER, image.id)


@every_action
def test_notice_protects_members_so_that_the_guard_need_not(service: Service, action: Action) -> None:
    promising = service_with(service.database.file.parent, Clock(), "P30D", guard=GuardMode.BLOCK)  # type: ignore[union-attr]
    image = share(promising)
    ENDS[action](promising, OWNER, image.id)
    assert has_access(promising, image)


@every_action
def test_administrator_of_another_project_is_not_guarded(service: Service, action: Action) -> None:
    image = share(service)
    note_use(service, image)
    ENDS[action](service, ADMIN, image.id)
    assert not has_access(service, image)


def test_closing_of_a_project_is_not_guarded(service: Service) -> None:
    image = share(service)
    with service.database.write() as tx:
        promises.end_all_shares(service, tx, OWNER, image, promises.EndReason.PROJECT_CLOSED)


@every_action
def test_with_the_guard_off_everything_is_as_in_glance(service: Service, action: Action) -> None:
    off = change_service(service, guard=GuardMode.OFF)
    image = share(off)
    note_use(off, image)
    ENDS[action](off, OWNER, image.id)
    assert not has_access(off, image)


def test_image_has_a_guard_of_its_own(service: Service, clock: Clock) -> None:
    off = change_service(service, guard=GuardMode.OFF)
    image, other = share(off), share(off)
    assert guards.switch_guard(off, OWNER, image.id, GuardMode.BLOCK).override is GuardMode.BLOCK
    with pytest.raises(problems.ImageGuarded):
        images.delete_image(off, OWNER, image.id)
    images.delete_image(off, OWNER, other.id)
    pending = guards.switch_guard(off, OWNER, image.id, None).pending
    assert pending is not None
    assert (pending.override, pending.at) == (None, clock.now + DAY)
    clock.passes(days=1)
    assert guards.show_guard(off, OWNER, image.id).pending is None
    images.delete_image(off, OWNER, image.id)
    with off.database.read() as tx:
        assert rows.find(tx, image.id, GuardMode.OFF).override is None


def test_guard_stays_when_the_image_gets_another_owner(service: Service, clock: Clock) -> None:
    off = change_service(service, guard=GuardMode.OFF)
    image = share(off)
    guards.switch_guard(off, OWNER, image.id, GuardMode.BLOCK)
    guards.switch_guard(off, OWNER, image.id, GuardMode.OFF)
    changes = (images.patch.Change(images.patch.Operation.REPLACE, ("owner",), "C"),)
    images.update_image(off, ADMIN, image.id, changes)
    with pytest.raises(problems.ImageNotFound):
        guards.show_guard(off, OWNER, image.id)
    pending = guards.show_guard(off, OTHER, image.id).pending
    assert pending is not None
    assert guards.switch_guard(off, OTHER, image.id, GuardMode.BLOCK).pending is None
    with pytest.raises(problems.ImageGuarded):
        images.delete_image(off, OTHER, image.id)
    clock.passes(days=2)
    with pytest.raises(problems.ImageGuarded):
        images.delete_image(off, OTHER, image.id)


@pytest.mark.parametrize("visibility", ["private", "shared"])
def test_open_image_with_users_without_a_share_cannot_be_closed(service: Service, clock: Clock, visibility: str) -> None:
    """No notice can be kept for them, so that an acknowledgement would end their access at once."""
    image = offer(service)
    set_visibility(service, image.id, "community")
    note_use(service, image, C)
    with pytest.raises(problems.ImageGuarded) as failed:
        set_visibility(service, image.id, visibility)
    assert "C" not in failed.value.sentence().split()
    with pytest.raises(problems.ImageGuarded):
        acknowledge(service, image.id, Action.DELETE)
    assert not impact.show_impact(service, OWNER, image.id, Action.DELETE).can_acknowledge
    guards.switch_guard(service, OWNER, image.id, GuardMode.OFF)
    clock.passes(days=1)
    set_visibility(service, image.id, visibility)


def test_member_of_an_open_image_does_not_lose_its_protection(service: Service, clock: Clock) -> None:
    image = share(service)
    set_visibility(service, image.id, "community")
    with pytest.raises(problems.ImageGuarded):
        endings.end_share(service, OWNER, image.id, B)
    with pytest.raises(problems.ImageGuarded):
        acknowledge(service, image.id, Action.UNSHARE)
    acknowledge(service, image.id, Action.PRIVATE)
    clock.passes(days=1, seconds=-1)
    assert has_access(service, image)


@pytest.mark.parametrize("who", [MEMBER, OTHER])
def test_guard_is_invisible_to_everybody_but_owner_and_administrators(service: Service, who: Caller) -> None:
    image = share(service)
    for image_id in (image.id, ImageID("never")):
        for ask in (
            lambda image_id=image_id: guards.show_guard(service, who, image_id),
            lambda image_id=image_id: guards.switch_guard(service, who, image_id, GuardMode.OFF),
        ):
            with pytest.raises(problems.ImageNotFound) as failed:
                ask()
            assert failed.value.sentence() == f"No image found with ID {image_id}"


def test_answer_of_the_member_stays_accepted_while_the_cool_down_runs(service: Service) -> None:
    image = share(service)
    acknowledge(service, image.id, Action.DELETE)
    assert shares.show_share(service, MEMBER, image.id, B).status is MemberStatus.ACCEPTED


@every_action
@pytest.mark.parametrize("notice", ["PT1S", "PT23H59M59S"])
def test_notice_shorter_than_the_cool_down_does_not_pass_the_guard(
    tmp_path: Path, clock: Clock, action: Action, notice: str
) -> None:
    service = service_with(tmp_path, clock, notice, guard=GuardMode.BLOCK)
    image = share(service)
    with pytest.raises(problems.ImageGuarded) as failed:
        ENDS[action](service, OWNER, image.id)
    assert "sooner than the guard's cool-down of P1D: project B (use unknown)" in failed.value.sentence()
    acknowledge(service, image.id, action)
    clock.passes(days=1, seconds=-1)
    assert has_access(service, image)
    clock.passes(seconds=1)
    assert not has_access(service, image)


@every_action
def test_former_notice_that_is_nearly_over_does_not_pass_the_guard(service: Service, clock: Clock, action: Action) -> None:
    image = share(service)
    acknowledge(service, image.id, Action.UNSHARE)
    clock.passes(days=1, seconds=-1)
    endings.cancel_ending(service, OWNER, image.id, B)
    with pytest.raises(problems.ImageGuarded):
        ENDS[action](service, OWNER, image.id)
    acknowledge(service, image.id, action)
    clock.passes(days=1, seconds=-1)
    assert has_access(service, image)


@every_action
def test_share_that_expires_within_the_cool_down_is_kept_until_then(service: Service, clock: Clock, action: Action) -> None:
    image = offer(service, "B")
    expiring = TermsChange(given=frozenset({"expires_at"}), expires_at=clock.now + timedelta(hours=1))
    terms.change_terms(service, OWNER, image.id, B, expiring)
    members.update_member(service, MEMBER, image.id, B, "accepted")
    with pytest.raises(problems.ImageGuarded):
        ENDS[action](service, OWNER, image.id)
    acknowledge(service, image.id, action)
    clock.passes(minutes=59)
    assert has_access(service, image)
    clock.passes(minutes=1)
    assert not has_access(service, image)


@every_action
def test_notice_while_used_lasts_for_the_cool_down_although_the_uses_end(tmp_path: Path, clock: Clock, action: Action) -> None:
    """A member that boots a new server every hour uses the image although none of its servers lasts."""
    service = service_with(
        tmp_path, clock, "while-used", guard=GuardMode.BLOCK, while_used=True, while_used_grace=timedelta(hours=1)
    )
    image = share(service)
    with pytest.raises(problems.ImageGuarded):
        ENDS[action](service, OWNER, image.id)
    key = UseKey(image_id=image.id, project_id=B, kind=UseKind.SERVER, use_id="s")
    recorded_uses.record_use(service, MEMBER, key)
    ENDS[action](service, OWNER, image.id)
    recorded_uses.release_use(service, MEMBER, key)
    clock.passes(days=1, seconds=-1)
    assert has_access(service, image)
    clock.passes(seconds=1)
    assert not has_access(service, image)


def test_user_of_an_open_image_whose_offer_waits_has_no_share_yet(service: Service) -> None:
    """Otherwise an owner could offer the image to whoever uses it, and end its access as that of a waiting offer."""
    image = offer(service, "C")
    set_visibility(service, image.id, "community")
    note_use(service, image, C)
    for visibility in ("shared", "private"):
        with pytest.raises(problems.ImageGuarded) as failed:
            set_visibility(service, image.id, visibility)
        assert "projects without a share (1)" in failed.value.sentence()


def test_user_of_an_open_image_is_guarded_as_its_former_notice_ends(service: Service, clock: Clock) -> None:
    image = share(service)
    acknowledge(service, image.id, Action.UNSHARE)
    set_visibility(service, image.id, "community")
    note_use(service, image)
    set_visibility(service, image.id, "shared")
    set_visibility(service, image.id, "community")
    clock.passes(hours=23)
    for visibility in ("shared", "private"):
        with pytest.raises(problems.ImageGuarded):
            set_visibility(service, image.id, visibility)
