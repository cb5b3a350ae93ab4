"""How much one project may have: counted when it matters, and never passed, however many ask at once."""

import os
from collections.abc import Callable

import pytest

from partage.model.limits import Limits
from tests.api.conftest import World, cast_of
from tests.api.personas import Cast, Persona, at_once

KIB = 1 << 10
Everybody = dict[str, tuple[str, str]]
Worlds = Callable[..., World]


@pytest.fixture
def people(another_world: Worlds, everybody: Everybody) -> Callable[[Limits], Cast]:
    """Let everybody act on a service with these limits."""
    return lambda limits: cast_of(another_world(limits=limits), everybody)


def images_of(who: Persona) -> list[str]:
    return [each["id"] for each in who.lists("limit=1000") if each["owner"] == who.project_id]


def stored_of(who: Persona) -> int:
    return sum(each["size"] or 0 for each in who.lists("limit=1000") if each["owner"] == who.project_id)


# Images


def test_a_project_has_as_many_images_as_the_limit_says(people: Callable[[Limits], Cast]) -> None:
    cast = people(Limits(images_per_project=3))
    answers = at_once(cast.owner, *[lambda who: who.creates()] * 16)
    assert sorted(each.status_code for each in answers) == [201] * 3 + [413] * 13
    assert len(images_of(cast.owner)) == 3
    refused = cast.owner.creates()
    assert "The project has the maximum of 3 images" in refused.text
    assert cast.member.creates().status_code == 201
    cast.owner.deletes(images_of(cast.owner)[0])
    assert cast.owner.creates().status_code == 201
    assert cast.owner.creates().status_code == 413


def test_images_that_others_share_do_not_count(people: Callable[[Limits], Cast]) -> None:
    cast = people(Limits(images_per_project=1))
    image = cast.owner.has_an_image(None)
    cast.owner.shares_with(image, cast.member.project_id)
    cast.member.accepts(image)
    assert cast.member.creates().status_code == 201


def test_an_image_given_to_a_project_counts_there(people: Callable[[Limits], Cast]) -> None:
    cast = people(Limits(images_per_project=1))
    image = cast.owner.has_an_image(None)
    cast.member.has_an_image(None)
    assert cast.admin.sets(image, "owner", cast.member.project_id).status_code == 413
    assert cast.admin.sets(image, "owner", cast.pending.project_id).status_code == 200
    assert cast.owner.creates().status_code == 201
    assert cast.admin.creates(owner=cast.pending.project_id).status_code == 413


# Bytes


@pytest.mark.parametrize("chunked", [False, True])
def test_a_project_stores_no_more_bytes_than_the_limit_says(chunked: bool, people: Callable[[Limits], Cast]) -> None:
    cast = people(Limits(storage_per_project_bytes=300 * KIB))
    images = [cast.owner.has_an_image(None) for _ in range(12)]
    data = [os.urandom(100 * KIB) for _ in images]
    calls = [
        lambda who, image=image, body=body: who.uploads(image, iter([body]) if chunked else body)
        for image, body in zip(images, data, strict=True)
    ]
    answers = at_once(cast.owner, *calls)
    assert sorted(each.status_code for each in answers) == [204] * 3 + [413] * 9
    assert stored_of(cast.owner) == 300 * KIB
    for image, body, answer in zip(images, data, answers, strict=True):
        if answer.status_code == 204:
            assert cast.owner.downloads(image).content == body
        else:
            assert cast.owner.shows(image).json()["status"] == "queued"


def test_the_last_byte_fits_and_one_more_does_not(people: Callable[[Limits], Cast]) -> None:
    cast = people(Limits(storage_per_project_bytes=1000))
    cast.owner.has_an_image(b"x" * 400)
    image = cast.owner.has_an_image(None)
    refused = cast.owner.uploads(image, b"y" * 601)
    assert refused.status_code == 413
    assert "the project has room for 600 more bytes" in refused.text
    assert cast.owner.uploads(image, iter([b"y" * 601])).status_code == 413
    assert cast.owner.uploads(image, b"y" * 600).status_code == 204
    assert cast.owner.uploads(cast.owner.has_an_image(None), b"z").status_code == 413
    assert cast.owner.uploads(cast.owner.has_an_image(None), b"").status_code == 204


def test_deleting_makes_room_and_equal_bytes_count_each_time(people: Callable[[Limits], Cast]) -> None:
    """What is stored once is charged to each image in full: nobody learns from a quota who else has the same bytes."""
    cast = people(Limits(storage_per_project_bytes=1000))
    first = cast.owner.has_an_image(b"x" * 500)
    cast.owner.has_an_image(b"x" * 500)
    third = cast.owner.has_an_image(None)
    assert cast.owner.uploads(third, b"x" * 500).status_code == 413
    assert cast.owner.deletes(first).status_code == 204
    assert cast.owner.uploads(third, b"x" * 500).status_code == 204


def test_a_shared_image_is_charged_to_its_owner_alone(people: Callable[[Limits], Cast]) -> None:
    cast = people(Limits(storage_per_project_bytes=1000))
    image = cast.owner.has_an_image(b"x" * 1000)
    cast.owner.shares_with(image, cast.member.project_id)
    cast.member.accepts(image)
    assert cast.member.downloads(image).status_code == 200
    assert cast.member.uploads(cast.member.has_an_image(None), b"y" * 1000).status_code == 204


def test_failed_uploads_and_deletions_in_the_middle_leave_nothing_charged(people: Callable[[Limits], Cast]) -> None:
    cast = people(Limits(storage_per_project_bytes=1000))
    for number in range(10):
        image = cast.owner.has_an_image(None)
        assert cast.owner.uploads(image, b"x" * 900, **{"X-OpenStack-Image-Size": "901"}).status_code == 400
        if number % 2:
            cast.owner.deletes(image)
    assert stored_of(cast.owner) == 0
    assert cast.owner.uploads(cast.owner.has_an_image(None), b"x" * 1000).status_code == 204


# Properties


def test_an_image_has_128_properties_and_no_more(cast: Cast) -> None:
    many = {f"p{number}": "x" for number in range(128)}
    image = cast.owner.has_an_image(None, **many)
    one_more = {"op": "add", "path": "/more", "value": "x"}
    assert cast.owner.patches(image, one_more).status_code == 413
    assert cast.owner.creates(**many, more="x").status_code == 413
    assert cast.owner.sets(image, "p0", "changed").status_code == 200
    assert cast.owner.patches(image, {"op": "remove", "path": "/p0"}, one_more).status_code == 200


def test_parallel_properties_do_not_pass_the_limit_together(people: Callable[[Limits], Cast]) -> None:
    cast = people(Limits(properties=3))
    image = cast.owner.has_an_image(None)
    calls = [
        lambda who, number=number: who.patches(image, {"op": "add", "path": f"/p{number}", "value": "x"}) for number in range(12)
    ]
    assert sorted(each.status_code for each in at_once(cast.owner, *calls)) == [200] * 3 + [413] * 9


def test_minus_one_means_unlimited(people: Callable[[Limits], Cast]) -> None:
    cast = people(Limits(tags=-1, properties=-1, members=-1))
    many = {f"p{number}": "x" for number in range(200)}
    image = cast.owner.has_an_image(None, tags=list(many), **many)
    for number in range(140):
        assert cast.owner.shares_with(image, f"m{number}").status_code == 200
