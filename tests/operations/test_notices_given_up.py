"""A notice that its member gives up, and an image that is offered anew while the notice of a former share runs."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from partage import problems
from partage.model.guard import GuardMode
from partage.model.ids import ImageID, ProjectID
from partage.model.member import MemberStatus
from partage.model.share import Direction, Share, ShareQuery
from partage.model.terms import Notice, Terms
from partage.operations import downloads, images, members
from partage.operations.service import Service
from partage.operations.sharing import answers, endings, guards, shares, terms
from tests.operations.services import OWNER, Clock, download
from tests.operations.sharing_worlds import ADMIN, DATA, MEMBER, change_notice, end, is_unknown, set_visibility, share
from tests.services import change_service

B = ProjectID("B")
Act = Callable[[Service, ImageID], None]


def reject_here(service: Service, image_id: ImageID) -> None:
    rejected = answers.answer_share(service, MEMBER, image_id, B, MemberStatus.REJECTED)
    assert (rejected.status, rejected.ending) == (MemberStatus.REJECTED, None)


def reject_among_many(service: Service, image_id: ImageID) -> None:
    (rejected,) = answers.answer_shares(service, MEMBER, [image_id], MemberStatus.REJECTED)
    assert isinstance(rejected, Share)


def reject_under_v2(service: Service, image_id: ImageID) -> None:
    assert members.update_member(service, MEMBER, image_id, B, "rejected").status is MemberStatus.REJECTED


def leave(service: Service, image_id: ImageID) -> None:
    answers.leave_share(service, MEMBER, image_id, B)


@pytest.mark.parametrize("give_up", [reject_here, reject_among_many, reject_under_v2, leave])
@pytest.mark.parametrize("road", ["remove", "private", "delete", "deactivate"])
def test_member_gives_up_its_notice_with_every_request(service: Service, road: str, give_up: Act) -> None:
    """Rejecting was refused in the sharing API, while it ended access under /v2."""
    image = share(service)
    end(service, image.id, road)
    give_up(service, image.id)
    with pytest.raises((problems.ImageNotFound, problems.ImageDeactivated)):
        downloads.open_image_data(service, MEMBER, image.id)
    if road == "deactivate" and give_up is not leave:  # it still is shared, as in Glance, without its data
        seen = shares.show_share(service, OWNER, image.id, B)
        assert (seen.status, seen.ending) == (MemberStatus.REJECTED, None)
    else:
        assert is_unknown(service, MEMBER, image.id)


def test_nobody_else_gives_up_a_notice(service: Service) -> None:
    image = share(service)
    endings.end_share(service, OWNER, image.id, B)
    with pytest.raises(problems.ShareConflict):
        answers.answer_share(service, ADMIN, image.id, B, MemberStatus.REJECTED)
    with pytest.raises(problems.PolicyForbids):
        answers.answer_share(service, OWNER, image.id, B, MemberStatus.REJECTED)
    assert download(service, image.id, MEMBER) == DATA


@pytest.mark.parametrize("guard", list(GuardMode))
def test_member_removed_from_an_open_image_has_the_later_notice(service: Service, clock: Clock, guard: GuardMode) -> None:
    """The notice of a former share ran, and hid that the member has accepted another one: it had no notice, and no guard."""
    image = share(change_service(service, default_terms=Terms(notice=Notice(timedelta(days=10)))))
    endings.end_share(service, OWNER, image.id, B)
    members.add_member(change_service(service, default_terms=Terms(notice=Notice(timedelta(days=5)))), OWNER, image.id, B)
    members.update_member(service, MEMBER, image.id, B, "accepted")
    set_visibility(service, image.id, "community")
    guards.switch_guard(service, OWNER, image.id, guard)
    clock.passes(days=8)
    if guard is GuardMode.BLOCK:
        with pytest.raises(problems.ImageGuarded):
            endings.end_share(service, OWNER, image.id, B)
        return
    endings.end_share(service, OWNER, image.id, B)
    set_visibility(service, image.id, "private")
    clock.passes(days=4)
    assert download(service, image.id, MEMBER) == DATA
    clock.passes(days=1)
    assert is_unknown(service, MEMBER, image.id)


@pytest.mark.parametrize("reject", [reject_among_many, reject_under_v2])
def test_rejecting_a_new_offer_leaves_the_former_notice(service: Service, reject: Act) -> None:
    image = share(service)
    endings.end_share(service, OWNER, image.id, B)
    members.add_member(service, OWNER, image.id, B)
    for _ in range(2):
        reject(service, image.id)
        assert download(service, image.id, MEMBER) == DATA
    assert shares.show_share(service, MEMBER, image.id, B).ending is not None


def accept_here(service: Service, image_id: ImageID) -> None:
    answers.answer_share(service, MEMBER, image_id, B, MemberStatus.ACCEPTED)


def accept_under_v2(service: Service, image_id: ImageID) -> None:
    members.update_member(service, MEMBER, image_id, B, "accepted")


ACCEPT = pytest.mark.parametrize("accept", [accept_here, accept_under_v2])


def offered_anew(service: Service, clock: Clock, notice: str) -> ImageID:
    """End a share with 30 days of notice, and offer the image again a day later."""
    image = share(service)
    endings.end_share(service, OWNER, image.id, B)
    clock.passes(days=1)
    members.add_member(service, OWNER, image.id, B)
    terms.change_terms(service, OWNER, image.id, B, change_notice(notice))
    return image.id


@ACCEPT
@pytest.mark.parametrize("notice", ["P0D", "P5D", "P90D", "forever"])
def test_share_accepted_anew_is_current(service: Service, clock: Clock, notice: str, accept: Act) -> None:
    """It showed the former ending for ever: its terms could not change, and the ending could not be cancelled."""
    image_id = offered_anew(service, clock, notice)
    accept(service, image_id)
    for caller in (OWNER, MEMBER):
        seen = shares.show_share(service, caller, image_id, B)
        assert (seen.status, str(seen.terms.notice), seen.ending) == (MemberStatus.ACCEPTED, notice, None)
    found = shares.list_shares(service, OWNER, ShareQuery(direction=Direction.OUT, limit=9)).shares
    assert [each.ending for each in found] == [None]
    with pytest.raises(problems.ShareConflict, match="not ending"):
        endings.cancel_ending(service, OWNER, image_id, B)
    assert str(terms.change_terms(service, OWNER, image_id, B, change_notice("forever")).terms.notice) == "forever"
    clock.passes(days=365)
    assert download(service, image_id, MEMBER) == DATA


@ACCEPT
@pytest.mark.parametrize("road", ["remove", "private", "delete", "deactivate"])
@pytest.mark.parametrize("terms_and_days", [("P0D", 28), ("P5D", 28), ("P90D", 90)])
def test_accepting_anew_never_shortens_the_former_notice(
    service: Service, clock: Clock, accept: Act, road: str, terms_and_days: tuple[str, int]
) -> None:
    notice, days = terms_and_days
    image_id = offered_anew(service, clock, notice)
    accept(service, image_id)
    clock.passes(days=1)
    end(service, image_id, road)
    ending = shares.show_share(service, MEMBER, image_id, B).ending
    assert ending is not None
    assert ending.ends_at == clock.now + timedelta(days=days)
    clock.passes(days=days, seconds=-1)
    assert download(service, image_id, MEMBER) == DATA
    clock.passes(seconds=1)
    with pytest.raises((problems.ImageNotFound, problems.ImageDeactivated)):
        downloads.open_image_data(service, MEMBER, image_id)


@pytest.mark.parametrize("cancel", ["remove", "private", "delete", "deactivate"])
def test_former_notice_outlives_the_cancelling_of_a_later_ending(service: Service, clock: Clock, cancel: str) -> None:
    image_id = offered_anew(service, clock, "P5D")
    accept_here(service, image_id)
    clock.passes(days=1)
    end(service, image_id, cancel)
    undo(service, image_id, cancel)
    seen = shares.show_share(service, OWNER, image_id, B)
    assert (seen.status, str(seen.terms.notice), seen.ending) == (MemberStatus.ACCEPTED, "P5D", None)
    end(service, image_id, "remove")
    ending = shares.show_share(service, OWNER, image_id, B).ending
    assert ending is not None
    assert ending.ends_at == clock.now + timedelta(days=28)


def undo(service: Service, image_id: ImageID, road: str) -> None:
    if road == "remove":
        endings.cancel_ending(service, OWNER, image_id, B)
    elif road == "private":
        set_visibility(service, image_id, "shared")
    elif road == "delete":
        endings.restore_image(service, OWNER, image_id)
    else:
        images.reactivate_image(service, OWNER, image_id)


@pytest.mark.parametrize("give_up", [reject_here, reject_under_v2, leave])
def test_rejecting_a_share_accepted_anew_gives_up_the_former_notice(service: Service, clock: Clock, give_up: Act) -> None:
    image_id = offered_anew(service, clock, "P5D")
    accept_here(service, image_id)
    give_up(service, image_id)
    if give_up is not leave:
        assert shares.show_share(service, OWNER, image_id, B).ending is None
        end(service, image_id, "remove")
    assert is_unknown(service, MEMBER, image_id)


def test_terms_of_a_new_offer_change_freely_beside_a_running_notice(service: Service, clock: Clock) -> None:
    """They were refused, because the former share is ending."""
    image_id = offered_anew(service, clock, "P90D")
    seen = terms.change_terms(service, OWNER, image_id, B, change_notice("P1D"))
    assert (str(seen.terms.notice), seen.status) == ("P1D", MemberStatus.PENDING)
    assert seen.ending is not None
    assert seen.ending.ends_at == clock.now + timedelta(days=29)


@pytest.mark.parametrize("undo_in", [("private", "deactivate"), ("deactivate", "private")])
def test_notice_of_a_removed_member_outlives_undoing_both_reasons(service: Service, clock: Clock, undo_in: tuple[str, str]) -> None:
    image = share(service)
    for road in ("deactivate", "private", "remove"):
        end(service, image.id, road)
    for road in undo_in:
        undo(service, image.id, road)
    assert download(service, image.id, MEMBER) == DATA
    clock.passes(days=30)
    assert is_unknown(service, MEMBER, image.id)


@pytest.mark.parametrize("visibility", ["community", "public"])
@pytest.mark.parametrize("road", ["private", "delete"])
def test_member_removed_from_an_open_image_has_its_notice(service: Service, clock: Clock, visibility: str, road: str) -> None:
    """The owner opened the image, removed the member, and closed the image: the promise was gone."""
    image = share(service)
    set_visibility(service, image.id, visibility, ADMIN if visibility == "public" else OWNER)
    endings.end_share(service, OWNER, image.id, B)
    end(service, image.id, road)
    clock.passes(days=29)
    assert download(service, image.id, MEMBER) == DATA
    clock.passes(days=2)
    assert is_unknown(service, MEMBER, image.id)
