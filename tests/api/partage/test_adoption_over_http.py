"""Stories of adoption over HTTP. Each test is named after the sentence of the sharing API that it proves."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.api.partage.sharing import adopt, lineage, offered_image, shared_image
from tests.api.partage.test_shares_over_http import MISSING, problem_of
from tests.api.personas import Cast
from tests.api.test_existence import blanked


def test_adopting_answers_201_with_an_image_of_the_adopter(cast: Cast) -> None:
    source = shared_image(cast)
    answer = adopt(cast.member, source, name="mine", visibility="private", tags=["t"], properties={"colour": "blue"})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    adopted = made["image_id"]
    told = {"image_id": adopted, "image_name": "mine", "image_status": "active", "visibility": "private"}
    assert made == told | {"adopted_from": source, "adopted_at": made["adopted_at"]}
    shown, before = cast.member.shows(adopted).json(), cast.owner.shows(source).json()
    assert {name: shown[name] for name in ("owner", "name", "visibility", "tags", "colour")} == {
        "owner": cast.member.project_id,
        "name": "mine",
        "visibility": "private",
        "tags": ["t"],
        "colour": "blue",
    }
    for name in ("size", "checksum", "os_hash_value", "disk_format", "container_format", "min_ram", "min_disk"):
        assert shown[name] == before[name]
    assert cast.member.downloads(adopted).content == cast.owner.downloads(source).content
    assert cast.owner.shows(adopted).status_code == 404


def test_adopted_image_stays_when_the_source_is_gone(cast: Cast) -> None:
    source = shared_image(cast, notice="P0D")
    data = cast.member.downloads(source).content
    adopted = adopt(cast.member, source).json()["image_id"]
    assert cast.owner.deletes(source).status_code == 204
    assert cast.member.shows(source).status_code == 404
    assert cast.member.downloads(adopted).content == data


def test_lineage_is_recorded_and_under_v2_nothing_is_ours(cast: Cast) -> None:
    source = shared_image(cast)
    made = adopt(cast.member, source).json()
    found = lineage(cast.member, made["image_id"])
    assert found.json() == {name: made[name] for name in ("image_id", "adopted_from", "adopted_at")}
    assert source not in cast.member.shows(made["image_id"]).text
    assert cast.member.shares_with(made["image_id"], cast.pending.project_id).status_code == 200
    assert problem_of(lineage(cast.pending, made["image_id"])) == (403, "policy-forbids")
    assert lineage(cast.owner, source).json()["adopted_from"] is None


def make_deactivated(cast: Cast) -> str:
    image = offered_image(cast)
    assert cast.owner.does("deactivate", image).status_code == 204
    return image


def without_data(cast: Cast) -> str:
    image = cast.owner.has_an_image(None)
    assert cast.owner.shares_with(image, cast.member.project_id).status_code == 200
    return image


def make_ended(cast: Cast) -> str:
    image = shared_image(cast, notice="P0D")
    assert cast.owner.removes_member(image, cast.member.project_id).status_code == 204
    return image


def make_deleted(cast: Cast) -> str:
    image = shared_image(cast, notice="P0D")
    assert cast.owner.deletes(image).status_code == 204
    return image


def never_shared(cast: Cast) -> str:
    return cast.owner.has_an_image()


def malform_id(cast: Cast) -> str:
    del cast
    return "z" * 36


UNREACHABLE: list[Callable[[Cast], str]] = [make_deactivated, without_data, make_ended, make_deleted, never_shared, malform_id]


@pytest.mark.parametrize("situation", UNREACHABLE)
def test_every_failure_to_reach_the_source_answers_with_the_same_bytes(situation: Callable[[Cast], str], cast: Cast) -> None:
    source, never = situation(cast), str(uuid4())
    assert blanked(adopt(cast.member, source), source) == blanked(adopt(cast.member, never), never)
    assert problem_of(adopt(cast.member, source)) == (404, "image-not-found")


@pytest.mark.parametrize(
    "document",
    [
        {"colour": "blue"},
        {"name": 5},
        {"name": "x" * 256},
        {"visibility": "secret"},
        {"tags": "t"},
        {"tags": ["x" * 256]},
        {"properties": []},
        {"properties": {"colour": 5}},
        {"properties": {"": "x" * 65_536}},
        {"properties": {"size": "5"}},
        {"properties": {"name": "n"}},
        {"properties": {" owner ": "n"}},
        {"properties": {"os_glance_import_task": "t"}},
        {"properties": {"img_signature": "s"}},
        {"properties": {"a": "b", "a ": "c"}},
        [],
    ],
)
def test_document_that_does_not_fit_is_a_problem(document: Any, cast: Cast) -> None:
    answer = cast.member.call("POST", f"/partage/v1/images/{MISSING}/adopt", json=document)
    assert problem_of(answer) == (400, "body-invalid")


def test_adoption_is_named_among_the_features(cast: Cast) -> None:
    assert "adopt" in cast.anonymous.call("GET", "/partage").json()["features"]
