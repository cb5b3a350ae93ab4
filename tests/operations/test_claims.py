"""Claim codes: what a code makes of its bearer's project, what it does not, and how many claims may fail."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.model.announcement import Announcement, Event
from partage.model.caller import Caller
from partage.model.claim_code import MOST_CODES_OF_IMAGE, ClaimRules, CodeRequest
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.limits import Limits
from partage.model.member import MemberStatus
from partage.model.terms import Notice, NoticeBounds, TermsChange
from partage.operations import images, members, promises
from partage.operations.service import Service
from partage.operations.sharing import answers, claim_codes, claims, endings, shares, terms
from tests.operations.services import OWNER, Clock, download, image_with, queued_image
from tests.operations.sharing_worlds import ADMIN, DATA, MEMBER, OTHER, offer, service_with, set_visibility, share
from tests.services import change_service

B, C = ProjectID("B"), ProjectID("C")
ADDRESS = "192.0.2.1"
WRONG = "partage-claim-" + "0" * 40
YEAR = Notice(timedelta(days=365))


def create(service: Service, image: Image, caller: Caller = OWNER, **asked: object) -> str:
    return str(claim_codes.create_code(service, caller, image.id, CodeRequest(**asked))[1])  # type: ignore[arg-type]


def claim(service: Service, code: str, caller: Caller = MEMBER, address: str = ADDRESS) -> claims.Claimed:
    return claims.claim_share(service, caller, code, address)


def uses_left(service: Service, image: Image) -> list[int]:
    return [each.uses_left for each in claim_codes.list_codes(service, OWNER, image.id)]


def refusal(service: Service, code: str, caller: Caller = MEMBER) -> str:
    with pytest.raises(problems.ClaimCodeNotFound) as caught:
        claim(service, code, caller)
    return str(caught.value)


def test_claim_makes_the_project_a_member_with_the_terms_of_the_code(service: Service, clock: Clock) -> None:
    image = image_with(service, DATA)
    given = TermsChange(
        given=frozenset({"notice", "expires_at", "message"}),
        notice=YEAR,
        expires_at=clock.now + timedelta(days=90),
        message="hello",
    )
    code = create(service, image, terms=given)
    clock.passes(hours=1)
    claimed = claim(service, code)
    assert claimed.is_new
    share = shares.show_share(service, MEMBER, image.id, B)
    assert share == claimed.share
    assert (share.status, share.offered_at, share.answered_at) == (MemberStatus.ACCEPTED, clock.now, clock.now)
    assert (share.terms.notice, share.terms.expires_at, share.terms.message) == (YEAR, given.expires_at, "hello")
    assert download(service, image.id, MEMBER) == DATA
    assert uses_left(service, image) == [0]


def test_code_without_terms_has_the_default_terms(service: Service) -> None:
    image = queued_image(service)
    assert str(claim(service, create(service, image)).share.terms.notice) == "P30D"


def test_code_is_stored_as_a_digest_only(service: Service, tmp_path: Path) -> None:
    image = queued_image(service)
    code, text = claim_codes.create_code(service, OWNER, image.id, CodeRequest())
    with service.database.read() as tx:
        row = tx.exec_driver_sql("SELECT * FROM claim_codes").one()
    assert (row.id, row.digest) == (text.id, code.digest)
    assert text.secret not in repr(tuple(row)) + repr(code)
    assert all(text.secret.encode() not in file.read_bytes() for file in tmp_path.glob("partage.db*"))


def test_code_has_as_many_uses_as_it_was_given(service: Service) -> None:
    image = queued_image(service)
    code = create(service, image, uses=2)
    for caller in (MEMBER, OTHER):
        assert claim(service, code, caller).is_new
    assert uses_left(service, image) == [0]
    refusal(service, code, replace(OWNER, project_id=ProjectID("D")))
    assert [each.member_id for each in members.list_members(service, OWNER, image.id)] == [B, C]


def test_claim_of_a_member_takes_no_use_and_keeps_its_terms(service: Service) -> None:
    image = share(service)
    code = create(service, image, terms=TermsChange(given=frozenset({"notice"})))
    claimed = claim(service, code)
    assert (claimed.is_new, str(claimed.share.terms.notice)) == (False, "P30D")
    assert uses_left(service, image) == [1]


@pytest.mark.parametrize("answer", ["pending", "rejected"])
def test_claim_accepts_the_offer_that_there_is(service: Service, answer: str) -> None:
    image = share(service, answer)
    claimed = claim(service, create(service, image))
    assert (claimed.is_new, claimed.share.status) == (False, MemberStatus.ACCEPTED)
    assert uses_left(service, image) == [1]


def test_claim_that_took_the_last_use_can_be_repeated(service: Service) -> None:
    image = queued_image(service)
    code = create(service, image)
    first, again = claim(service, code), claim(service, code)
    assert (first.is_new, again.is_new, again.share) == (True, False, first.share)
    answers.leave_share(service, MEMBER, image.id, B)
    refusal(service, code)


def test_owner_cannot_claim_its_own_image(service: Service) -> None:
    image = queued_image(service)
    code = create(service, image)
    with pytest.raises(problems.RecipientRefused):
        claim(service, code, OWNER)
    assert uses_left(service, image) == [1]


def test_claim_after_an_ending_makes_one_share_without_an_ending(service: Service) -> None:
    image = share(service)
    code = create(service, image, terms=TermsChange(given=frozenset({"notice"}), notice=YEAR))
    endings.end_share(service, OWNER, image.id, B)
    claimed = claim(service, code)
    assert (claimed.is_new, claimed.share.terms.notice) == (True, YEAR)
    assert claimed.share.ending is None


def revoke(service: Service, image: Image, _clock: Clock) -> None:
    (code,) = claim_codes.list_codes(service, OWNER, image.id)
    claim_codes.revoke_code(service, OWNER, image.id, code.id)


def let_expire(_service: Service, _image: Image, clock: Clock) -> None:
    clock.passes(days=7)


def let_share_expire(service: Service, image: Image, clock: Clock) -> None:
    clock.passes(days=6)
    assert uses_left(service, image) == [1]


def use_up(service: Service, image: Image, _clock: Clock) -> None:
    with service.database.write() as tx:
        tx.exec_driver_sql("UPDATE claim_codes SET uses_left = 0")
    assert uses_left(service, image) == [0]


def make_private(service: Service, image: Image, _clock: Clock) -> None:
    set_visibility(service, image.id, "private")


def make_community(service: Service, image: Image, _clock: Clock) -> None:
    set_visibility(service, image.id, "community")


def delete(service: Service, image: Image, _clock: Clock) -> None:
    images.delete_image(service, OWNER, image.id)


def retain(service: Service, image: Image, _clock: Clock) -> None:
    members.add_member(service, OWNER, image.id, C)
    members.update_member(service, OTHER, image.id, C, "accepted")
    images.delete_image(service, OWNER, image.id)
    assert download(service, image.id, OTHER) == DATA


UNUSABLE: list[Callable[[Service, Image, Clock], None]] = [
    revoke, let_expire, let_share_expire, use_up, make_private, make_community, delete, retain,
]  # fmt: skip


@pytest.mark.parametrize("situation", UNUSABLE)
def test_unusable_code_is_answered_as_one_that_never_was(
    service: Service, clock: Clock, situation: Callable[[Service, Image, Clock], None]
) -> None:
    image = image_with(service, DATA)
    ends = clock.now + timedelta(days=6)
    code = create(service, image, terms=TermsChange(given=frozenset({"expires_at"}), expires_at=ends))
    situation(service, image, clock)
    assert refusal(service, code) == refusal(service, WRONG) == refusal(service, "something else")
    with pytest.raises(problems.ShareNotFound):
        shares.show_share(service, MEMBER, image.id, B)


def test_secret_of_a_code_is_compared_whole(service: Service) -> None:
    code = create(service, queued_image(service))
    refusal(service, code[:-1] + ("0" if code[-1] != "0" else "1"))


def test_code_works_again_when_its_image_is_shared_again(service: Service) -> None:
    image = image_with(service, DATA)
    code = create(service, image)
    set_visibility(service, image.id, "private")
    refusal(service, code)
    set_visibility(service, image.id, "shared")
    assert claim(service, code).is_new


def test_private_image_becomes_shared_when_the_request_says_so(service: Service) -> None:
    image = queued_image(service)
    set_visibility(service, image.id, "private")
    with pytest.raises(problems.ShareConflict):
        create(service, image)
    assert claim(service, create(service, image, make_shared=True)).is_new


def test_terms_and_validity_have_the_bounds_of_the_operator(service: Service, clock: Clock) -> None:
    image = queued_image(service)
    bounded = change_service(service, notice_bounds=NoticeBounds(longest=Notice(timedelta(days=60))))
    with pytest.raises(problems.TermsRefused, match="longer than this cloud allows"):
        create(bounded, image, terms=TermsChange(given=frozenset({"notice"}), notice=YEAR))
    with pytest.raises(problems.TermsRefused, match="past"):
        create(service, image, expires_at=clock.now)
    with pytest.raises(problems.TermsRefused, match="2026-12-24T08:00:00Z"):
        create(service, image, expires_at=clock.now + timedelta(days=31))
    assert claim_codes.list_codes(service, OWNER, image.id) == []


def test_image_and_project_have_a_bounded_number_of_codes(service: Service, clock: Clock) -> None:
    image, second = queued_image(service), queued_image(service)
    for _ in range(MOST_CODES_OF_IMAGE):
        create(service, image)
    with pytest.raises(problems.TooMany, match="100 claim codes"):
        create(service, image)
    few = change_service(service, claims=ClaimRules(codes_per_project=MOST_CODES_OF_IMAGE + 1))
    create(few, second)
    with pytest.raises(problems.TooMany, match="101 claim codes"):
        create(few, second)
    clock.passes(days=7)
    assert create(few, second)


def test_claim_keeps_to_the_limit_of_members(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, limits=Limits(members=1))
    image = queued_image(service)
    code = create(service, image, uses=5)
    claim(service, code)
    with pytest.raises(problems.TooMany):
        claim(service, code, OTHER)
    assert uses_left(service, image) == [4]


def test_share_that_expired_can_be_claimed_again(service: Service, clock: Clock) -> None:
    image = queued_image(service)
    brief = TermsChange(given=frozenset({"expires_at"}), expires_at=clock.now + timedelta(hours=1))
    claim(service, create(service, image, terms=brief))
    clock.passes(hours=1)
    assert claim(service, create(service, image)).is_new


def test_only_the_owner_and_administrators_know_codes(service: Service) -> None:
    image = share(service)
    code, _ = claim_codes.create_code(service, OWNER, image.id, CodeRequest())
    for caller in (MEMBER, OTHER):
        for call in (
            lambda caller=caller: claim_codes.create_code(service, caller, image.id, CodeRequest()),
            lambda caller=caller: claim_codes.list_codes(service, caller, image.id),
            lambda caller=caller: claim_codes.revoke_code(service, caller, image.id, code.id),
        ):
            with pytest.raises((problems.PolicyForbids, problems.ImageNotFound)):
                call()
    assert claim_codes.list_codes(service, ADMIN, image.id) == [code]


def test_code_is_revoked_at_its_own_image_only(service: Service) -> None:
    image, other = queued_image(service), queued_image(service)
    code, _ = claim_codes.create_code(service, OWNER, image.id, CodeRequest())
    with pytest.raises(problems.ClaimCodeNotFound):
        claim_codes.revoke_code(service, OWNER, other.id, code.id)
    claim_codes.revoke_code(service, OWNER, image.id, code.id)
    with pytest.raises(problems.ClaimCodeNotFound):
        claim_codes.revoke_code(service, OWNER, image.id, code.id)


def test_claim_needs_the_right_to_answer_offers_and_a_project(service: Service) -> None:
    code = create(service, queued_image(service))
    for caller in (replace(MEMBER, roles=frozenset({"reader"})), replace(ADMIN, project_id=None)):
        with pytest.raises(problems.PolicyForbids):
            claim(service, code, caller)


def limit_failures(service: Service, project: int, address: int) -> Service:
    return change_service(service, claims=ClaimRules(failures_per_project=project, failures_per_address=address))


def test_failed_claims_of_a_project_are_limited(service: Service, clock: Clock) -> None:
    service = limit_failures(service, 3, 0)
    code = create(service, queued_image(service))
    for number in range(3):
        with pytest.raises(problems.ClaimCodeNotFound):
            claim(service, WRONG, address=f"192.0.2.{number}")
        clock.passes(minutes=1)
    with pytest.raises(problems.ClaimsExceeded) as caught:
        claim(service, code, address="192.0.2.9")
    assert caught.value.retry_seconds == 420
    assert claim(service, code, OTHER).is_new
    clock.passes(seconds=420)
    assert claim(service, create(service, queued_image(service))).is_new


def test_failed_claims_from_an_address_are_limited(service: Service) -> None:
    service = limit_failures(service, 0, 3)
    code = create(service, queued_image(service))
    for number in range(3):
        refusal(service, WRONG, replace(OWNER, project_id=ProjectID(f"p{number}")))
    with pytest.raises(problems.ClaimsExceeded):
        claim(service, code)
    assert claim(service, code, address="192.0.2.2").is_new


def test_claims_that_succeed_are_not_counted(service: Service) -> None:
    service = limit_failures(service, 1, 1)
    for _ in range(5):
        code = create(service, queued_image(service))
        assert claim(service, code).is_new
        assert not claim(service, code).is_new
    refusal(service, WRONG)
    with pytest.raises(problems.ClaimsExceeded):
        claim(service, code)


def test_concurrent_claims_do_not_exceed_the_limit(service: Service) -> None:
    service = limit_failures(service, 3, 0)
    found = run_at_once(lambda: claim(service, WRONG), 12)
    assert sum(isinstance(each, problems.ClaimCodeNotFound) for each in found) == 3
    assert sum(isinstance(each, problems.ClaimsExceeded) for each in found) == 9


def test_expired_codes_and_old_failures_are_removed(service: Service, clock: Clock) -> None:
    image = queued_image(service)
    create(service, image)
    refusal(service, WRONG)
    clock.passes(days=7)
    promises.remove_expired(service)
    with service.database.read() as tx:
        for table in ("claim_codes", "claim_failures"):
            assert tx.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == 0


def test_claim_is_announced_as_any_other_membership(service: Service) -> None:
    heard: list[Announcement] = []

    class Listener:
        def announce(self, announcement: Announcement) -> None:
            heard.append(announcement)

        def close(self) -> None:
            pass

    service = change_service(service, announcer=Listener())
    offered = offer(service, "B")
    image, code = queued_image(service), create(service, offered)
    heard.clear()
    for each in (create(service, image), code, code):
        claim(service, each)
    events = [(each.event, getattr(each.subject, "status", None)) for each in heard]
    assert events == [(Event.MEMBER_CREATE, MemberStatus.ACCEPTED), (Event.MEMBER_UPDATE, MemberStatus.ACCEPTED)]


def test_terms_of_a_claimed_share_can_only_be_extended(service: Service) -> None:
    image = queued_image(service)
    claim(service, create(service, image))
    with pytest.raises(problems.TermsRefused):
        terms.change_terms(service, OWNER, image.id, B, TermsChange(given=frozenset({"notice"})))


def run_at_once(call: Callable[[], object], times: int) -> list[object]:
    barrier = threading.Barrier(times)
    found: list[object] = []

    def act() -> None:
        barrier.wait()
        try:
            found.append(call())
        except problems.Problem as problem:
            found.append(problem)

    threads = [threading.Thread(target=act) for _ in range(times)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    return found


def test_last_use_is_taken_once_by_concurrent_claims(service_of: Service) -> None:
    service = change_service(service_of, claims=ClaimRules(failures_per_address=0))
    for _ in range(5):
        image = queued_image(service)
        code = create(service, image)
        callers = iter([replace(OWNER, project_id=ProjectID(f"p{number}")) for number in range(8)])
        found = run_at_once(lambda code=code, callers=callers: claim(service, code, next(callers)), 8)  # type: ignore[misc]
        assert sum(isinstance(each, claims.Claimed) for each in found) == 1
        assert sum(isinstance(each, problems.ClaimCodeNotFound) for each in found) == 7
        assert len(members.list_members(service, OWNER, ImageID(image.id))) == 1
        assert uses_left(service, image) == [0]


def test_concurrent_claims_of_one_project_take_one_use(service_of: Service) -> None:
    image = queued_image(service_of)
    code = create(service_of, image, uses=5)
    found = run_at_once(lambda: claim(service_of, code), 8)
    assert sorted(each.is_new for each in found if isinstance(each, claims.Claimed)) == [False] * 7 + [True]
    assert uses_left(service_of, image) == [4]
