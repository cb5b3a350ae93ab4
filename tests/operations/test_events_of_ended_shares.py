"""Expired shares and notices that have run out are recorded, also if something is faster than the job."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from partage.model.claim_code import CodeRequest
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.terms import Terms
from partage.operations import events, images, members, promises
from partage.operations.service import Service
from partage.operations.sharing import claim_codes, claims, closing, retained
from partage.operations.sharing import endings as ended_shares
from tests.operations.services import OWNER
from tests.operations.sharing_worlds import ADMIN, MEMBER, set_visibility, share
from tests.operations.test_events import offer_anew, read, said
from tests.services import change_service

A, B = ProjectID("A"), ProjectID("B")
Step = Callable[[Service, ImageID], object]


def later(service: Service, hours: int = 2) -> Service:
    now = service.clock() + timedelta(hours=hours)
    return replace(service, clock=lambda: now)


def expiring(service: Service) -> Image:
    soon = service.clock() + timedelta(hours=1)
    return share(change_service(service, default_terms=Terms(expires_at=soon)))


EXPIRED = ["A share.expired", "B share.expired"]
OFFERED = ["A share.offered", "B share.offered"]
REPLACEMENTS: dict[str, tuple[Step, list[str]]] = {
    "offer": (lambda s, i: offer_anew(s, images.show_image(s, OWNER, i)), [*OFFERED, "A share.offered", "C share.offered"]),
    "offer under v2": (lambda s, i: members.add_member(s, OWNER, i, B), OFFERED),
    "claim": (
        lambda s, i: claims.claim_share(s, MEMBER, str(claim_codes.create_code(s, OWNER, i, CodeRequest())[1]), ""),
        [*OFFERED, "A share.accepted", "B share.accepted"],
    ),
    "delete": (lambda s, i: images.delete_image(s, OWNER, i), ["A image.deleted"]),
    "take down": (lambda s, i: images.delete_image(s, ADMIN, i), ["A image.deleted"]),
    "take down from the command line": (retained.take_down, ["A image.deleted"]),
    "private": (lambda s, i: set_visibility(s, i, "private"), ["A image.updated"]),
    "deactivate": (lambda s, i: images.deactivate_image(s, OWNER, i), ["A image.deactivated"]),
    "close the owner": (lambda s, _i: list(closing.close_project(s, A)), ["A image.deleted"]),
    "close the member": (lambda s, _i: list(closing.close_project(s, B)), []),
}


@pytest.mark.parametrize("by", REPLACEMENTS)
def test_expiry_is_recorded_by_what_is_faster_than_the_job(service: Service, by: str) -> None:
    image = expiring(service)
    before = read(service).last
    act, then = REPLACEMENTS[by]
    act(later(service), image.id)
    promises.remove_expired(later(service))
    found = [each for each in said(read(service, after=before).events) if "claim_code" not in each]
    assert sorted(found) == sorted([*EXPIRED, *then])


@pytest.mark.parametrize("by", REPLACEMENTS)
def test_end_of_a_notice_is_recorded_by_what_is_faster_than_the_job(service: Service, by: str) -> None:
    image = share(service)
    members.remove_member(service, OWNER, image.id, B)
    before = read(service).last
    act, then = REPLACEMENTS[by]
    after = later(service, hours=31 * 24)
    act(after, image.id)
    promises.remove_expired(after)
    found = [each for each in said(read(service, after=before).events) if "claim_code" not in each]
    assert sorted(found) == sorted(["A share.notice_ended", "B share.notice_ended", *then])


def test_ends_are_settled_once_on_each_database(service_of: Service) -> None:
    image, other = expiring(service_of), share(service_of)
    members.remove_member(service_of, OWNER, other.id, B)
    before = read(service_of).last
    after = later(service_of, hours=31 * 24)
    for each in (image, other):
        offer_anew(after, each)
    promises.remove_expired(after)
    found = said(read(service_of, after=before).events)
    assert [each for each in found if "offered" not in each] == [*EXPIRED, "A share.notice_ended", "B share.notice_ended"]


@pytest.mark.parametrize("hide", ["private", "deactivated"])
def test_notice_that_runs_on_for_another_reason_is_recorded(service: Service, hide: str) -> None:
    image = share(service)
    if hide == "private":
        set_visibility(service, image.id, "private")
    else:
        images.deactivate_image(service, OWNER, image.id)
    before = read(service).last
    images.delete_image(service, OWNER, image.id)
    ended_shares.restore_image(service, OWNER, image.id)
    found = [each for each in read(service, after=before).events if each.type == "share.ending_changed"]
    assert said(found) == ["A share.ending_changed", "B share.ending_changed"] * 2
    assert [each.data["reason"] for each in found] == ["deleted", "deleted", hide, hide]
    assert {each.data["ends_at"] for each in found} == {events.format_time(service.clock() + timedelta(days=30))}
    assert {each.actor_role for each in found} == {"owner"}
