"""Stories of impact over HTTP."""

import pytest

from tests.api.partage.sharing import impact, list_rows, offered_image, share_path, shared_image
from tests.api.partage.test_shares_over_http import problem_of
from tests.api.personas import Cast


def test_impact_says_who_loses_what_and_when(cast: Cast) -> None:
    image = offered_image(cast, cast.member, cast.pending)
    assert cast.member.call("POST", share_path(image, cast.member.project_id, "accept")).status_code == 200
    found = impact(cast.owner, image).json()
    rows = {each["project_id"]: each for each in found["projects"]}
    assert (rows[cast.pending.project_id]["ends"], rows[cast.member.project_id]["ends"]) == ("now", "later")
    predicted = rows[cast.member.project_id]
    assert cast.owner.deletes(image).status_code == 204
    share = cast.member.call("GET", share_path(image, cast.member.project_id)).json()
    assert share["ending"]["ends_at"][:19] == predicted["ends_at"][:19] or share["ending"]["ends_at"] > predicted["ends_at"]
    assert (predicted["notice"], predicted["status"], predicted["quota_bytes"]) == ("P30D", "accepted", 5000)
    assert found["bytes"]["kept_for"] == "notice"
    assert found["bytes"]["freed"] == {"least": 0, "most": 0}


def test_use_that_is_not_known_is_unknown(cast: Cast) -> None:
    image = offered_image(cast)
    (row,) = impact(cast.owner, image).json()["projects"]
    assert (row["uses"], row["last_used"]) == ("unknown", "unknown")


def test_impact_of_unshare_is_that_of_one_project(cast: Cast) -> None:
    image = offered_image(cast, cast.member, cast.pending)
    found = impact(cast.owner, image, "unshare", project=cast.pending.project_id).json()
    assert [each["project_id"] for each in found["projects"]] == [cast.pending.project_id]
    assert found["bytes"]["kept_for"] == "image"
    assert problem_of(impact(cast.owner, image, "unshare", project="f" * 32)) == (404, "share-not-found")


@pytest.mark.parametrize(
    "query",
    [{}, {"action": "burn"}, {"action": "unshare"}, {"action": "delete", "project": "p"}, {"action": "delete", "limit": "5"}],
)
def test_query_that_does_not_fit_is_a_problem(query: dict[str, str], cast: Cast) -> None:
    image = shared_image(cast)
    answer = cast.owner.call("GET", f"/partage/v1/images/{image}/impact", params=query)
    assert problem_of(answer) == (400, "query-invalid")


def test_takedown_is_named_in_the_impact(cast: Cast) -> None:
    image = shared_image(cast)
    found = impact(cast.admin, image, "deactivate").json()
    assert (found["takes_down"], [each["ends"] for each in found["projects"]]) == (True, ["now"])
    assert impact(cast.owner, image, "deactivate").json()["takes_down"] is False


def test_takedown_is_shown_as_such_to_both_sides(cast: Cast) -> None:
    image = shared_image(cast)
    assert cast.admin.deletes(image).status_code == 204
    path = share_path(image, cast.member.project_id)
    for who in (cast.owner, cast.member):
        share = who.call("GET", path).json()
        assert (share["image_status"], share["ending"]["reason"]) == ("deleted", "taken-down")
        assert who.shows(image).status_code == 404
        side = "out" if who is cast.owner else "in"
        assert list_rows(who, f"direction={side}&image={image}") == [share]
    assert problem_of(cast.pending.call("GET", path)) == (404, "share-not-found")
