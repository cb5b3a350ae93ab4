"""Stories of the guard over HTTP: what clients print, and how an owner goes on."""

from typing import Any

import pytest

from tests.api.partage.sharing import end_access, guard, impact, share_path, shared_image
from tests.api.partage.test_shares_over_http import problem_of
from tests.api.personas import Cast


def test_v2_call_is_refused_in_words_that_clients_print(cast: Cast) -> None:
    image = shared_image(cast, notice="P0D")
    assert guard(cast.owner, image, "block").json()["mode"] == "block"
    answers = [
        cast.owner.deletes(image),
        cast.owner.sets(image, "visibility", "private"),
        cast.owner.does("deactivate", image),
        cast.owner.removes_member(image, cast.member.project_id),
    ]
    assert {answer.status_code for answer in answers} == {409}
    for answer in answers:
        message = answer.json()["error"]["message"]
        assert f"Image {image} is guarded and used by other projects" in message
        assert f"project {cast.member.project_id} (use unknown)" in message
        assert f"POST /partage/v1/images/{image}/end" in message
    assert problem_of(cast.owner.call("DELETE", share_path(image, cast.member.project_id))) == (409, "image-guarded")


def test_acknowledged_end_proceeds_with_the_cool_down_as_notice(cast: Cast) -> None:
    image = shared_image(cast, notice="P0D")
    guard(cast.owner, image, "block")
    assert problem_of(end_access(cast.owner, image, "delete")) == (409, "image-guarded")
    assert impact(cast.owner, image).json()["guard"] == {"mode": "block", "blocks": True, "can_acknowledge": True}
    assert end_access(cast.owner, image, "delete", acknowledge=True).status_code == 204
    assert cast.owner.shows(image).status_code == 404
    assert cast.member.downloads(image).status_code == 200
    ending = cast.member.call("GET", share_path(image, cast.member.project_id)).json()["ending"]
    assert (ending["reason"], ending["ends_at"][11:] == ending["began_at"][11:]) == ("deleted", True)


@pytest.mark.parametrize("action", ["private", "deactivate", "unshare"])
def test_every_action_can_be_acknowledged(action: str, cast: Cast) -> None:
    image = shared_image(cast, notice="P0D")
    guard(cast.owner, image, "block")
    more = {"project": cast.member.project_id} if action == "unshare" else {}
    assert end_access(cast.owner, image, action, acknowledge=True, **more).status_code == 204
    assert cast.member.downloads(image).status_code == 200
    assert cast.member.call("GET", share_path(image, cast.member.project_id)).json()["ending"]["ends_at"] is not None


def test_switching_off_is_pending_visible_and_can_be_taken_back(cast: Cast) -> None:
    image = shared_image(cast, notice="P0D")
    guard(cast.owner, image, "block")
    switched = guard(cast.owner, image, "off").json()
    assert (switched["mode"], switched["cool_down"], switched["pending"]["override"]) == ("block", "P1D", "off")
    assert guard(cast.owner, image).json() == switched
    assert cast.owner.deletes(image).status_code == 409
    taken_back = guard(cast.owner, image, "block").json()
    assert (taken_back["pending"], taken_back["override"], taken_back["default"]) == (None, "block", "off")


def test_guard_off_changes_nothing_under_v2(cast: Cast) -> None:
    image = shared_image(cast, notice="P0D")
    assert guard(cast.owner, image).json()["mode"] == "off"
    assert cast.owner.deletes(image).status_code == 204
    assert cast.member.shows(image).status_code == 404


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"action": "burn"},
        {"action": "unshare"},
        {"action": "unshare", "project": 5},
        {"action": "delete", "project": "p"},
        {"action": "delete", "acknowledge": "yes"},
        {"action": "delete", "force": True},
        [],
    ],
)
def test_end_that_does_not_fit_is_a_problem(document: Any, cast: Cast) -> None:
    image = shared_image(cast)
    answer = cast.owner.call("POST", f"/partage/v1/images/{image}/end", json=document)
    assert problem_of(answer) == (400, "body-invalid")


@pytest.mark.parametrize("document", [{}, {"mode": None}, {"mode": "loud"}, {"mode": "off", "more": 1}, []])
def test_mode_that_does_not_fit_is_a_problem(document: Any, cast: Cast) -> None:
    answer = cast.owner.call("PUT", f"/partage/v1/images/{shared_image(cast)}/guard", json=document)
    assert problem_of(answer) == (400, "body-invalid")


def test_guard_is_named_among_the_features(cast: Cast) -> None:
    found = cast.anonymous.call("GET", "/partage").json()
    assert "guard" in found["features"]
    assert found["guard"] == {"default": "off", "cool_down": "P1D"}
