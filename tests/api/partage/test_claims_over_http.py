"""Stories of claim codes over HTTP. Each test is named after the sentence of the sharing API that it proves."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import pytest
import requests

from partage.model.claim_code import ClaimRules
from tests.api.conftest import World, cast_of
from tests.api.partage.sharing import claim, create_code, list_rows, seen, shared_image
from tests.api.partage.test_shares_over_http import MISSING, problem_of
from tests.api.personas import Cast
from tests.api.test_existence import blanked

WRONG = "partage-claim-" + "0" * 40


def list_codes(cast: Cast, image: str) -> list[dict[str, Any]]:
    answer = cast.owner.call("GET", f"/partage/v1/images/{image}/codes")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["codes"]
    return found


def code_of(cast: Cast, image: str, **document: Any) -> str:
    return str(create_code(cast.owner, image, **document).json()["code"])


def test_code_is_shown_once_and_listed_without_its_secret(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    answer = create_code(cast.owner, image, uses=3, terms={"notice": "P60D", "message": "welcome"})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.json()
    code = made.pop("code")
    assert code.startswith(f"partage-claim-{made['id'][:4]}-")
    assert (made["image_id"], made["uses"], made["uses_left"]) == (image, 3, 3)
    assert made["terms"] == {"notice": "P60D", "expires_at": None, "message": "welcome"}
    assert list_codes(cast, image) == [made]
    lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert lasts == timedelta(days=7)


def test_claim_makes_the_callers_project_a_member_with_those_terms(cast: Cast) -> None:
    image = cast.owner.has_an_image(b"data")
    code = code_of(cast, image, terms={"notice": "P60D", "message": "welcome"})
    answer = claim(cast.outsider, code)
    assert answer.status_code == 201, answer.text
    assert answer.json() == seen(cast.outsider, image, cast.outsider.project_id)
    assert (answer.json()["status"], answer.json()["terms"]["notice"]) == ("accepted", "P60D")
    assert cast.outsider.downloads(image).content == b"data"
    assert cast.outsider.sees_in_list(image)
    (row,) = list_rows(cast.owner, f"direction=out&image={image}")
    assert (row["member_id"], row["status"]) == (cast.outsider.project_id, "accepted")
    assert [each["uses_left"] for each in list_codes(cast, image)] == [0]


def test_repeated_claim_is_200_and_takes_no_use(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    code = code_of(cast, image, uses=2)
    first, again = claim(cast.outsider, code), claim(cast.outsider, code.upper().replace("-", " ", 3).replace(" ", "-", 2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert [each["uses_left"] for each in list_codes(cast, image)] == [1]


def test_claim_does_not_shorten_terms_and_accepts_an_offer(cast: Cast) -> None:
    image = shared_image(cast, notice="P60D")
    assert cast.owner.shares_with(image, cast.pending.project_id).status_code == 200
    code = code_of(cast, image, terms={"notice": "P1D"})
    assert claim(cast.member, code).json()["terms"]["notice"] == "P60D"
    answer = claim(cast.pending, code)
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")


def test_owner_cannot_claim_its_own_image(cast: Cast) -> None:
    assert problem_of(claim(cast.owner, code_of(cast, cast.owner.has_an_image(None)))) == (409, "recipient-refused")


def make_private(cast: Cast, image: str, _code: str) -> None:
    assert cast.owner.sets(image, "visibility", "private").status_code == 200


def delete(cast: Cast, image: str, _code: str) -> None:
    assert cast.owner.deletes(image).status_code == 204


def revoke(cast: Cast, image: str, _code: str) -> None:
    path = f"/partage/v1/images/{image}/codes/{list_codes(cast, image)[0]['id']}"
    assert cast.owner.call("DELETE", path).status_code == 204
    assert problem_of(cast.owner.call("DELETE", path)) == (404, "claim-code-not-found")
    assert list_codes(cast, image) == []


def use_up(cast: Cast, _image: str, code: str) -> None:
    assert claim(cast.outsider, code).status_code == 201


@pytest.mark.parametrize("situation", [make_private, delete, revoke, use_up])
def test_every_unusable_code_is_one_byte_identical_404(situation: Callable[[Cast, str, str], None], cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    code = code_of(cast, image)
    situation(cast, image, code)
    asked = [blanked(claim(cast.pending, each), str(uuid4())) for each in (code, WRONG, code[:-4] + "zzzz", "something else")]
    assert asked == [asked[0]] * 4
    assert problem_of(claim(cast.pending, code)) == (404, "claim-code-not-found")


def test_code_is_for_a_shared_image_or_makes_it_shared(cast: Cast) -> None:
    image = cast.owner.has_an_image(None, visibility="private")
    assert problem_of(create_code(cast.owner, image)) == (409, "share-conflict")
    assert create_code(cast.owner, image, make_shared=True).status_code == 201
    assert cast.owner.shows(image).json()["visibility"] == "shared"


def test_validity_of_a_code_is_bounded(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    later = (datetime.now(UTC) + timedelta(days=31)).isoformat()
    assert problem_of(create_code(cast.owner, image, expires_at=later)) == (400, "terms-refused")
    soon = (datetime.now(UTC) + timedelta(days=29)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert create_code(cast.owner, image, expires_at=soon).json()["expires_at"] == soon


@pytest.mark.parametrize(
    "document",
    [
        {"uses": 0},
        {"uses": 1001},
        {"uses": True},
        {"uses": "1"},
        {"expires_at": "tomorrow"},
        {"terms": {"colour": "blue"}},
        {"make_shared": 1},
        {"code": "mine"},
        [],
    ],
)
def test_request_for_a_code_that_does_not_fit_is_a_problem(document: Any, cast: Cast) -> None:
    answer = cast.owner.call("POST", f"/partage/v1/images/{MISSING}/codes", json=document)
    assert problem_of(answer) == (400, "body-invalid")


@pytest.mark.parametrize("document", [{}, {"code": 5}, {"code": ""}, {"code": "x" * 256}, {"code": WRONG, "project": "p"}, []])
def test_claim_that_does_not_fit_is_a_problem(document: Any, cast: Cast) -> None:
    assert problem_of(cast.outsider.call("POST", "/partage/v1/claims", json=document)) == (400, "body-invalid")


def fail(cast: Cast, name: str, forwarded_for: str | None = None) -> requests.Response:
    headers = {} if forwarded_for is None else {"X-Forwarded-For": forwarded_for}
    return cast.people[name].call("POST", "/partage/v1/claims", json={"code": WRONG}, headers=headers)


Worlds = Callable[..., World]


def test_failed_claims_are_limited_by_project(another_world: Worlds, everybody: dict[str, tuple[str, str]]) -> None:
    cast = cast_of(another_world(claims=ClaimRules(failures_per_project=2)), everybody)
    assert [fail(cast, "outsider").status_code for _ in range(3)] == [404, 404, 429]
    answer = fail(cast, "outsider")
    assert problem_of(answer) == (429, "claims-exceeded")
    assert 0 < int(answer.headers["Retry-After"]) <= 600
    assert fail(cast, "pending").status_code == 404
    cast.leave()


def test_failed_claims_are_limited_by_the_address_of_the_client(
    another_world: Worlds, everybody: dict[str, tuple[str, str]]
) -> None:
    cast = cast_of(another_world(claims=ClaimRules(failures_per_address=1)), everybody)
    # A client that writes the header itself changes nothing.
    assert [fail(cast, name, f"192.0.2.{number}").status_code for number, name in enumerate(("outsider", "pending"))] == [404, 429]
    cast.leave()


def test_address_of_the_client_is_read_behind_a_trusted_proxy(another_world: Worlds, everybody: dict[str, tuple[str, str]]) -> None:
    options = {"trusted_proxies": (ip_network("127.0.0.0/8"),)}
    cast = cast_of(another_world(options, claims=ClaimRules(failures_per_address=1)), everybody)
    sent = (("outsider", "192.0.2.1"), ("pending", "192.0.2.2"), ("member", "192.0.2.1"), ("member", "192.0.2.2, 192.0.2.3"))
    assert [fail(cast, *each).status_code for each in sent] == [404, 404, 429, 404]
    cast.leave()


def test_claim_codes_are_named_among_the_features(cast: Cast) -> None:
    assert "claim-codes" in cast.anonymous.call("GET", "/partage").json()["features"]
