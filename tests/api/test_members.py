"""Sharing: offers, answers, and what each side sees of them."""

import itertools
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from partage.model.limits import Limits
from tests.api.conftest import World, cast_of
from tests.api.personas import Cast, at_once


def members_seen(cast: Cast, name: str, image: str) -> list[str]:
    answer = cast.people[name].call("GET", f"/v2/images/{image}/members")
    assert answer.status_code == 200
    assert answer.json()["schema"] == "/v2/schemas/members"
    return [each["member_id"] for each in answer.json()["members"]]


def test_an_offer_is_pending_until_it_is_answered(cast: Cast) -> None:
    image = cast.owner.has_an_image()
    answer = cast.owner.shares_with(image, cast.member.project_id)
    offer = answer.json()
    assert answer.status_code == 200
    assert set(offer) == {"member_id", "image_id", "status", "created_at", "updated_at", "schema"}
    assert (offer["member_id"], offer["image_id"], offer["status"]) == (cast.member.project_id, image, "pending")
    assert offer["schema"] == "/v2/schemas/member"
    for who in (cast.owner, cast.member):
        assert who.call("GET", f"/v2/images/{image}/members/{cast.member.project_id}").json() == offer


def test_a_pending_offer_is_in_no_usual_list_and_in_the_inbox(cast: Cast) -> None:
    """What nobody accepted must not look like the project's own: names are chosen by strangers."""
    image = cast.owner.has_an_image(name="<script>Official Debian 13</script>")
    cast.owner.shares_with(image, cast.member.project_id)
    for query in ("", "&visibility=shared", "&visibility=all", "&visibility=public", "&member_status=accepted"):
        assert not cast.member.sees_in_list(image, query)
    assert cast.member.sees_in_list(image, "&visibility=shared&member_status=pending")
    assert cast.member.accepts(image).status_code == 200
    assert cast.member.sees_in_list(image)
    assert cast.member.answers(image, "rejected").status_code == 200
    for query in ("", "&visibility=shared", "&visibility=all", "&visibility=shared&member_status=pending"):
        assert not cast.member.sees_in_list(image, query)
    assert cast.member.sees_in_list(image, "&member_status=rejected")


@pytest.mark.parametrize(("before", "after"), itertools.product(("pending", "accepted", "rejected"), repeat=2))
def test_any_answer_may_follow_any_other(before: str, after: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    cast.owner.shares_with(image, cast.member.project_id)
    for status in (before, after):
        answer = cast.member.answers(image, status)
        assert answer.status_code == 200
        assert answer.json()["status"] == status
    assert cast.member.shows(image).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"status": "x"},
        {"status": "Accepted"},
        {"status": 5},
        {"status": None},
        {"status": ["accepted"]},
        {},
        [],
        [{"status": "accepted"}],
        "accepted",
    ],
    ids=str,
)
def test_an_answer_is_one_of_three_words(body: Any, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    cast.owner.shares_with(image, cast.member.project_id)
    at = f"/v2/images/{image}/members/{cast.member.project_id}"
    assert cast.member.call("PUT", at, json=body).status_code == 400
    assert cast.member.call("GET", at).json()["status"] == "pending"


@pytest.mark.parametrize(
    "body",
    [
        {"member": ""},
        {"member": None},
        {"member": 5},
        {"member": ["x"]},
        {"member": {"id": "x"}},
        {},
        [],
        {"members": ["x"]},
        {"member": "x" * 256},
        {"member": "\U0001f600"},
        {"member": "a\x00b"},
        "x",
        5,
        [{"member": "x"}],
    ],
    ids=lambda body: str(body)[:30],
)
def test_a_member_is_named_by_text(body: Any, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert cast.owner.call("POST", f"/v2/images/{image}/members", json=body).status_code == 400
    assert members_seen(cast, "owner", image) == []


def test_an_offer_cannot_be_accepted_by_the_one_who_makes_it(cast: Cast) -> None:
    image = cast.owner.has_an_image()
    made = cast.owner.call("POST", f"/v2/images/{image}/members", json={"member": cast.member.project_id, "status": "accepted"})
    assert made.json()["status"] == "pending"
    assert cast.owner.answers(image, "accepted", cast.member.project_id).status_code == 403
    assert not cast.member.sees_in_list(image)


def test_an_administrator_answers_for_a_project(cast: Cast) -> None:
    image = cast.owner.has_an_image()
    cast.owner.shares_with(image, cast.member.project_id)
    assert cast.admin.answers(image, "accepted", cast.member.project_id).status_code == 200
    assert cast.member.sees_in_list(image)


def test_member_sees_itself_and_owner_sees_all_by_creation_time(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    everyone = [cast.rejected.project_id, cast.member.project_id, cast.pending.project_id]
    for project in everyone:
        cast.owner.shares_with(image, project)
    assert members_seen(cast, "owner", image) == everyone
    assert members_seen(cast, "admin", image) == everyone
    assert members_seen(cast, "owner_reader", image) == everyone
    assert members_seen(cast, "member", image) == [cast.member.project_id]
    assert members_seen(cast, "member_reader", image) == [cast.member.project_id]


def test_a_member_can_neither_share_further_nor_leave_nor_change(cast: Cast) -> None:
    image = cast.owner.has_an_image()
    cast.owner.shares_with(image, cast.member.project_id)
    cast.member.accepts(image)
    before = cast.owner.shows(image).json()
    for refused in (
        cast.member.shares_with(image, cast.outsider.project_id),
        cast.member.removes_member(image, cast.member.project_id),
        cast.member.sets(image, "name", "mine"),
        cast.member.sets(image, "visibility", "community"),
        cast.member.deletes(image),
        cast.member.call("PUT", f"/v2/images/{image}/tags/mine"),
    ):
        assert refused.status_code == 403
    assert cast.owner.shows(image).json() == before
    assert members_seen(cast, "owner", image) == [cast.member.project_id]


def test_a_removed_member_finds_nothing_at_its_next_request(cast: Cast) -> None:
    image = cast.owner.has_an_image()
    cast.owner.shares_with(image, cast.member.project_id)
    cast.member.accepts(image)
    assert cast.member.downloads(image).status_code == 200
    assert cast.owner.removes_member(image, cast.member.project_id).status_code == 204
    assert not cast.member.sees_in_list(image, "&member_status=all&visibility=all")
    for answer in (
        cast.member.shows(image),
        cast.member.downloads(image),
        cast.member.downloads(image, Range="bytes=0-0"),
        cast.member.accepts(image),
        cast.member.call("GET", f"/v2/images/{image}/members"),
    ):
        assert answer.status_code == 404
    assert cast.owner.removes_member(image, cast.member.project_id).status_code == 404


def test_a_new_offer_after_removal_is_pending_again(cast: Cast) -> None:
    image = cast.owner.has_an_image()
    cast.owner.shares_with(image, cast.member.project_id)
    cast.member.accepts(image)
    cast.owner.removes_member(image, cast.member.project_id)
    assert cast.owner.shares_with(image, cast.member.project_id).json()["status"] == "pending"
    assert not cast.member.sees_in_list(image)


def test_an_offer_is_made_once(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    answers = at_once(cast.owner, *[lambda who: who.shares_with(image, cast.member.project_id)] * 16)
    assert sorted(each.status_code for each in answers) == [200] + [409] * 15
    assert members_seen(cast, "owner", image) == [cast.member.project_id]


@pytest.mark.parametrize("visibility", ["private", "community", "public"])
def test_only_shared_images_have_members(visibility: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    cast.owner.shares_with(image, cast.member.project_id)
    cast.admin.sets(image, "visibility", visibility)
    member = cast.member.project_id
    for refused, status in (
        (cast.owner.shares_with(image, cast.outsider.project_id), 403),
        (cast.owner.call("GET", f"/v2/images/{image}/members"), 403),
        (cast.owner.call("GET", f"/v2/images/{image}/members/{member}"), 404),
        (cast.owner.removes_member(image, member), 403),
        (cast.admin.answers(image, "accepted", member), 403),
    ):
        assert refused.status_code == status


def test_members_survive_a_change_to_private_and_back(cast: Cast) -> None:
    """As Glance does. While the image is private its members find nothing."""
    image = cast.owner.has_an_image()
    cast.owner.shares_with(image, cast.member.project_id)
    cast.member.accepts(image)
    cast.owner.sets(image, "visibility", "private")
    assert cast.member.shows(image).status_code == cast.member.downloads(image).status_code == 404
    assert not cast.member.sees_in_list(image, "&member_status=all")
    cast.owner.sets(image, "visibility", "shared")
    assert cast.member.sees_in_list(image)
    assert members_seen(cast, "owner", image) == [cast.member.project_id]


def test_a_new_owner_has_the_members_of_the_old_one(cast: Cast) -> None:
    image = cast.owner.has_an_image()
    cast.owner.shares_with(image, cast.member.project_id)
    cast.member.accepts(image)
    cast.admin.sets(image, "owner", cast.rejected.project_id)
    assert members_seen(cast, "rejected", image) == [cast.member.project_id]
    assert cast.member.downloads(image).status_code == 200
    assert cast.owner.removes_member(image, cast.member.project_id).status_code == 404


def test_an_image_has_as_many_members_as_the_limit_says(
    another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]
) -> None:
    owner = cast_of(another_world(limits=Limits(members=3)), everybody).owner
    image = owner.has_an_image(None)
    answers = at_once(owner, *[lambda who: who.shares_with(image, uuid4().hex)] * 12)
    assert sorted(each.status_code for each in answers) == [200] * 3 + [413] * 9
    listed = owner.call("GET", f"/v2/images/{image}/members").json()["members"]
    assert len(listed) == 3
    owner.removes_member(image, listed[0]["member_id"])
    assert owner.shares_with(image, "one more").status_code == 200
    assert owner.shares_with(image, "and another").status_code == 413


def test_members_go_with_their_image(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    cast.owner.shares_with(image, cast.member.project_id)
    cast.owner.deletes(image)
    assert cast.member.answers(image, "accepted").status_code == 404
    for query in ("&member_status=all", "&visibility=shared&member_status=pending"):
        assert not cast.member.sees_in_list(image, query)


@pytest.mark.parametrize("member", ["x", "with space", "ünïcode", "a.b-c_d", "x" * 255])
def test_the_id_of_a_member_may_be_any_text(member: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert cast.owner.shares_with(image, member).status_code == 200
    assert cast.owner.call("GET", f"/v2/images/{image}/members/{member}").json()["member_id"] == member
    assert cast.owner.removes_member(image, member).status_code == 204
