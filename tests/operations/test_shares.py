"""The sharing API's operations below HTTP: what each side sees of a share, answers, terms, endings and their cancelling."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.model import patch
from partage.model.caller import Caller
from partage.model.document import KnownFormats
from partage.model.ending import EndReason
from partage.model.ids import ImageID, ProjectID
from partage.model.image import ImageStatus
from partage.model.limits import Limits
from partage.model.member import MemberStatus
from partage.model.share import Direction, Share, SharePosition, ShareQuery
from partage.model.terms import Notice, NoticeBounds, Terms, TermsChange
from partage.operations import downloads, images, members, promises
from partage.operations.service import Service
from partage.operations.sharing import answers, endings, shares, terms
from tests.operations.services import OWNER, Clock, download, image_with
from tests.operations.sharing_worlds import (
    ADMIN,
    DATA,
    MEMBER,
    OTHER,
    change_notice,
    end,
    is_unknown,
    offer,
    service_with,
    set_visibility,
    share,
)
from tests.services import change_service

A, B, C = ProjectID("A"), ProjectID("B"), ProjectID("C")
MONTH, YEAR = Notice(timedelta(days=30)), Notice(timedelta(days=365))


def listed(service: Service, caller: Caller, direction: Direction, **query: object) -> list[tuple[ImageID, ProjectID]]:
    found = shares.list_shares(service, caller, ShareQuery(direction=direction, limit=100, **query))  # type: ignore[arg-type]
    return [(each.image.id, each.member_id) for each in found.shares]


def inbox(service: Service, caller: Caller) -> list[tuple[ImageID, ProjectID]]:
    return listed(service, caller, Direction.IN)


def outbox(service: Service, caller: Caller) -> list[tuple[ImageID, ProjectID]]:
    return listed(service, caller, Direction.OUT)


def test_share_made_under_v2_is_in_the_inbox_and_the_outbox(service: Service) -> None:
    image = offer(service, "B", "C")
    assert inbox(service, MEMBER) == [(image.id, B)]
    assert inbox(service, OTHER) == [(image.id, C)]
    assert outbox(service, OWNER) == [(image.id, C), (image.id, B)]
    assert inbox(service, OWNER) == outbox(service, MEMBER) == []
    shown = shares.show_share(service, MEMBER, image.id, B)
    assert shown == shares.show_share(service, OWNER, image.id, B)
    assert (shown.status, shown.terms.notice, shown.ending) == (MemberStatus.PENDING, MONTH, None)


def test_member_never_sees_the_share_of_another_member(service: Service) -> None:
    image = offer(service, "B", "C")
    assert is_unknown(service, OTHER, image.id)
    assert shares.show_share(service, ADMIN, image.id, B).member_id == B


def test_membership_of_an_image_that_is_not_shared_is_no_share(service: Service) -> None:
    image = offer(service, "B")
    set_visibility(service, image.id, "private")
    assert is_unknown(service, OWNER, image.id)
    assert is_unknown(service, MEMBER, image.id)


def test_expired_share_is_no_share(service: Service, clock: Clock) -> None:
    image = offer(service, "B")
    terms.change_terms(service, OWNER, image.id, B, expiring(clock, days=1))
    clock.passes(days=1)
    assert is_unknown(service, OWNER, image.id)
    assert is_unknown(service, MEMBER, image.id)


def expiring(clock: Clock, **span: float) -> TermsChange:
    return TermsChange(given=frozenset({"expires_at"}), expires_at=clock.now + timedelta(**span))


def test_pages_go_on_after_the_last_share_was_removed(service: Service) -> None:
    made = [offer(service, "B").id for _ in range(3)]
    first = shares.list_shares(service, MEMBER, ShareQuery(direction=Direction.IN, limit=2))
    assert first.has_more
    images.delete_image(service, OWNER, first.shares[-1].image.id)
    after = SharePosition.after(first.shares[-1])
    second = shares.list_shares(service, MEMBER, ShareQuery(direction=Direction.IN, limit=2, after=after))
    assert not second.has_more
    assert {each.image.id for each in (*first.shares, *second.shares)} == set(made)


def test_image_that_a_rule_hides_is_in_no_list_of_shares(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('"get_image": "project_id:%(owner)s or not \'hidden\':%(name)s"\n')
    authority = type(service.authority)(file)
    service = replace(service, authority=authority)
    shown, hidden = offer(service, "B"), offer(service, "B")
    with service.database.write() as tx:
        tx.exec_driver_sql("UPDATE images SET name = 'hidden' WHERE id = ?", (hidden.id,))
    found = shares.list_shares(service, MEMBER, ShareQuery(direction=Direction.IN, limit=1))
    assert [each.image.id for each in found.shares] == [shown.id]
    assert not found.has_more
    assert is_unknown(service, MEMBER, hidden.id)


def test_accepting_twice_is_the_same_as_once(service: Service, clock: Clock) -> None:
    image = offer(service, "B")
    first = answers.answer_share(service, MEMBER, image.id, B, MemberStatus.ACCEPTED)
    clock.passes(hours=1)
    second = answers.answer_share(service, MEMBER, image.id, B, MemberStatus.ACCEPTED)
    assert first == second == shares.show_share(service, OWNER, image.id, B)
    assert first.answered_at == clock.now - timedelta(hours=1)
    assert answers.answer_share(service, MEMBER, image.id, B, MemberStatus.REJECTED).answered_at == clock.now


@pytest.mark.parametrize("act", [answers.answer_share, answers.leave_share])
def test_owner_and_others_answer_for_nobody(service: Service, act: Callable[..., object]) -> None:
    image = offer(service, "B")
    more = (MemberStatus.ACCEPTED,) if act is answers.answer_share else ()
    with pytest.raises(problems.PolicyForbids):
        act(service, OWNER, image.id, B, *more)
    with pytest.raises(problems.ShareNotFound):
        act(service, OTHER, image.id, B, *more)


def test_answering_many_tells_what_became_of_each(service: Service) -> None:
    first, second, foreign = offer(service, "B"), offer(service, "B"), offer(service, "C")
    missing = ImageID("00000000-0000-4000-8000-000000000000")
    asked = [second.id, foreign.id, missing, first.id]
    outcomes = answers.answer_shares(service, MEMBER, asked, MemberStatus.ACCEPTED)
    assert [isinstance(each, Share) for each in outcomes] == [True, False, False, True]
    assert str(outcomes[1]).replace(foreign.id, missing) == str(outcomes[2])
    accepted = listed(service, MEMBER, Direction.IN, status=MemberStatus.ACCEPTED)
    assert sorted(accepted) == sorted([(second.id, B), (first.id, B)])


def test_member_can_always_leave(service: Service) -> None:
    for answer in ("pending", "accepted", "rejected"):
        image = share(service, answer)
        answers.leave_share(service, MEMBER, image.id, B)
        assert is_unknown(service, OWNER, image.id)
        with pytest.raises(problems.ImageNotFound):
            images.show_image(service, MEMBER, image.id)


@pytest.mark.parametrize("road", ["remove", "private", "delete", "deactivate"])
def test_member_can_leave_while_its_notice_runs(service: Service, road: str) -> None:
    image = share(service)
    end(service, image.id, road)
    answers.leave_share(service, MEMBER, image.id, B)
    with pytest.raises(problems.ImageNotFound):
        downloads.open_image_data(service, MEMBER, image.id)
    assert is_unknown(service, MEMBER, image.id)
    assert promises.remove_expired(service) == (1 if road == "delete" else 0)


@pytest.mark.parametrize(
    ("road", "reason"),
    [
        ("remove", EndReason.REMOVED),
        ("private", EndReason.PRIVATE),
        ("delete", EndReason.DELETED),
        ("deactivate", EndReason.DEACTIVATED),
    ],
)
def test_both_sides_see_when_and_why_a_share_ends(service: Service, clock: Clock, road: str, reason: EndReason) -> None:
    image = share(service)
    before = shares.show_share(service, MEMBER, image.id, B)
    end(service, image.id, road)
    for caller in (OWNER, MEMBER):
        seen = shares.show_share(service, caller, image.id, B)
        assert seen.ending is not None
        assert (seen.ending.reason, seen.ending.ends_at) == (reason, clock.now + timedelta(days=30))
        assert (seen.terms, seen.offered_at, seen.answered_at) == (before.terms, before.offered_at, before.answered_at)
        assert seen.owner_id == A
    assert inbox(service, MEMBER) == outbox(service, OWNER) == [(image.id, B)]
    clock.passes(days=30)
    if road != "deactivate":  # a deactivated image still is shared, and its data is withheld
        assert is_unknown(service, OWNER, image.id)
        assert is_unknown(service, MEMBER, image.id)


def test_member_sees_the_image_as_it_was_shared_while_notice_runs(service: Service) -> None:
    image = share(service)
    images.deactivate_image(service, OWNER, image.id)
    seen = shares.show_share(service, MEMBER, image.id, B)
    assert seen.visible_image(B).status is ImageStatus.ACTIVE
    assert seen.visible_image(A).status is ImageStatus.DEACTIVATED


@pytest.mark.parametrize(("road", "reason"), [("private", EndReason.PRIVATE), ("deactivate", EndReason.DEACTIVATED)])
def test_reason_is_deleted_until_the_image_is_restored(service: Service, clock: Clock, road: str, reason: EndReason) -> None:
    """It stayed private or deactivated: the owner was told to share or reactivate an image that it no longer had."""
    image = share(service)
    end(service, image.id, road)
    before = shares.show_share(service, MEMBER, image.id, B).ending
    assert before is not None
    clock.passes(days=1)
    end(service, image.id, "delete")
    for caller in (OWNER, MEMBER):
        assert shares.show_share(service, caller, image.id, B).ending == replace(before, reason=EndReason.DELETED)
    with pytest.raises(problems.ShareConflict, match="restore it before"):
        endings.cancel_ending(service, OWNER, image.id, B)
    endings.restore_image(service, OWNER, image.id)
    assert shares.show_share(service, OWNER, image.id, B).ending == before
    if reason is EndReason.PRIVATE:
        set_visibility(service, image.id, "shared")
    else:
        images.reactivate_image(service, OWNER, image.id)
    assert shares.show_share(service, MEMBER, image.id, B).ending is None


def test_reason_stays_removed_after_the_image_was_deleted(service: Service) -> None:
    image = offer(service, "B", "C")
    for caller, project in ((MEMBER, B), (OTHER, C)):
        answers.answer_share(service, caller, image.id, project, MemberStatus.ACCEPTED)
    end(service, image.id, "remove")
    for road in ("private", "delete"):
        end(service, image.id, road)
    endings_of = [shares.show_share(service, OWNER, image.id, project).ending for project in (B, C)]
    assert [each and each.reason for each in endings_of] == [EndReason.REMOVED, EndReason.DELETED]


@pytest.mark.parametrize("road", ["deactivate", "private"])
def test_former_owner_sees_a_retained_image_as_it_left_it(service: Service, road: str) -> None:
    image = share(service)
    for each in (road, "delete"):
        end(service, image.id, each)
    seen = shares.show_share(service, OWNER, image.id, B).visible_image(A)
    assert seen.status is (ImageStatus.DEACTIVATED if road == "deactivate" else ImageStatus.ACTIVE)
    assert shares.show_share(service, MEMBER, image.id, B).visible_image(B).status is ImageStatus.ACTIVE


def test_share_without_notice_ends_at_once(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, "P0D")
    image = share(service)
    assert endings.end_share(service, OWNER, image.id, B) is None
    assert is_unknown(service, OWNER, image.id)


def test_ending_a_share_twice_keeps_the_first_ending(service: Service, clock: Clock) -> None:
    image = share(service)
    first = endings.end_share(service, OWNER, image.id, B)
    clock.passes(days=3)
    assert endings.end_share(service, OWNER, image.id, B) == first
    with pytest.raises(problems.PolicyForbids):
        endings.end_share(service, MEMBER, image.id, B)


def test_share_ended_on_a_private_image_does_not_come_back(service: Service, clock: Clock) -> None:
    image = share(service)
    set_visibility(service, image.id, "private")
    assert endings.end_share(service, OWNER, image.id, B) is not None
    set_visibility(service, image.id, "shared")
    assert download(service, image.id, MEMBER) == DATA
    clock.passes(days=30)
    assert is_unknown(service, MEMBER, image.id)


def test_administrator_ends_a_share_against_its_promise(service: Service) -> None:
    for road in ("none", "remove", "private", "delete"):
        image = share(service)
        if road != "none":
            end(service, image.id, road)
        assert endings.end_share(service, ADMIN, image.id, B) is None
        with pytest.raises(problems.ImageNotFound):
            images.show_image(service, MEMBER, image.id)
        ending = shares.show_share(service, MEMBER, image.id, B).ending
        assert ending is not None
        assert ending.reason is EndReason.TAKEN_DOWN


def test_cancelled_ending_leaves_the_share_as_it_was(service: Service, clock: Clock) -> None:
    image = share(service)
    before = shares.show_share(service, OWNER, image.id, B)
    endings.end_share(service, OWNER, image.id, B)
    clock.passes(days=29)
    after = endings.cancel_ending(service, OWNER, image.id, B)
    assert replace(after, updated_at=before.updated_at) == before
    clock.passes(days=365)
    assert download(service, image.id, MEMBER) == DATA


@pytest.mark.parametrize(
    ("road", "words"),
    [("none", "not ending"), ("private", "make the image shared"), ("deactivate", "reactivate"), ("delete", "restore it before")],
)
def test_other_endings_are_cancelled_by_undoing_what_began_them(service: Service, road: str, words: str) -> None:
    image = share(service)
    if road != "none":
        end(service, image.id, road)
    with pytest.raises(problems.ShareConflict, match=words):
        endings.cancel_ending(service, OWNER, image.id, B)


@pytest.mark.parametrize(
    ("then", "words"), [("offer", "anew"), ("private", "private"), ("deactivate", "deactivated"), ("delete", "restore it before")]
)
def test_ending_is_not_cancelled_where_that_would_take_access(service: Service, then: str, words: str) -> None:
    image = share(service)
    endings.end_share(service, OWNER, image.id, B)
    if then == "offer":
        members.add_member(service, OWNER, image.id, B)
    else:
        end(service, image.id, then)
    with pytest.raises(problems.ShareConflict, match=words):
        endings.cancel_ending(service, OWNER, image.id, B)
    assert download(service, image.id, MEMBER) == DATA


def test_ending_cannot_be_cancelled_after_it_has_happened(service: Service, clock: Clock) -> None:
    image = share(service)
    endings.end_share(service, OWNER, image.id, B)
    clock.passes(days=30)
    with pytest.raises(problems.ShareNotFound):
        endings.cancel_ending(service, OWNER, image.id, B)


def test_cancelling_keeps_to_the_limit_of_members(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, limits=Limits(members=1))
    image = share(service)
    endings.end_share(service, OWNER, image.id, B)
    members.add_member(service, OWNER, image.id, C)
    with pytest.raises(problems.TooMany):
        endings.cancel_ending(service, OWNER, image.id, B)


def test_new_offer_beside_a_running_notice_is_one_share(service: Service) -> None:
    image = share(service)
    endings.end_share(service, OWNER, image.id, B)
    members.add_member(service, OWNER, image.id, B)
    assert inbox(service, MEMBER) == outbox(service, OWNER) == [(image.id, B)]
    seen = shares.show_share(service, MEMBER, image.id, B)
    assert (seen.status, seen.ending is not None) == (MemberStatus.PENDING, True)
    assert answers.answer_share(service, MEMBER, image.id, B, MemberStatus.ACCEPTED).status is MemberStatus.ACCEPTED


@pytest.mark.parametrize("road", ["remove", "private", "deactivate"])
def test_ending_goes_when_its_member_gets_the_image(service: Service, road: str) -> None:
    """It kept the image for its own owner: deleted, it was retained for the project that had deleted it."""
    image = offer(service, "B", "C")
    for caller, project in ((MEMBER, B), (OTHER, C)):
        answers.answer_share(service, caller, image.id, project, MemberStatus.ACCEPTED)
    end(service, image.id, road)
    document = [{"op": "replace", "path": "/owner", "value": "B"}]
    images.update_image(service, ADMIN, image.id, patch.parse(document, version="2.1", known=KnownFormats()))
    assert is_unknown(service, MEMBER, image.id)
    assert outbox(service, MEMBER) == [(image.id, C)]
    assert images.show_image(service, MEMBER, image.id).owner == "B"
    endings.end_share(service, MEMBER, image.id, C)
    answers.leave_share(service, OTHER, image.id, C)
    images.delete_image(service, MEMBER, image.id)
    for caller in (OWNER, MEMBER, ADMIN):
        with pytest.raises(problems.ImageNotFound):
            endings.restore_image(service, caller, image.id)


def test_ended_share_has_no_offer_to_accept(service: Service) -> None:
    image = share(service)
    endings.end_share(service, OWNER, image.id, B)
    with pytest.raises(problems.ShareConflict, match="no offer to accept"):
        answers.answer_share(service, MEMBER, image.id, B, MemberStatus.ACCEPTED)
    assert download(service, image.id, MEMBER) == DATA


def test_former_owner_takes_a_retained_image_back(service: Service, clock: Clock) -> None:
    image = share(service)
    before = shares.show_share(service, OWNER, image.id, B)
    images.delete_image(service, OWNER, image.id)
    restored = endings.restore_image(service, OWNER, image.id)
    assert replace(restored, updated_at=image.updated_at) == image
    assert shares.show_share(service, OWNER, image.id, B) == before
    clock.passes(days=365)
    assert download(service, image.id, MEMBER) == DATA


@pytest.mark.parametrize("caller", [MEMBER, OTHER])
def test_nobody_else_takes_a_retained_image_back(service: Service, caller: Caller) -> None:
    image = share(service)
    for _ in range(2):  # an image that is there, then a retained one: both as if there were none
        with pytest.raises(problems.ImageNotFound, match=image.id):
            endings.restore_image(service, caller, image.id)
        if caller is MEMBER:
            break
    images.delete_image(service, OWNER, image.id)
    with pytest.raises(problems.ImageNotFound, match=image.id):
        endings.restore_image(service, caller, image.id)


def test_retained_image_is_not_restored_after_the_last_notice(service: Service, clock: Clock) -> None:
    image = share(service)
    images.delete_image(service, OWNER, image.id)
    clock.passes(days=30)
    with pytest.raises(problems.ImageNotFound):
        endings.restore_image(service, OWNER, image.id)


def test_restored_image_needs_room_in_the_quota(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, limits=Limits(storage_per_project_bytes=len(DATA) + 10))
    image = share(service)
    images.delete_image(service, OWNER, image.id)
    other = image_with(service, DATA)
    with pytest.raises(problems.QuotaExceeded):
        endings.restore_image(service, OWNER, image.id)
    images.delete_image(service, OWNER, other.id)
    assert endings.restore_image(service, OWNER, image.id).id == image.id


def test_accepted_terms_may_only_improve_and_pending_terms_may_change(service: Service, clock: Clock) -> None:
    image = offer(service, "B")
    assert terms.change_terms(service, OWNER, image.id, B, change_notice("P1D")).terms.notice == Notice(timedelta(days=1))
    answers.answer_share(service, MEMBER, image.id, B, MemberStatus.ACCEPTED)
    for better in ("P2D", "P2D", "forever"):
        assert str(terms.change_terms(service, OWNER, image.id, B, change_notice(better)).terms.notice) == better
    with pytest.raises(problems.TermsRefused, match="not shortened"):
        terms.change_terms(service, OWNER, image.id, B, change_notice("P9999D"))
    with pytest.raises(problems.TermsRefused, match="not brought forward"):
        terms.change_terms(service, OWNER, image.id, B, expiring(clock, days=1))
    assert str(shares.show_share(service, MEMBER, image.id, B).terms.notice) == "forever"


def test_accepted_expiry_is_put_off_or_taken_away(service: Service, clock: Clock) -> None:
    image = offer(service, "B")
    terms.change_terms(service, OWNER, image.id, B, expiring(clock, days=9))
    answers.answer_share(service, MEMBER, image.id, B, MemberStatus.ACCEPTED)
    with pytest.raises(problems.TermsRefused):
        terms.change_terms(service, OWNER, image.id, B, expiring(clock, days=8))
    terms.change_terms(service, OWNER, image.id, B, expiring(clock, days=10))
    never = TermsChange(given=frozenset({"expires_at"}))
    assert terms.change_terms(service, OWNER, image.id, B, never).terms.expires_at is None
    with pytest.raises(problems.TermsRefused, match="past"):
        terms.change_terms(service, OWNER, image.id, B, expiring(clock, days=-1))


def test_message_may_change_at_any_time(service: Service) -> None:
    image = share(service)
    change = TermsChange(given=frozenset({"message"}), message="the new kernel")
    changed = terms.change_terms(service, OWNER, image.id, B, change)
    assert changed.terms == Terms(notice=MONTH, message="the new kernel")


def test_change_that_changes_nothing_leaves_the_share(service: Service, clock: Clock) -> None:
    image = share(service)
    before = shares.show_share(service, OWNER, image.id, B)
    clock.passes(hours=1)
    for change in (TermsChange(), change_notice("P30D")):
        assert terms.change_terms(service, OWNER, image.id, B, change) == before
    assert shares.show_share(service, OWNER, image.id, B) == before


def test_terms_of_an_ending_share_are_settled(service: Service) -> None:
    image = share(service)
    endings.end_share(service, OWNER, image.id, B)
    with pytest.raises(problems.ShareConflict):
        terms.change_terms(service, OWNER, image.id, B, change_notice("forever"))


def test_member_changes_no_terms(service: Service) -> None:
    image = share(service)
    with pytest.raises(problems.PolicyForbids):
        terms.change_terms(service, MEMBER, image.id, B, change_notice("forever"))


def test_operator_bounds_the_notice_of_a_cloud_and_of_a_domain(service: Service) -> None:
    service = change_service(
        service,
        notice_bounds=NoticeBounds(least=Notice(timedelta(days=7)), longest=YEAR),
        notice_bounds_of_domains={"d1": NoticeBounds(default=YEAR, longest=Notice(None))},
    )
    image = offer(service, "B")
    for refused in ("P1D", "P366D", "forever"):
        with pytest.raises(problems.TermsRefused, match="this cloud allows"):
            terms.change_terms(service, OWNER, image.id, B, change_notice(refused))
    assert terms.change_terms(service, OWNER, image.id, B, change_notice("P7D")).terms.notice == Notice(timedelta(days=7))
    in_domain = replace(OWNER, project_domain_id="d1")
    assert str(terms.change_terms(service, in_domain, image.id, B, change_notice("forever")).terms.notice) == "forever"
    assert members.add_member(service, in_domain, image.id, C).terms.notice == YEAR


def test_terms_outside_later_bounds_stay_until_they_are_changed(service: Service) -> None:
    image = share(service)
    service = change_service(service, notice_bounds=NoticeBounds(longest=Notice(timedelta(days=1))))
    change = TermsChange(given=frozenset({"message", "notice"}), notice=MONTH, message="m")
    assert terms.change_terms(service, OWNER, image.id, B, change).terms.message == "m"
