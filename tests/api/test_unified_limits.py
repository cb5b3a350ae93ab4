"""Limits that administrators set in Keystone: registered for everybody, changed for a project, counted as Glance counts them.

The stories of counts, sizes and staging follow what Tempest's scenario of image quotas asks of a cloud.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from partage.identity.keystone import connect
from partage.identity.limits import LimitScope, UnifiedLimits
from partage.main.process import listening
from partage.model.limits import Limits
from tests import registering
from tests.api.conftest import World, cast_of
from tests.api.personas import Cast, Persona, at_once
from tests.standalone import RunningKeystone

MIB = 1 << 20
DATA = os.urandom(MIB)
SIZE, STAGE, COUNT, UPLOADING = "image_size_total", "image_stage_total", "image_count_total", "image_count_uploading"
Everybody = dict[str, tuple[str, str]]


@dataclass
class Story:
    """A cloud with limits, its people, and the administrator's hand on the limits of the owner's project."""

    world: World
    cast: Cast
    registry: registering.Registry

    @property
    def owner(self) -> Persona:
        return self.cast.owner

    def limits(self, **values: int) -> None:
        """Set limits of the owner's project; names without their `image_`."""
        for name, value in values.items():
            self.registry.sets(self.owner.project_id, f"image_{name}", value)

    def usage(self, who: Persona | None = None) -> dict[str, tuple[int, int]]:
        """Ask for usage; usage and limit by name."""
        answer = (who or self.owner).call("GET", "/v2/info/usage")
        assert answer.status_code == 200, answer.text
        return {name: (each["usage"], each["limit"]) for name, each in answer.json()["usage"].items()}


@pytest.fixture
def tell(another_world: Callable[..., World], everybody: Everybody, keystone: RunningKeystone) -> Iterator[Callable[..., Story]]:
    """Begin a story on a cloud whose limits are in Keystone: 10 of everything."""
    with registering.registry(keystone, dict.fromkeys((SIZE, STAGE, COUNT, UPLOADING), 10)) as registry:

        def begin(**limits: bool) -> Story:
            parse_keystone_limits = UnifiedLimits(connect(keystone.credentials), LimitScope(), seconds=0)
            world = another_world(unified_limits=parse_keystone_limits, limits=Limits(**limits))  # type: ignore[arg-type]
            return Story(world, cast_of(world, everybody), registry)

        yield begin


def chunked(data: bytes = DATA) -> Iterator[bytes]:
    return (data[start : start + 65_536] for start in range(0, len(data), 65_536))


def test_usage_is_shown_with_the_limits(tell: Callable[..., Story]) -> None:
    story = tell()
    story.limits(size_total=7)
    assert story.usage() == {SIZE: (0, 7), STAGE: (0, 10), COUNT: (0, 10), UPLOADING: (0, 10)}
    story.owner.has_an_image(DATA * 2)
    staged = story.owner.has_an_image(None)
    assert story.owner.stages(staged, DATA).status_code == 204
    assert story.usage() == {SIZE: (2, 7), STAGE: (1, 10), COUNT: (2, 10), UPLOADING: (1, 10)}
    assert story.usage(story.cast.member) == {SIZE: (0, 10), STAGE: (0, 10), COUNT: (0, 10), UPLOADING: (0, 10)}
    assert story.owner.imports(staged, stores=["local", "second"]).status_code == 202
    assert story.world.works() == 1
    assert story.usage() == {SIZE: (4, 7), STAGE: (0, 10), COUNT: (2, 10), UPLOADING: (0, 10)}


def test_usage_is_empty_where_limits_are_not_kept_in_keystone(cast: Cast) -> None:
    assert cast.owner.call("GET", "/v2/info/usage").json() == {"usage": {}}


def test_images_are_counted(tell: Callable[..., Story]) -> None:
    story = tell()
    story.limits(count_total=1)
    first = story.owner.has_an_image(None)
    refused = story.owner.creates()
    assert refused.status_code == 413
    assert "has the maximum of 1 image;" in refused.text
    story.limits(count_total=2)
    story.owner.has_an_image(None)
    assert story.owner.creates().status_code == 413
    story.owner.deletes(first)
    assert story.owner.creates().status_code == 201


def test_images_with_data_under_way_are_counted(tell: Callable[..., Story]) -> None:
    story, images = tell(), []
    story.limits(count_uploading=1)
    images = [story.owner.has_an_image(None) for _ in range(4)]
    assert story.owner.stages(images[0], chunked()).status_code == 204
    assert story.owner.stages(images[1], chunked()).status_code == 413
    assert story.owner.uploads(images[2], chunked()).status_code == 413
    story.limits(count_uploading=2)
    assert story.owner.uploads(images[2], chunked()).status_code == 204
    assert story.owner.stages(images[1], chunked()).status_code == 204
    assert story.owner.imports(images[1]).status_code == 202
    story.world.works()
    story.limits(count_uploading=1)
    assert story.owner.uploads(images[3], chunked()).status_code == 413
    assert story.owner.imports(images[0]).status_code == 202
    story.world.works()
    assert story.owner.uploads(images[3], chunked()).status_code == 204


def test_sizes_are_hard_limits(tell: Callable[..., Story]) -> None:
    story = tell()
    story.limits(size_total=3)
    images = [story.owner.has_an_image(None) for _ in range(8)]
    calls = [lambda who, image=image: who.uploads(image, chunked(os.urandom(MIB))) for image in images]
    answers = at_once(story.owner, *calls)
    assert sorted(each.status_code for each in answers) == [204] * 3 + [413] * 5
    assert story.usage()[SIZE] == (3, 3)
    left = next(image for image, answer in zip(images, answers, strict=True) if answer.status_code == 413)
    taken = next(image for image, answer in zip(images, answers, strict=True) if answer.status_code == 204)
    assert story.owner.uploads(left, b"x").status_code == 413
    assert story.owner.imports(left, "web-download", _uri="http://example.org/").status_code == 202
    admin = story.cast.admin
    assert admin.imports(taken, "copy-image", stores=["second"]).status_code == 413
    story.limits(size_total=4)
    assert admin.imports(taken, "copy-image", stores=["second"]).status_code == 202
    assert story.usage()[UPLOADING][0] == 2


def test_one_upload_may_exceed_where_the_operator_wants_it_as_in_glance(tell: Callable[..., Story]) -> None:
    story = tell(one_upload_may_exceed=True)
    story.limits(size_total=1)
    images = [story.owner.has_an_image(None) for _ in range(4)]
    assert [story.owner.uploads(image, chunked()).status_code for image in images[:3]] == [204, 204, 413]
    story.limits(size_total=2)
    assert [story.owner.uploads(image, chunked()).status_code for image in images[2:]] == [204, 413]
    story.owner.deletes(images[0])
    assert story.owner.uploads(images[3], chunked()).status_code == 204


def test_one_staging_may_exceed_where_the_operator_wants_it_as_in_glance(tell: Callable[..., Story]) -> None:
    story = tell(one_upload_may_exceed=True)
    story.limits(stage_total=1)
    images = [story.owner.has_an_image(None) for _ in range(4)]
    assert [story.owner.stages(image, chunked()).status_code for image in images[:3]] == [204, 204, 413]
    assert story.owner.uploads(story.owner.has_an_image(None), chunked()).status_code == 204
    story.limits(stage_total=2)
    assert [story.owner.stages(image, chunked()).status_code for image in images[2:]] == [204, 413]
    assert story.owner.imports(images[0]).status_code == 202
    story.world.works()
    assert story.owner.stages(images[3], chunked()).status_code == 204


def test_lowered_limit_refuses_new_images_and_keeps_existing_ones(tell: Callable[..., Story]) -> None:
    story = tell()
    image = story.owner.has_an_image(DATA)
    staged = story.owner.has_an_image(None)
    assert story.owner.stages(staged, DATA).status_code == 204
    story.limits(size_total=1, stage_total=0)
    assert story.owner.downloads(image).content == DATA
    assert story.owner.imports(staged).status_code == 413
    assert story.owner.shows(staged).json()["status"] == "uploading"
    story.limits(size_total=2)
    assert story.owner.imports(staged).status_code == 202


def test_uploads_are_refused_while_keystone_is_down(
    another_world: Callable[..., World], everybody: Everybody, keystone: RunningKeystone
) -> None:
    nowhere = replace(keystone.credentials, url=f"http://127.0.0.1:{listening.find_free_port()}")
    world = another_world(unified_limits=UnifiedLimits(connect(nowhere), LimitScope(), seconds=10))
    owner = cast_of(world, everybody).owner
    for answer in (owner.creates(), owner.call("GET", "/v2/info/usage")):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "try again" in answer.text
    assert owner.lists() == []
