"""Stories of trust rules over HTTP. The owner's responses about a refused offer are byte for byte those about one that waits."""

import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.api.partage.sharing import SHARES, claim, create_code, list_rows, offer, share_path
from tests.api.partage.test_shares_over_http import problem_of
from tests.api.personas import Cast, Persona

TRUST = "/partage/v1/trust"


def set_rule(who: Persona, answer: str, project: str, kind: str = "projects") -> requests.Response:
    return who.call("PUT", f"{TRUST}/{kind}/{project}", json={"rule": answer})


@pytest.fixture
def trusting(cast: Cast) -> Iterator[Cast]:
    """Everybody; the member's and the pending project have no rules before and after, because stories share the service."""
    forget_rules(cast)
    yield cast
    forget_rules(cast)


def forget_rules(cast: Cast) -> None:
    for who in (cast.member, cast.pending):
        for each in who.call("GET", TRUST).json()["rules"]:
            assert who.call("DELETE", f"{TRUST}/{each['kind']}s/{each['id']}").status_code == 204


def test_rules_are_set_shown_listed_and_removed(trusting: Cast) -> None:
    who, project = trusting.member, trusting.owner.project_id
    made = set_rule(who, "accept", project)
    assert made.status_code == 200, made.text
    rule = made.json()
    assert rule == {
        "kind": "project", "id": project, "rule": "accept", "created_at": rule["created_at"], "updated_at": rule["updated_at"],
    }  # fmt: skip
    assert set_rule(who, "refuse", "some-domain", "domains").json()["kind"] == "domain"
    assert [each["id"] for each in who.call("GET", TRUST).json()["rules"]] == [project, "some-domain"]
    assert who.call("GET", f"{TRUST}/projects/{project}").json() == rule
    assert set_rule(who, "ask", project).json()["created_at"] == rule["created_at"]
    assert trusting.pending.call("GET", TRUST).json() == {"rules": []}
    for path in (f"{TRUST}/projects/{project}", f"{TRUST}/domains/some-domain"):
        removed = who.call("DELETE", path)
        assert (removed.status_code, removed.content) == (204, b"")
        for method in ("GET", "DELETE"):
            assert problem_of(who.call(method, path)) == (404, "trust-rule-not-found")


def test_offer_is_accepted_at_once_also_one_of_the_image_api(trusting: Cast) -> None:
    owner, member = trusting.owner, trusting.member
    set_rule(member, "accept", owner.project_id)
    image, other = owner.has_an_image(b"data"), owner.has_an_image(b"data")
    assert owner.shares_with(image, member.project_id).json()["status"] == "accepted"
    assert offer(owner, [other], [member.project_id]).json()["results"][0]["problem"] is None
    for each in (image, other):
        assert member.sees_in_list(each)
        assert member.downloads(each).content == b"data"
        (row,) = list_rows(member, f"image={each}")
        assert (row["status"], row["answered_at"]) == ("accepted", row["offered_at"])


def test_offers_of_a_domain_are_refused_but_for_a_project_that_is_asked(trusting: Cast) -> None:
    owner, member = trusting.owner, trusting.member
    set_rule(member, "refuse", "default", "domains")  # Keystone's own domain, which has all projects here
    refused = owner.has_an_image(b"data")
    assert owner.shares_with(refused, member.project_id).json()["status"] == "pending"
    assert member.shows(refused).status_code == 404
    assert list_rows(member, f"image={refused}") == []
    set_rule(member, "ask", owner.project_id)
    (row,) = list_rows(member, f"image={refused}")
    assert row["status"] == "pending"
    assert member.shows(refused).status_code == 200


def ask_everything(owner: Persona, image: str, member: str) -> list[requests.Response]:
    """Send every request of an owner about an offer to one project, from the offer to its end, and offer it anew."""
    share, v2 = share_path(image, member), f"/v2/images/{image}/members"
    asked = [
        ("POST", v2, {"member": member}),
        ("POST", v2, {"member": member}),
        ("GET", v2, None),
        ("GET", f"{v2}/{member}", None),
        ("PUT", f"{v2}/{member}", {"status": "accepted"}),
        ("GET", f"/v2/images/{image}", None),
        ("GET", f"{SHARES}?direction=out&image={image}", None),
        ("GET", f"{SHARES}?direction=out&image={image}&status=pending&project={member}", None),
        ("GET", share, None),
        ("PATCH", share, {"message": "please", "notice": "P5D"}),
        ("GET", share, None),
        ("POST", f"{share}/accept", None),
        ("POST", f"{share}/cancel-ending", None),
        ("POST", SHARES, {"image_ids": [image], "projects": [member]}),
        ("GET", f"/partage/v1/images/{image}/impact?action=unshare&project={member}", None),
        ("GET", f"/partage/v1/images/{image}/impact?action=delete", None),
        ("GET", f"/partage/v1/images/{image}/uses/projects", None),
        ("DELETE", f"{v2}/{member}", None),
        ("GET", share, None),
        ("POST", SHARES, {"image_ids": [image], "projects": [member], "terms": {"notice": "P3D"}}),
        ("GET", v2, None),
        ("DELETE", share, None),
        ("DELETE", share, None),
        ("POST", v2, {"member": member}),
        ("GET", f"/partage/v1/images/{image}/codes", None),
        ("PATCH", share, {"notice": "P1D"}),
    ]
    return [owner.call(method, path, **({} if body is None else {"json": body})) for method, path, body in asked]


def describe(answer: requests.Response, names: dict[str, str]) -> tuple[Any, ...]:
    """Write a response without ids, times, digests and what follows from them."""
    text = answer.text
    for value, name in names.items():
        text = text.replace(value, name)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)
    text = re.sub(r'"(checksum|os_hash_value)":"[0-9a-f]+"', "DIGEST", text)
    skipped = ("etag", "x-openstack-request-id", "date")
    return answer.status_code, [(name, value) for name, value in answer.headers.items() if name.lower() not in skipped], text


def test_owner_cannot_tell_a_refused_offer_from_one_that_waits(trusting: Cast) -> None:
    owner, refusing, waiting = trusting.owner, trusting.member, trusting.pending
    set_rule(refusing, "refuse", owner.project_id)
    found = []
    for who in (refusing, waiting):
        image = owner.has_an_image(secrets.token_bytes(5000), name="same")  # no other image has its chunks
        code = create_code(owner, image).json()
        names = {image: "IMAGE", who.project_id: "MEMBER", code["id"]: "CODE"}
        found.append([describe(each, names) for each in ask_everything(owner, image, who.project_id)])
        assert bool(list_rows(who, f"image={image}")) is (who is waiting)
        assert claim(who, code["code"]).status_code == 200
        left = owner.call("GET", f"/partage/v1/images/{image}/codes")
        shown = owner.call("GET", share_path(image, who.project_id))
        found[-1] += [describe(left, names), describe(shown, names)]
    for refused, waits in zip(*found, strict=True):
        assert refused == waits
    assert {each[0] for each in found[0]} == {200, 204, 403, 404, 409}


def test_rule_is_for_another_project(trusting: Cast) -> None:
    assert problem_of(set_rule(trusting.member, "accept", trusting.member.project_id)) == (409, "recipient-refused")


@pytest.mark.parametrize("document", [{}, {"rule": "maybe"}, {"rule": ["ask"]}, {"rule": None}, {"rule": "ask", "id": "x"}, []])
def test_rule_that_does_not_fit_is_a_problem(document: Any, cast: Cast) -> None:
    answer = cast.member.call("PUT", f"{TRUST}/projects/{cast.owner.project_id}", json=document)
    assert problem_of(answer) == (400, "body-invalid")


def test_id_of_a_rule_is_bounded(cast: Cast) -> None:
    assert problem_of(set_rule(cast.member, "ask", "x" * 256)) == (400, "invalid")


def test_trust_is_named_among_the_features(cast: Cast) -> None:
    assert "trust" in cast.anonymous.call("GET", "/partage").json()["features"]
