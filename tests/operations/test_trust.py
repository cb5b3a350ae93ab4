"""Trust rules: offers that are accepted at once, and offers that are refused without a sign to their sender."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial

import pytest

from partage import problems
from partage.model.caller import Caller
from partage.model.claim_code import CodeRequest
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.member import MemberStatus
from partage.model.offer import OfferRequest, Project
from partage.model.query import ImageQuery
from partage.model.share import Direction, ShareQuery
from partage.model.terms import TermsChange
from partage.model.trust import MOST_TRUST_RULES, TrustAnswer, TrustKind, TrustSubject
from partage.operations import images, members, pending_deletes, trust
from partage.operations.service import Service
from partage.operations.sharing import answers, claim_codes, claims, endings, offers, shares, terms
from partage.policies.authority import Authority
from partage.records import members as rows
from partage.records.database import Transaction
from tests.operations import test_events
from tests.operations.services import OWNER, Clock, download, image_with
from tests.operations.sharing_worlds import ADMIN, DATA, MEMBER, OTHER, set_visibility, share
from tests.services import change_service

A, B, C = ProjectID("A"), ProjectID("B"), ProjectID("C")
FROM_A = TrustSubject(TrustKind.PROJECT, "A")
FROM_HOME = TrustSubject(TrustKind.DOMAIN, "home")
SENDER = replace(OWNER, project_domain_id="home")
ACCEPT, ASK, REFUSE = TrustAnswer.ACCEPT, TrustAnswer.ASK, TrustAnswer.REFUSE


def set_rule(service: Service, subject: TrustSubject, answer: TrustAnswer, caller: Caller = MEMBER) -> None:
    trust.set_rule(service, caller, subject, answer)


def offer_in_v2(service: Service, image: Image, member: ProjectID = B, caller: Caller = SENDER) -> None:
    members.add_member(service, caller, image.id, member)


def offer_in_bulk(service: Service, image: Image, member: ProjectID = B, caller: Caller = SENDER) -> None:
    request = OfferRequest(image_ids=(image.id,), projects=(member,), terms=TermsChange())
    done = offers.offer_shares(service, caller, request, key=None, render=lambda made: str([each.problem for each in made]))
    assert done == "[None]"


Offering = Callable[[Service, Image], None]
each_way = pytest.mark.parametrize("offer", [offer_in_v2, offer_in_bulk])


def inbox(service: Service, caller: Caller = MEMBER) -> dict[ImageID, MemberStatus]:
    query = ShareQuery(direction=Direction.IN, limit=100)
    return {each.image.id: each.status for each in shares.list_shares(service, caller, query).shares}


def has_no_trace(service: Service, image: Image, caller: Caller = MEMBER) -> bool:
    """Say whether the image does not exist for the member, in every way in which it could learn of an offer."""
    calls = (
        lambda: images.show_image(service, caller, image.id),
        lambda: download(service, image.id, caller),
        lambda: members.show_member(service, caller, image.id, B),
        lambda: members.list_members(service, caller, image.id),
        lambda: members.update_member(service, caller, image.id, B, "accepted"),
        lambda: shares.show_share(service, caller, image.id, B),
        lambda: answers.answer_share(service, caller, image.id, B, MemberStatus.ACCEPTED),
        lambda: answers.leave_share(service, caller, image.id, B),
        lambda: terms.change_terms(service, caller, image.id, B, TermsChange()),
    )
    for call in calls:
        with pytest.raises(problems.NotFound):
            call()
    listed = images.list_images(service, caller, ImageQuery(limit=100, member_status=None)).items
    read = test_events.read(service, B).events
    return image.id not in inbox(service) and image.id not in {each.id for each in listed} | {each.image_id for each in read}


@each_way
@pytest.mark.parametrize("subject", [FROM_A, FROM_HOME])
def test_accepted_offer_is_usable_at_once(service: Service, clock: Clock, offer: Offering, subject: TrustSubject) -> None:
    set_rule(service, subject, ACCEPT)
    image = image_with(service, DATA)
    offer(service, image)
    accepted = shares.show_share(service, MEMBER, image.id, B)
    assert (accepted.status, accepted.answered_at) == (MemberStatus.ACCEPTED, clock.now)
    assert download(service, image.id, MEMBER) == DATA
    assert [each.type for each in test_events.read(service, B).events] == ["share.offered", "share.accepted"]
    assert test_events.last_of(service, "A", "share.accepted").actor_role == "service"


@each_way
@pytest.mark.parametrize("subject", [FROM_A, FROM_HOME])
def test_refused_offer_does_not_exist_for_the_member(service: Service, offer: Offering, subject: TrustSubject) -> None:
    set_rule(service, subject, REFUSE)
    image = image_with(service, DATA)
    offer(service, image)
    assert has_no_trace(service, image)


@pytest.mark.parametrize(
    ("project", "domain", "status"),
    [
        (None, None, MemberStatus.PENDING),
        (None, ACCEPT, MemberStatus.ACCEPTED),
        (ASK, ACCEPT, MemberStatus.PENDING),
        (REFUSE, ACCEPT, None),
        (ACCEPT, REFUSE, MemberStatus.ACCEPTED),
        (ASK, REFUSE, MemberStatus.PENDING),
    ],
)
def test_more_specific_rule_wins(
    service: Service, project: TrustAnswer | None, domain: TrustAnswer | None, status: MemberStatus | None
) -> None:
    for subject, answer in ((FROM_A, project), (FROM_HOME, domain)):
        if answer is not None:
            set_rule(service, subject, answer)
    image = image_with(service, DATA)
    offer_in_v2(service, image)
    assert inbox(service).get(image.id) == status


def test_rules_answer_for_their_own_project_only(service: Service) -> None:
    set_rule(service, FROM_A, REFUSE)
    image = image_with(service, DATA)
    request = OfferRequest(image_ids=(image.id,), projects=(B, C), terms=TermsChange())
    offers.offer_shares(service, SENDER, request, key=None, render=str)
    assert (inbox(service), [*inbox(service, OTHER)]) == ({}, [image.id])


def test_domain_of_an_administrator_is_not_that_of_the_owner(service: Service) -> None:
    set_rule(service, FROM_HOME, REFUSE)
    image = image_with(service, DATA)
    offer_in_v2(service, image, caller=replace(ADMIN, project_domain_id="home"))
    assert [*inbox(service)] == [image.id]


def end_by_removal(service: Service, image: Image) -> None:
    members.remove_member(service, SENDER, image.id, B)


def end_by_deletion(service: Service, image: Image) -> None:
    images.delete_image(service, SENDER, image.id)


def end_by_privacy(service: Service, image: Image) -> None:
    set_visibility(service, image.id, "private")
    set_visibility(service, image.id, "shared")


def change_terms(service: Service, image: Image) -> None:
    terms.change_terms(service, SENDER, image.id, B, TermsChange(given=frozenset({"message"}), message="please"))


@pytest.mark.parametrize("act", [end_by_removal, end_by_deletion, end_by_privacy, change_terms])
def test_member_reads_no_event_of_a_refused_offer(service: Service, act: Offering) -> None:
    set_rule(service, FROM_A, REFUSE)
    image, waiting = image_with(service, DATA), image_with(service, DATA)
    offer_in_v2(service, image)
    offer_in_v2(service, waiting, C)
    act(service, image)
    assert test_events.read(service, B).events == ()
    before = len(test_events.read(service, A).events)
    assert before > len(test_events.read(service, C).events)


def test_offer_that_expires_leaves_no_event_for_the_member(service: Service, clock: Clock) -> None:
    set_rule(service, FROM_A, REFUSE)
    image = image_with(service, DATA)
    ends = TermsChange(given=frozenset({"expires_at"}), expires_at=clock.now.replace(hour=9))
    request = OfferRequest(image_ids=(image.id,), projects=(B,), terms=ends)
    offers.offer_shares(service, SENDER, request, key=None, render=str)
    clock.passes(hours=2)
    test_events.promises.remove_expired(service)
    assert test_events.read(service, B).events == ()
    assert test_events.last_of(service, "A", "share.expired").member_id == B


def test_waiting_offers_stay_when_a_rule_refuses_later_ones(service: Service) -> None:
    waiting, later = image_with(service, DATA), image_with(service, DATA)
    offer_in_v2(service, waiting)
    set_rule(service, FROM_A, REFUSE)
    offer_in_v2(service, later)
    assert [*inbox(service)] == [waiting.id]
    set_rule(service, FROM_A, ACCEPT)
    assert inbox(service) == {waiting.id: MemberStatus.PENDING, later.id: MemberStatus.PENDING}


@pytest.mark.parametrize("how", ["ask", "remove", "specific"])
def test_refused_offers_appear_when_no_rule_refuses_them_any_more(service: Service, how: str) -> None:
    refusing = FROM_HOME if how == "specific" else FROM_A
    set_rule(service, refusing, REFUSE)
    image = image_with(service, DATA)
    offer_in_bulk(service, image)
    assert has_no_trace(service, image)
    if how == "remove":
        trust.remove_rule(service, MEMBER, refusing)
    else:
        set_rule(service, FROM_A, ASK)
    assert inbox(service) == {image.id: MemberStatus.PENDING}
    assert answers.answer_share(service, MEMBER, image.id, B, MemberStatus.ACCEPTED).status is MemberStatus.ACCEPTED


def test_restored_image_is_offered_by_the_rules_of_that_moment(service: Service) -> None:
    delaying = change_service(service, delayed_delete=True)
    set_rule(service, FROM_A, REFUSE)
    first, second = image_with(service, DATA), image_with(service, DATA)
    for each in (first, second):
        offer_in_v2(service, each)
        images.delete_image(delaying, SENDER, each.id)
    pending_deletes.restore(delaying, first.id)
    assert inbox(service) == {}
    trust.remove_rule(service, MEMBER, FROM_A)
    pending_deletes.restore(delaying, second.id)
    assert {*inbox(service)} == {first.id, second.id}


def test_refused_offer_after_an_ending_leaves_the_notice_alone(service: Service) -> None:
    image = share(service)
    endings.end_share(service, OWNER, image.id, B)
    set_rule(service, FROM_A, REFUSE)
    offer_in_v2(service, image)
    mine = shares.show_share(service, MEMBER, image.id, B)
    theirs = shares.show_share(service, OWNER, image.id, B)
    assert (mine.is_current, mine.status) == (False, MemberStatus.ACCEPTED)
    assert (theirs.is_current, theirs.status) == (True, MemberStatus.PENDING)
    assert inbox(service) == {image.id: MemberStatus.ACCEPTED}
    assert download(service, image.id, MEMBER) == DATA


@pytest.mark.parametrize("how", ["leave", "reject", "reject here", "reject many"])
def test_member_that_gives_up_its_notice_leaves_the_refused_offer_too(service: Service, how: str) -> None:
    """A waiting offer would be gone as well: the owner learns nothing."""
    image = share(service)
    endings.end_share(service, OWNER, image.id, B)
    set_rule(service, FROM_A, REFUSE)
    offer_in_v2(service, image)
    if how == "leave":
        answers.leave_share(service, MEMBER, image.id, B)
    elif how == "reject":
        members.update_member(service, MEMBER, image.id, B, "rejected")
    elif how == "reject here":
        answers.answer_share(service, MEMBER, image.id, B, MemberStatus.REJECTED)
    else:
        answers.answer_shares(service, MEMBER, [image.id], MemberStatus.REJECTED)
    assert members.list_members(service, OWNER, image.id) == []
    with pytest.raises(problems.ShareNotFound):
        shares.show_share(service, OWNER, image.id, B)


def test_claim_is_not_refused_and_takes_no_use_as_if_the_offer_waited(service: Service) -> None:
    set_rule(service, FROM_A, REFUSE)
    image, other = image_with(service, DATA), image_with(service, DATA)
    offer_in_v2(service, image)
    for each, uses_left in ((image, 1), (other, 0)):
        _, code = claim_codes.create_code(service, SENDER, each.id, CodeRequest())
        claims.claim_share(service, MEMBER, str(code), "")
        assert shares.show_share(service, MEMBER, each.id, B).status is MemberStatus.ACCEPTED
        assert [made.uses_left for made in claim_codes.list_codes(service, SENDER, each.id)] == [uses_left]


def test_administrator_who_answers_for_the_member_shows_the_offer(service: Service) -> None:
    set_rule(service, FROM_A, REFUSE)
    image = image_with(service, DATA)
    offer_in_v2(service, image)
    members.update_member(service, ADMIN, image.id, B, "accepted")
    assert inbox(service) == {image.id: MemberStatus.ACCEPTED}


def test_rules_are_listed_shown_changed_and_removed(service: Service, clock: Clock) -> None:
    made = clock.now
    set_rule(service, FROM_HOME, REFUSE)
    set_rule(service, FROM_A, ACCEPT)
    clock.passes(hours=1)
    set_rule(service, FROM_A, ASK)
    found = trust.list_rules(service, MEMBER)
    assert [(each.subject, each.answer) for each in found] == [(FROM_A, ASK), (FROM_HOME, REFUSE)]
    assert (found[0].created_at, found[0].updated_at) == (made, clock.now)
    assert trust.show_rule(service, MEMBER, FROM_A) == found[0]
    assert trust.list_rules(service, OTHER) == []
    trust.remove_rule(service, MEMBER, FROM_A)
    for call in (lambda: trust.show_rule(service, MEMBER, FROM_A), lambda: trust.remove_rule(service, MEMBER, FROM_A)):
        with pytest.raises(problems.TrustRuleNotFound):
            call()


def test_project_has_a_bounded_number_of_rules(service: Service) -> None:
    for number in range(MOST_TRUST_RULES):
        set_rule(service, TrustSubject(TrustKind.PROJECT, f"p{number}"), REFUSE)
    with pytest.raises(problems.TooMany, match="500 trust rules"):
        set_rule(service, FROM_A, REFUSE)
    set_rule(service, TrustSubject(TrustKind.PROJECT, "p1"), ACCEPT)
    set_rule(service, FROM_A, REFUSE, OTHER)


def test_rule_is_for_another_project_that_exists(service: Service) -> None:
    with pytest.raises(problems.RecipientRefused):
        set_rule(service, TrustSubject(TrustKind.PROJECT, "B"), ACCEPT)

    class Known:
        def search(self, asked_by: ProjectID | None) -> "Known":
            assert asked_by == B
            return self

        def find(self, project_id: ProjectID) -> Project | None:
            return Project(project_id, "alpha", "home") if project_id == "A" else None

        def find_by_name(self, name: str, domain_id: str) -> Project | None:
            raise AssertionError(name, domain_id)

        def find_domain(self, domain: str) -> str | None:
            return "home" if domain in ("home", "Home's name") else None

    checked = change_service(service, recipients=Known())
    for subject in (FROM_A, FROM_HOME):
        set_rule(checked, subject, ACCEPT)
    for kind, unknown in ((TrustKind.PROJECT, "X"), (TrustKind.DOMAIN, "X"), (TrustKind.DOMAIN, "Home's name")):
        with pytest.raises(problems.RecipientNotFound):
            set_rule(checked, TrustSubject(kind, unknown), ACCEPT)


def test_rules_need_the_right_to_answer_offers_and_a_project(service: Service) -> None:
    reader = replace(MEMBER, roles=frozenset({"reader"}))
    with pytest.raises(problems.PolicyForbids):
        set_rule(service, FROM_A, ACCEPT, reader)
    assert trust.list_rules(service, reader) == []
    nobody = change_service(service, authority=Authority())
    for call in (
        lambda: trust.list_rules(nobody, replace(ADMIN, project_id=None)),
        lambda: trust.remove_rule(nobody, replace(ADMIN, project_id=None), FROM_A),
    ):
        with pytest.raises(problems.PolicyForbids):
            call()


def test_offers_are_refused_accepted_and_shown_on_postgresql(on_postgresql: Service) -> None:
    service = on_postgresql
    set_rule(service, FROM_HOME, REFUSE)
    image = image_with(service, DATA)
    offer_in_bulk(service, image)
    assert has_no_trace(service, image)
    set_rule(service, FROM_A, ACCEPT)
    assert inbox(service) == {image.id: MemberStatus.PENDING}
    second = image_with(service, DATA)
    offer_in_v2(service, second)
    assert inbox(service)[second.id] is MemberStatus.ACCEPTED


def test_rule_and_new_offer_do_not_wait_for_each_other(service_of: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The offer replaces the hidden row of the private image, which the change of the rule shows: each needs what the other has."""
    set_rule(service_of, FROM_A, REFUSE)
    image = image_with(service_of, DATA, OWNER)
    set_visibility(service_of, image.id, "shared")
    offer_in_bulk(service_of, image)
    set_visibility(service_of, image.id, "private")
    request = OfferRequest(image_ids=(image.id,), projects=(B,), terms=TermsChange(), make_shared=True)
    show = rows.show_unrefused
    offered: list[Future[str]] = []

    def show_after_offer_began(tx: Transaction, **of: ProjectID) -> int:
        run = partial(
            offers.offer_shares, service_of, SENDER, request, key=None, render=lambda made: str([each.problem for each in made])
        )
        offered.append(pool.submit(run))
        wait(offered, timeout=0.5)
        return show(tx, **of)

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(rows, "show_unrefused", show_after_offer_began)
        set_rule(service_of, FROM_A, ACCEPT)
        assert offered[0].result() == "[None]"
    assert inbox(service_of) == {image.id: MemberStatus.ACCEPTED}
