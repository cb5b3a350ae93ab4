"""Tags: one at a time, or the whole list by a patch."""

from collections.abc import Callable
from urllib.parse import quote
from uuid import uuid4

import pytest
import requests

from partage.model.limits import Limits
from tests.api.conftest import World, cast_of
from tests.api.personas import Cast, Persona, at_once


def tags_of(who: Persona, image: str) -> list[str]:
    return list(who.shows(image).json()["tags"])


def tags(who: Persona, image: str, tag: str) -> requests.Response:
    return who.call("PUT", f"/v2/images/{image}/tags/{quote(tag, safe='')}")


def untags(who: Persona, image: str, tag: str) -> requests.Response:
    return who.call("DELETE", f"/v2/images/{image}/tags/{quote(tag, safe='')}")


@pytest.mark.parametrize(
    "tag", ["plain", "with space", "ünïcode", "per%cent", "a+b", "dots..", "?question", "#hash", "x" * 255, "UPPER"]
)
def test_tag_is_added_and_removed(tag: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None, tags=["kept"])
    assert tags(cast.owner, image, tag).status_code == 204
    assert tags(cast.owner, image, tag).status_code == 204
    assert sorted(tags_of(cast.owner, image)) == sorted(["kept", tag])
    assert cast.owner.sees_in_list(image, f"&tag={quote(tag)}")
    assert untags(cast.owner, image, tag).status_code == 204
    assert untags(cast.owner, image, tag).status_code == 404
    assert tags_of(cast.owner, image) == ["kept"]
    assert not cast.owner.sees_in_list(image, f"&tag={quote(tag)}")


def test_tags_differ_by_the_case_of_their_letters(cast: Cast) -> None:
    image = cast.owner.has_an_image(None, tags=["One"])
    assert untags(cast.owner, image, "one").status_code == 404
    assert tags(cast.owner, image, "one").status_code == 204
    assert sorted(tags_of(cast.owner, image)) == ["One", "one"]
    assert cast.owner.sees_in_list(image, "&tag=One&tag=one")


@pytest.mark.parametrize("tag", ["x" * 256, "\x00"])
def test_a_tag_that_cannot_be_kept_is_refused(tag: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None, tags=["kept"])
    assert tags(cast.owner, image, tag).status_code == 400
    assert tags_of(cast.owner, image) == ["kept"]


def test_a_tag_brings_no_body(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    for method in ("PUT", "DELETE"):
        refused = cast.owner.call(method, f"/v2/images/{image}/tags/x", data=b"{}")
        assert refused.status_code == 400
        assert "A body is not expected with this request." in refused.text


def test_the_whole_list_is_replaced_by_a_patch(cast: Cast) -> None:
    image = cast.owner.has_an_image(None, tags=["old"])
    changed = cast.owner.sets(image, "tags", ["b", "a", "b"]).json()
    assert changed["tags"] == ["a", "b"]
    assert not cast.owner.sees_in_list(image, "&tag=old")
    assert cast.owner.patches(image, {"op": "add", "path": "/tags/-", "value": "c"}).status_code == 400
    assert cast.owner.sets(image, "tags", []).json()["tags"] == []


def test_a_new_tag_counts_as_a_change(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    etag = cast.owner.shows(image).headers["ETag"]
    tags(cast.owner, image, "new")
    assert cast.owner.shows(image).headers["ETag"] != etag


def test_parallel_tags_are_all_kept(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    wanted = [f"t{number:02}" for number in range(16)]
    answers = at_once(cast.owner, *[lambda who, tag=tag: tags(who, image, tag) for tag in wanted])
    assert {each.status_code for each in answers} == {204}
    assert tags_of(cast.owner, image) == wanted


def test_an_image_has_128_tags_and_no_more(cast: Cast) -> None:
    many = [str(uuid4()) for _ in range(128)]
    image = cast.owner.has_an_image(None, tags=many)
    assert tags(cast.owner, image, "one more").status_code == 413
    assert tags(cast.owner, image, many[0]).status_code == 204
    assert cast.owner.sets(image, "tags", [*many, "one more"]).status_code == 413
    assert cast.owner.creates(tags=[*many, "one more"]).status_code == 413
    assert untags(cast.owner, image, many[0]).status_code == 204
    assert tags(cast.owner, image, "one more").status_code == 204


def test_parallel_tags_do_not_pass_the_limit_together(
    another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]
) -> None:
    owner = cast_of(another_world(limits=Limits(tags=3)), everybody).owner
    image = owner.has_an_image(None)
    answers = at_once(owner, *[lambda who, number=number: tags(who, image, f"t{number}") for number in range(12)])
    assert sorted(each.status_code for each in answers) == [204] * 3 + [413] * 9
    assert len(tags_of(owner, image)) == 3


def test_tags_can_be_removed_above_a_lowered_limit(
    another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]
) -> None:
    """The operator lowered the limit after the image got its tags: one server with the old limit stands for the time before."""
    before = another_world()
    owner = cast_of(before, everybody).owner
    image = owner.has_an_image(None, tags=["a", "b", "c", "d"])
    after = another_world(limits=Limits(tags=2), database=before.service.database)
    owner = cast_of(after, everybody).owner
    assert tags(owner, image, "e").status_code == 413
    assert owner.sets(image, "name", "still mine").status_code == 200
    assert untags(owner, image, "d").status_code == 204
    assert owner.sets(image, "tags", ["a", "b", "c"]).status_code == 200
