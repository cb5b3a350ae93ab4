"""Stories of shares over HTTP. Each test is named after the sentence of the sharing API that it proves."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from partage.identity.keystone import connect
from partage.identity.projects import Projects
from partage.model.terms import Notice, NoticeBounds, Terms
from tests.api.conftest import World, cast_of
from tests.api.partage.sharing import SHARES, list_rows, offer, offered_image, seen, share_path, shared_image
from tests.api.personas import Cast, Persona
from tests.standalone import RunningKeystone

Story = Callable[[Cast], None]
MISSING = "00000000-0000-4000-8000-000000000000"


def problem_of(answer: Any) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    document = answer.json()
    assert {"type", "title", "status", "detail"} <= set(document)
    assert document["status"] == answer.status_code
    return answer.status_code, document["type"].removeprefix("urn:partage:problem:")


def outcomes(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return ["" if each["problem"] is None else each["problem"]["type"].rpartition(":")[2] for each in answer.json()["results"]]


def test_sharing_is_one_call_on_each_side(cast: Cast) -> None:
    image = cast.owner.has_an_image(b"bytes of A" * 500, visibility="private")
    assert outcomes(offer(cast.owner, [image], [cast.member.project_id], make_shared=True)) == [""]
    accepted = cast.member.call("POST", share_path(image, cast.member.project_id, "accept"))
    assert accepted.json()["status"] == "accepted"
    assert cast.member.downloads(image).content == b"bytes of A" * 500


def test_share_made_under_v2_has_the_default_terms_and_is_listed(cast: Cast) -> None:
    image = cast.owner.has_an_image()
    assert cast.owner.shares_with(image, cast.member.project_id).status_code == 200
    share = seen(cast.member, image, cast.member.project_id)
    assert share["terms"] == {"notice": "P0D", "expires_at": None, "message": ""}
    assert share in list_rows(cast.member, f"image={image}")


def test_row_says_what_both_sides_need_to_know(cast: Cast) -> None:
    image = cast.owner.has_an_image(b"x" * 5000, name="golden")
    until = (datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
    terms = {"notice": "P30D", "expires_at": until, "message": "for the move"}
    offer(cast.owner, [image], [cast.member.project_id], terms=terms)
    share = seen(cast.owner, image, cast.member.project_id)
    assert datetime.fromisoformat(share["offered_at"]) <= datetime.now(UTC)
    mine = {"owner_name", "member_name", "offered_at"}
    assert {name: value for name, value in share.items() if name not in mine} == {
        "image_id": image,
        "image_name": "golden",
        "image_status": "active",
        "size": 5000,
        "disk_format": "raw",
        "container_format": "bare",
        "owner_id": cast.owner.project_id,
        "member_id": cast.member.project_id,
        "status": "pending",
        "terms": terms,
        "answered_at": None,
        "last_used": None,
        "ending": None,
    }
    assert (share["owner_name"], share["member_name"]) == ("alpha", None)


def test_inbox_and_outbox_are_filtered_by_status_image_and_project(cast: Cast) -> None:
    accepted, waiting = shared_image(cast), offered_image(cast, cast.member, cast.pending)
    ids = [accepted, waiting]

    def found(who: Persona, query: str) -> list[tuple[str, str]]:
        return [(each["image_id"], each["member_id"]) for each in list_rows(who, query) if each["image_id"] in ids]

    b, c = cast.member.project_id, cast.pending.project_id
    assert found(cast.member, "") == found(cast.member, "direction=in") == [(waiting, b), (accepted, b)]
    assert sorted(found(cast.owner, "direction=out")) == sorted([(waiting, b), (waiting, c), (accepted, b)])
    assert found(cast.member, "status=accepted") == [(accepted, b)]
    assert found(cast.member, f"image={waiting}") == [(waiting, b)]
    assert found(cast.member, f"project={cast.owner.project_id}&status=pending") == [(waiting, b)]
    assert found(cast.owner, f"direction=out&project={c}") == [(waiting, c)]
    assert found(cast.member, f"project={c}") == []
    assert found(cast.outsider, "") == found(cast.outsider, "direction=out") == []


def test_lists_have_limit_marker_and_next_as_in_v2(cast: Cast) -> None:
    made = [offered_image(cast) for _ in range(5)]
    path, walked = f"{SHARES}?limit=2&direction=in&project={cast.owner.project_id}&status=pending", []
    while path and not set(made) <= {each["image_id"] for each in walked}:
        page = cast.member.call("GET", path).json()
        assert len(page["shares"]) == 2 or "next" not in page
        walked += page["shares"]
        path = page.get("next")
        assert path is None or path.startswith(SHARES)
    assert [each["image_id"] for each in walked][:5] == made[::-1]
    assert cast.member.call("GET", f"{SHARES}?limit=0").json() == {"shares": []}


@pytest.mark.parametrize(
    "query",
    ["direction=up", "status=maybe", "limit=-1", "limit=x", "marker=x", "marker=WzFd", "colour=blue", "limit=1&limit=2", "status="],
)
def test_invalid_query_of_shares_is_a_problem(query: str, cast: Cast) -> None:
    assert problem_of(cast.member.call("GET", f"{SHARES}?{query}")) == (400, "query-invalid")


def test_next_page_is_there_although_the_share_of_its_marker_is_gone(cast: Cast) -> None:
    older, newer = offered_image(cast), offered_image(cast)
    first = cast.member.call("GET", f"{SHARES}?limit=1&project={cast.owner.project_id}").json()
    assert [each["image_id"] for each in first["shares"]] == [newer]
    assert cast.owner.deletes(newer).status_code == 204
    second = cast.member.call("GET", first["next"]).json()
    assert [each["image_id"] for each in second["shares"]] == [older]


def test_many_images_are_offered_to_many_recipients_with_an_outcome_each(cast: Cast) -> None:
    images = [cast.owner.has_an_image(None) for _ in range(2)]
    projects = [cast.member.project_id, cast.owner.project_id]
    answer = offer(cast.owner, [*images, MISSING], projects)
    assert outcomes(answer) == ["", "recipient-refused", "", "recipient-refused", "image-not-found", "image-not-found"]
    pairs = [(each["image_id"], each["project_id"]) for each in answer.json()["results"]]
    assert pairs == [(image, project) for image in (*images, MISSING) for project in projects]


def test_offer_is_all_or_nothing_on_demand(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    answer = offer(cast.owner, [image, MISSING], [cast.member.project_id], all_or_nothing=True)
    assert problem_of(answer) == (409, "offers-refused")
    refused = [each["problem"] and each["problem"]["type"] for each in answer.json()["results"]]
    assert refused == [None, "urn:partage:problem:image-not-found"]
    assert list_rows(cast.member, f"image={image}") == []


def test_offer_is_idempotent_with_a_key(cast: Cast) -> None:
    image, key = cast.owner.has_an_image(None), str(uuid4())
    headers = {"Idempotency-Key": key}
    first = offer(cast.owner, [image], [cast.member.project_id], headers=headers)
    again = offer(cast.owner, [image], [cast.member.project_id], headers=headers)
    assert outcomes(first) == [""]
    assert again.content == first.content
    other = offer(cast.owner, [image], [cast.pending.project_id], headers=headers)
    assert problem_of(other) == (409, "request-repeated")
    assert problem_of(offer(cast.owner, [image], ["p"], headers={"Idempotency-Key": "x" * 256})) == (400, "invalid")
    assert outcomes(offer(cast.owner, [image], [cast.member.project_id])) == ["member-exists"]


def test_refused_offer_is_repeated_byte_for_byte(cast: Cast) -> None:
    image, headers = cast.owner.has_an_image(None), {"Idempotency-Key": str(uuid4())}
    projects = [cast.member.project_id, cast.owner.project_id]
    first, again = (offer(cast.owner, [image], projects, all_or_nothing=True, headers=headers) for _ in range(2))
    assert problem_of(first) == (409, "offers-refused")
    assert [each["problem"] is None for each in first.json()["results"]] == [True, False]
    assert again.content == first.content
    assert again.headers["content-type"] == "application/problem+json"


def test_more_than_a_thousand_pairs_are_refused(cast: Cast) -> None:
    images, projects = [str(uuid4()) for _ in range(101)], [uuid4().hex for _ in range(10)]
    assert problem_of(offer(cast.owner, images, projects)) == (413, "too-many")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"image_ids": [], "projects": ["p"]},
        {"image_ids": ["i"], "projects": "p"},
        {"image_ids": ["i"], "projects": [""]},
        {"image_ids": ["i"], "projects": [1]},
        {"image_ids": ["i"], "projects": ["x" * 256]},
        {"image_ids": ["i"], "projects": ["p"], "colour": "blue"},
        {"image_ids": ["i"], "projects": ["p"], "make_shared": "yes"},
        {"image_ids": ["i"], "projects": ["p"], "terms": []},
        {"image_ids": ["i"], "projects": ["p"], "terms": {"notice": "P1Y"}},
        {"image_ids": ["i"], "projects": ["p"], "terms": {"notice": 30}},
        {"image_ids": ["i"], "projects": ["p"], "terms": {"expires_at": "tomorrow"}},
        {"image_ids": ["i"], "projects": ["p"], "terms": {"expires_at": "2027-01-01T00:00:00"}},
        {"image_ids": ["i"], "projects": ["p"], "terms": {"expires_at": "0001-01-01T00:00:00+23:59"}},
        {"image_ids": ["i"], "projects": ["p"], "terms": {"message": "x" * 1001}},
        [],
    ],
)
def test_document_that_does_not_fit_is_a_problem(document: Any, cast: Cast) -> None:
    assert problem_of(cast.owner.call("POST", SHARES, json=document)) == (400, "body-invalid")


def test_while_used_is_refused_as_long_as_uses_are_not_known(cast: Cast) -> None:
    answer = offer(cast.owner, [MISSING], ["p"], terms={"notice": "while-used"})
    assert problem_of(answer) == (400, "terms-refused")
    assert "while-used" in answer.json()["detail"]
    assert cast.anonymous.call("GET", "/partage").json()["notice"]["while_used"] is False


def test_terms_are_only_extended_once_accepted(cast: Cast) -> None:
    image = offered_image(cast)
    at = share_path(image, cast.member.project_id)
    assert cast.owner.call("PATCH", at, json={"notice": "P1D"}).json()["terms"]["notice"] == "P1D"
    assert cast.member.call("POST", f"{at}/accept").status_code == 200
    assert cast.owner.call("PATCH", at, json={"notice": "P2W"}).json()["terms"]["notice"] == "P14D"
    assert problem_of(cast.owner.call("PATCH", at, json={"notice": "P13D"})) == (400, "terms-refused")
    assert seen(cast.member, image, cast.member.project_id)["terms"]["notice"] == "P14D"


def test_what_was_promised_is_visible_before_accepting(cast: Cast) -> None:
    image = offered_image(cast, notice="forever")
    share = seen(cast.member, image, cast.member.project_id)
    assert (share["status"], share["terms"]["notice"]) == ("pending", "forever")


def test_offers_are_accepted_and_rejected_for_many_at_once(cast: Cast) -> None:
    images = [offered_image(cast) for _ in range(3)]
    accepted = cast.member.call("POST", f"{SHARES}/accept", json={"image_ids": [*images[:2], MISSING]})
    assert outcomes(accepted) == ["", "", "share-not-found"]
    assert [each["share"] and each["share"]["status"] for each in accepted.json()["results"]] == ["accepted", "accepted", None]
    assert outcomes(cast.member.call("POST", f"{SHARES}/reject", json={"image_ids": [images[2]]})) == [""]
    found = {each["image_id"]: each["status"] for each in list_rows(cast.member, "") if each["image_id"] in images}
    assert found == dict(zip(images, ["accepted", "accepted", "rejected"], strict=True))
    assert problem_of(cast.member.call("POST", f"{SHARES}/accept", json={"image_ids": []})) == (400, "body-invalid")


def test_member_may_always_leave(cast: Cast) -> None:
    image = shared_image(cast)
    assert cast.owner.call("DELETE", share_path(image, cast.member.project_id)).status_code == 200
    assert cast.member.downloads(image).status_code == 200
    assert cast.member.call("POST", share_path(image, cast.member.project_id, "leave")).status_code == 204
    assert cast.member.downloads(image).status_code == 404
    assert problem_of(cast.owner.call("GET", share_path(image, cast.member.project_id))) == (404, "share-not-found")
    for action in ("leave", "reject"):  # as for a share that never existed
        assert problem_of(cast.member.call("POST", share_path(image, cast.member.project_id, action))) == (404, "share-not-found")


class Travelling:
    """A clock that a story can move."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Travelling:
    return Travelling()


@pytest.fixture
def people(another_world: Callable[..., World], everybody: dict[str, tuple[str, str]], clock: Travelling) -> Iterator[Cast]:
    """Everybody, on a service whose clock moves."""
    cast = cast_of(another_world(clock=clock), everybody)
    yield cast
    cast.leave()


ENDS: dict[str, Callable[[Cast, str], Any]] = {
    "removed": lambda cast, image: cast.owner.call("DELETE", share_path(image, cast.member.project_id)),
    "deleted": lambda cast, image: cast.owner.deletes(image),
    "private": lambda cast, image: cast.owner.sets(image, "visibility", "private"),
    "deactivated": lambda cast, image: cast.owner.does("deactivate", image),
}


@pytest.mark.parametrize("reason", ENDS)
def test_member_keeps_access_until_ends_at_and_both_see_why(reason: str, people: Cast, clock: Travelling) -> None:
    image, b = shared_image(people), people.member.project_id
    before = people.member.shows(image).json()
    assert ENDS[reason](people, image).status_code in (200, 204)
    for who in (people.owner, people.member):
        ending = seen(who, image, b)["ending"]
        began_at, ends_at = (datetime.fromisoformat(ending[name]) for name in ("began_at", "ends_at"))
        assert (ending["reason"], ends_at - began_at) == (reason, timedelta(days=30))
    clock.ahead = timedelta(days=29)
    assert {**people.member.shows(image).json(), "updated_at": before["updated_at"]} == before
    assert hashlib.md5(people.member.downloads(image).content).hexdigest() == before["checksum"]
    clock.ahead = timedelta(days=30, seconds=1)
    if reason != "deactivated":  # Glance's own answers to a deactivated image follow
        assert people.member.shows(image).status_code == 404
        assert problem_of(people.member.call("GET", share_path(image, b))) == (404, "share-not-found")
        assert problem_of(people.owner.call("GET", share_path(image, b))) == (404, "share-not-found")


def test_owner_can_cancel_an_ending_before_it_happens(people: Cast, clock: Travelling) -> None:
    image, b = shared_image(people), people.member.project_id
    before = seen(people.owner, image, b)
    assert people.owner.call("DELETE", share_path(image, b)).json()["ending"]["reason"] == "removed"
    assert people.owner.call("POST", share_path(image, b, "cancel-ending")).json() == before
    clock.ahead = timedelta(days=31)
    assert people.member.downloads(image).status_code == 200
    assert problem_of(people.owner.call("POST", share_path(image, b, "cancel-ending"))) == (409, "share-conflict")


def test_ending_a_share_without_notice_is_glance_behaviour(cast: Cast) -> None:
    image = shared_image(cast, notice="P0D")
    assert cast.owner.call("DELETE", share_path(image, cast.member.project_id)).status_code == 204
    assert cast.member.shows(image).status_code == 404


def test_former_owner_sees_shares_of_a_retained_image_until_they_end(people: Cast, clock: Travelling) -> None:
    image = shared_image(people)
    assert people.owner.deletes(image).status_code == 204
    assert people.owner.shows(image).status_code == 404
    assert [each["image_id"] for each in list_rows(people.owner, "direction=out")] == [image]
    assert [each["owner_id"] for each in list_rows(people.member, "")] == [people.owner.project_id]
    clock.ahead = timedelta(days=30, seconds=1)
    assert list_rows(people.owner, "direction=out") == list_rows(people.member, "") == []


def test_former_owner_restores_a_retained_image(people: Cast, clock: Travelling) -> None:
    image = shared_image(people)
    before = people.owner.shows(image).json()
    assert people.owner.deletes(image).status_code == 204
    path = f"/partage/v1/images/{image}/restore"
    restored = people.owner.call("POST", path)
    assert (restored.status_code, restored.json()["image_status"], restored.json()["visibility"]) == (200, "active", "shared")
    assert {**people.owner.shows(image).json(), "updated_at": before["updated_at"]} == before
    assert seen(people.member, image, people.member.project_id)["ending"] is None
    clock.ahead = timedelta(days=31)
    assert people.member.downloads(image).status_code == 200
    assert problem_of(people.owner.call("POST", path)) == (404, "image-not-found")


def test_expiry_ends_access_whatever_the_notice(people: Cast, clock: Travelling) -> None:
    image, b = people.owner.has_an_image(), people.member.project_id
    until = (clock() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    offer(people.owner, [image], [b], terms={"notice": "forever", "expires_at": until})
    assert people.member.call("POST", share_path(image, b, "accept")).status_code == 200
    ended = people.owner.call("DELETE", share_path(image, b)).json()
    assert ended["ending"]["ends_at"] == until
    clock.ahead = timedelta(days=2)
    assert people.member.shows(image).status_code == 404


def test_administrators_end_of_a_share_wins_over_its_promise(cast: Cast) -> None:
    image = shared_image(cast, notice="forever")
    assert cast.admin.call("DELETE", share_path(image, cast.member.project_id)).status_code == 204
    assert cast.member.shows(image).status_code == 404


@pytest.fixture
def checking(
    another_world: Callable[..., World], everybody: dict[str, tuple[str, str]], keystone: RunningKeystone
) -> Iterator[Cast]:
    """Everybody, on a service that looks recipients up, with bounds of notice."""
    bounds = NoticeBounds(least=Notice(timedelta(days=7)), longest=Notice(timedelta(days=60)))
    recipients = Projects(connect(keystone.credentials, system=True), seconds=0)
    default = Terms(notice=Notice(timedelta(days=7)))
    cast = cast_of(another_world(recipients=recipients, notice_bounds=bounds, default_terms=default), everybody)
    yield cast
    cast.leave()


def test_recipient_is_found_by_id_or_name_and_unknown_ones_are_named(checking: Cast) -> None:
    image = checking.owner.has_an_image(None)
    answer = offer(checking.owner, [image], ["beta", checking.pending.project_id, "nobody", "alpha"])
    assert outcomes(answer) == ["", "", "recipient-not-found", "recipient-refused"]
    found = answer.json()["results"]
    assert [each["project_id"] for each in found[:3]] == [checking.member.project_id, checking.pending.project_id, None]
    assert "'nobody'" in found[2]["problem"]["detail"]
    assert found[2]["problem"]["status"] == 404
    assert found[3]["problem"]["status"] == 409


def test_names_of_projects_in_the_own_domain_are_shown(checking: Cast) -> None:
    image = offered_image(checking)
    for who in (checking.owner, checking.member):
        share = seen(who, image, checking.member.project_id)
        assert (share["owner_name"], share["member_name"]) == ("alpha", "beta")


def test_operator_sets_default_minimum_and_maximum_of_notice(checking: Cast) -> None:
    image = checking.owner.has_an_image(None)
    for refused in ("P6D", "P61D", "forever"):
        answer = offer(checking.owner, [image], ["beta"], terms={"notice": refused})
        assert problem_of(answer) == (400, "terms-refused")
    assert outcomes(offer(checking.owner, [image], ["beta"])) == [""]
    assert seen(checking.member, image, checking.member.project_id)["terms"]["notice"] == "P7D"
    said = checking.anonymous.call("GET", "/partage").json()["notice"]
    assert said == {"default": "P7D", "least": "P7D", "longest": "P60D", "while_used": False}
