"""Offers of many images to many projects: an outcome for each pair, all or nothing, and each request once."""

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, Visibility
from partage.model.limits import Limits
from partage.model.member import MemberStatus
from partage.model.offer import OfferOutcome, OfferRequest, RequestKey
from partage.model.terms import Notice, NoticeBounds, TermsChange
from partage.operations import images, members, promises
from partage.operations.service import Service
from partage.operations.sharing import answers, endings, offers, shares
from partage.records import idempotency
from tests.operations.services import OWNER, Clock, download, image_with, queued_image
from tests.operations.sharing_worlds import DATA, MEMBER, OTHER, change_notice, service_with, set_visibility, share
from tests.services import change_service

B, C = ProjectID("B"), ProjectID("C")
MISSING = ImageID("00000000-0000-4000-8000-000000000000")


def render(outcomes: Sequence[OfferOutcome]) -> str:
    return json.dumps([[each.image_id, each.project, type(each.problem).__name__] for each in outcomes])


def offer(
    service: Service,
    image_ids: Sequence[ImageID],
    projects: Sequence[str],
    *,
    caller: Caller = OWNER,
    key: RequestKey | None = None,
    **more: object,
) -> list[list[str]]:
    wanted = {"terms": TermsChange(), **more}
    request = OfferRequest(image_ids=tuple(image_ids), projects=tuple(projects), **wanted)  # type: ignore[arg-type]
    answer: list[list[str]] = json.loads(offers.offer_shares(service, caller, request, key=key, render=render))
    return answer


def offered(service: Service, image: Image) -> list[ProjectID]:
    return [each.member_id for each in members.list_members(service, OWNER, image.id)]


def test_each_image_is_offered_to_each_project_in_one_request(service: Service) -> None:
    first, second = queued_image(service), queued_image(service)
    outcomes = offer(service, [second.id, first.id], ["C", "B"])
    assert outcomes == [[each.id, project, "NoneType"] for each in (second, first) for project in ("C", "B")]
    assert sorted(offered(service, first)) == sorted(offered(service, second)) == [B, C]
    assert shares.show_share(service, MEMBER, first.id, B).status is MemberStatus.PENDING


def test_each_pair_has_its_own_outcome(service: Service) -> None:
    image, private = queued_image(service), queued_image(service)
    set_visibility(service, private.id, "private")
    members.add_member(service, OWNER, image.id, B)
    outcomes = offer(service, [image.id, MISSING, private.id], ["B", "A", "C"])
    names = {(each[0], each[1]): each[2] for each in outcomes}
    assert names[image.id, "B"] == "MemberExists"
    assert names[image.id, "A"] == "RecipientRefused"
    assert names[image.id, "C"] == "NoneType"
    assert {names[MISSING, each] for each in "ABC"} == {"ImageNotFound"}
    assert {names[private.id, each] for each in "ABC"} == {"ShareConflict"}


def test_invisible_image_has_the_outcome_of_one_that_does_not_exist(service: Service) -> None:
    hidden = queued_image(service, OTHER)
    found: list[str] = []
    request = OfferRequest(image_ids=(hidden.id, MISSING), projects=("B",), terms=TermsChange())

    def note(outcomes: Sequence[OfferOutcome]) -> str:
        found.extend(str(each.problem).replace(each.image_id, "") for each in outcomes)
        return ""

    offers.offer_shares(service, OWNER, request, key=None, render=note)
    assert found[0] == found[1]


def test_member_offers_no_image_of_another_project(service: Service) -> None:
    image = share(service)
    assert offer(service, [image.id], ["C"], caller=MEMBER) == [[image.id, "C", "PolicyForbids"]]
    with pytest.raises(problems.PolicyForbids):
        offer(service, [image.id], ["C"], caller=replace(OWNER, roles=frozenset({"reader"})))


def test_private_image_becomes_shared_when_it_is_asked_to(service: Service) -> None:
    image = queued_image(service)
    set_visibility(service, image.id, "private")
    assert offer(service, [image.id], ["B"], make_shared=True) == [[image.id, "B", "NoneType"]]
    assert images.show_image(service, MEMBER, image.id).visibility is Visibility.SHARED


def test_private_image_stays_private_when_no_project_can_have_it(service: Service) -> None:
    image = queued_image(service)
    set_visibility(service, image.id, "private")
    assert offer(service, [image.id], ["A"], make_shared=True) == [[image.id, "A", "RecipientRefused"]]
    assert images.show_image(service, OWNER, image.id).visibility is Visibility.PRIVATE


def test_sharing_a_private_image_by_an_offer_cancels_its_endings(service: Service, clock: Clock) -> None:
    image = share(service)
    set_visibility(service, image.id, "private")
    offer(service, [image.id], ["C"], make_shared=True)
    assert shares.show_share(service, MEMBER, image.id, B).ending is None
    clock.passes(days=60)
    assert download(service, image.id, MEMBER) == DATA


@pytest.mark.parametrize("days", [0, 30])
def test_member_of_a_private_image_is_offered_it_anew(service: Service, clock: Clock, days: int) -> None:
    """It was refused as a member, although the membership of a private image is no share."""
    image = share(service)
    set_visibility(service, image.id, "private")
    clock.passes(days=days)
    assert offer(service, [image.id], ["B", "B"], make_shared=True, terms=change_notice("P5D")) == [[image.id, "B", "NoneType"]] * 2
    seen = shares.show_share(service, MEMBER, image.id, B)
    assert (seen.status, str(seen.terms.notice), seen.offered_at) == (MemberStatus.PENDING, "P5D", clock.now)
    answers.answer_share(service, MEMBER, image.id, B, MemberStatus.ACCEPTED)
    assert shares.show_share(service, OWNER, image.id, B).ending is None
    set_visibility(service, image.id, "private")
    ending = shares.show_share(service, OWNER, image.id, B).ending
    assert ending is not None
    assert ending.ends_at == clock.now + timedelta(days=5 if days else 30)


def test_offering_a_private_image_anew_takes_no_running_notice(service: Service, clock: Clock) -> None:
    image = share(service)
    members.add_member(service, OWNER, image.id, C)
    answers.answer_share(service, OTHER, image.id, C, MemberStatus.ACCEPTED)
    set_visibility(service, image.id, "private")
    offer(service, [image.id], ["B"], make_shared=True)
    endings.end_share(service, OWNER, image.id, B)
    assert shares.show_share(service, OTHER, image.id, C).ending is None
    clock.passes(days=30, seconds=-1)
    assert download(service, image.id, MEMBER) == DATA
    clock.passes(seconds=1)
    with pytest.raises(problems.ImageNotFound):
        images.show_image(service, MEMBER, image.id)


def test_offers_of_a_private_image_count_each_member_once(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, limits=Limits(members=2))
    image = share(service)
    set_visibility(service, image.id, "private")
    outcomes = offer(service, [image.id], ["B", "C", "D"], make_shared=True)
    assert [each[2] for each in outcomes] == ["NoneType", "NoneType", "TooMany"]


@pytest.mark.parametrize("visibility", ["private", "community"])
def test_owner_removes_a_membership_that_is_no_share(service: Service, clock: Clock, visibility: str) -> None:
    """It came back with the next change of visibility, and neither API removed it."""
    image = share(service)
    set_visibility(service, image.id, visibility)
    clock.passes(days=30)
    for caller in (MEMBER, OTHER):
        with pytest.raises(problems.ShareNotFound) as caught:
            endings.end_share(service, caller, image.id, B)
        with pytest.raises(problems.ShareNotFound) as never:
            endings.end_share(service, caller, MISSING, B)
        assert str(caught.value).replace(image.id, MISSING) == str(never.value)
    with pytest.raises(problems.PolicyForbids):
        endings.end_share(service, replace(OWNER, roles=frozenset({"reader"})), image.id, B)
    ended = endings.end_share(service, OWNER, image.id, B)
    if visibility == "community":  # the image may be closed, so that the notice begins
        assert ended is not None
        assert ended.ending is not None
        assert endings.end_share(service, OWNER, image.id, B) == ended
        clock.passes(days=30)
    else:
        assert ended is None
    with pytest.raises(problems.ShareNotFound):
        endings.end_share(service, OWNER, image.id, B)
    set_visibility(service, image.id, "shared")
    assert offered(service, image) == []


@pytest.mark.parametrize("visibility", ["community"])
def test_image_that_everybody_can_use_is_not_offered(service: Service, visibility: str) -> None:
    image = queued_image(service)
    set_visibility(service, image.id, visibility)
    assert offer(service, [image.id], ["B"], make_shared=True) == [[image.id, "B", "ShareConflict"]]


def test_all_or_nothing_offers_nothing_when_one_pair_is_refused(service: Service) -> None:
    first, second = queued_image(service), queued_image(service)
    set_visibility(service, second.id, "private")
    with pytest.raises(problems.OffersRefused) as caught:
        offer(service, [first.id, second.id], ["B", "A"], make_shared=True, all_or_nothing=True)
    assert len(caught.value.outcomes) == 4
    assert offered(service, first) == []
    assert images.show_image(service, OWNER, second.id).visibility is Visibility.PRIVATE
    offer(service, [first.id, second.id], ["B"], make_shared=True, all_or_nothing=True)
    assert offered(service, first) == offered(service, second) == [B]


def test_offer_has_the_terms_that_it_names(service: Service, clock: Clock) -> None:
    image = queued_image(service)
    year = Notice(timedelta(days=365))
    given = TermsChange(
        given=frozenset({"notice", "expires_at", "message"}),
        notice=year,
        expires_at=clock.now + timedelta(days=9),
        message="for the migration",
    )
    offer(service, [image.id], ["B"], terms=given)
    terms = shares.show_share(service, MEMBER, image.id, B).terms
    assert (terms.notice, terms.expires_at, terms.message) == (year, given.expires_at, "for the migration")


def test_terms_that_the_operator_does_not_allow_refuse_the_request(service: Service, clock: Clock) -> None:
    image = queued_image(service)
    bounded = change_service(service, notice_bounds=NoticeBounds(longest=Notice(timedelta(days=60))))
    with pytest.raises(problems.TermsRefused, match="longer than this cloud allows"):
        offer(bounded, [image.id], ["B"], terms=TermsChange(given=frozenset({"notice"}), notice=Notice(None)))
    with pytest.raises(problems.TermsRefused, match="past"):
        offer(service, [image.id], ["B"], terms=TermsChange(given=frozenset({"expires_at"}), expires_at=clock.now))
    assert offered(service, image) == []


def test_request_of_more_than_a_thousand_pairs_is_refused(service: Service) -> None:
    image_ids = [ImageID(str(number)) for number in range(100)]
    projects = [str(number) for number in range(11)]
    with pytest.raises(problems.TooMany, match="1000 pairs"):
        offer(service, image_ids, projects)
    assert len(offer(service, image_ids, projects[:10])) == 1000


def test_offers_keep_to_the_limit_of_members(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, limits=Limits(members=2))
    image = queued_image(service)
    assert [each[2] for each in offer(service, [image.id], ["B", "C", "D"])] == ["NoneType", "NoneType", "TooMany"]


def test_image_can_be_offered_anew_after_a_share_has_expired(service: Service, clock: Clock) -> None:
    image = queued_image(service)
    brief = TermsChange(given=frozenset({"expires_at"}), expires_at=clock.now + timedelta(hours=1))
    offer(service, [image.id], ["B"], terms=brief)
    clock.passes(hours=1)
    assert offer(service, [image.id], ["B"]) == [[image.id, "B", "NoneType"]]
    assert shares.show_share(service, MEMBER, image.id, B).offered_at == clock.now


def test_project_named_twice_is_offered_the_image_once(service: Service) -> None:
    image = queued_image(service)
    assert [each[2] for each in offer(service, [image.id, image.id], ["B", "B"])] == ["NoneType"] * 4
    assert offered(service, image) == [B]


def test_repeated_request_is_carried_out_once_and_answered_alike(service: Service, clock: Clock) -> None:
    image = queued_image(service)
    key = RequestKey("k1", "digest")
    first = offer(service, [image.id], ["B"], key=key)
    answers.leave_share(service, MEMBER, image.id, B)
    clock.passes(hours=23)
    assert offer(service, [image.id], ["B"], key=key) == first
    assert offered(service, image) == []


def test_key_of_another_request_is_refused(service: Service) -> None:
    image = queued_image(service)
    offer(service, [image.id], ["B"], key=RequestKey("k1", "digest"))
    with pytest.raises(problems.RequestRepeated):
        offer(service, [image.id], ["C"], key=RequestKey("k1", "another"))
    assert offered(service, image) == [B]


def test_keys_are_those_of_one_project(service: Service) -> None:
    mine, theirs = queued_image(service), queued_image(service, OTHER)
    offer(service, [mine.id], ["B"], key=RequestKey("k1", "digest"))
    assert offer(service, [theirs.id], ["B"], caller=OTHER, key=RequestKey("k1", "other")) == [[theirs.id, "B", "NoneType"]]


def test_refusal_of_all_is_repeated_with_its_key(service: Service) -> None:
    """The request was carried out when it was repeated: a client that had lost the refusal did not learn of it."""
    image = queued_image(service)
    set_visibility(service, image.id, "private")
    key, refusals = RequestKey("k1", "digest"), []
    for _ in range(2):
        with pytest.raises(problems.OffersRefused) as caught:
            offer(service, [image.id], ["B"], key=key, all_or_nothing=True)
        refusals.append(caught.value.results)
        set_visibility(service, image.id, "shared")
    assert refusals[0] == refusals[1] == json.dumps([[image.id, "B", "ShareConflict"]])
    assert offered(service, image) == []
    with pytest.raises(problems.RequestRepeated):
        offer(service, [image.id], ["B"], key=RequestKey("k1", "another"))
    assert offer(service, [image.id], ["B"], key=RequestKey("k2", "digest"), all_or_nothing=True) == [[image.id, "B", "NoneType"]]


def test_request_that_was_not_carried_out_is_not_remembered(service: Service, clock: Clock) -> None:
    image, key = queued_image(service), RequestKey("k1", "digest")
    with pytest.raises(problems.TermsRefused):
        offer(service, [image.id], ["B"], key=key, terms=TermsChange(given=frozenset({"expires_at"}), expires_at=clock.now))
    assert offer(service, [image.id], ["B"], key=key) == [[image.id, "B", "NoneType"]]


def keys_of(service: Service) -> int:
    with service.database.read() as tx:
        return int(tx.exec_driver_sql("SELECT count(*) FROM idempotency_keys").scalar_one())


def test_keys_are_forgotten_after_a_day(service: Service, clock: Clock) -> None:
    image = queued_image(service)
    offer(service, [image.id], ["B"], key=RequestKey("k1", "digest"))
    clock.passes(days=1, seconds=1)
    promises.remove_expired(service)
    assert keys_of(service) == 0


def test_project_keeps_a_bounded_number_of_keys(service: Service, clock: Clock) -> None:
    with service.database.write() as tx:
        for number in range(5):
            clock.passes(seconds=1)
            idempotency.add(tx, B, RequestKey(f"k{number}", "r"), idempotency.Answer("[]"), now=clock.now)
            idempotency.trim(tx, B, keep_rows=3, before=clock.now - timedelta(days=1))
        known = [idempotency.find(tx, B, RequestKey(f"k{number}", "r"), since=clock.now - timedelta(days=1)) for number in range(5)]
    assert known == [None, None, *[idempotency.Answer("[]")] * 3]


def test_requests_of_one_key_at_the_same_time_are_carried_out_once(service: Service) -> None:
    image = image_with(service, DATA)
    barrier = threading.Barrier(6)
    found: list[object] = []

    def send() -> None:
        barrier.wait()
        found.append(offer(service, [image.id], ["B", "C"], key=RequestKey("k1", "digest")))

    senders = [threading.Thread(target=send) for _ in range(6)]
    for each in senders:
        each.start()
    for each in senders:
        each.join(60)
    assert found == [[[image.id, "B", "NoneType"], [image.id, "C", "NoneType"]]] * 6
    assert sorted(offered(service, image)) == [B, C]
