"""The operator's schema of custom properties, as clients meet it."""

from collections.abc import Callable, Iterator

import pytest

from partage.model import image_schema
from partage.model.document import KnownFormats
from tests.api.conftest import World, cast_of
from tests.api.personas import Cast

DISTRO = {"type": "string", "enum": ["debian", "ubuntu"], "description": "The system inside"}
GIVEN = {"properties": {"os_distro": DISTRO}, "required": ["os_distro"]}


@pytest.fixture
def cast(another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]) -> Iterator[Cast]:
    """Everybody, on a service whose operator wants to know every image's distribution."""
    people = cast_of(another_world({"formats": KnownFormats(properties=image_schema.parse(GIVEN))}), everybody)
    yield people
    people.leave()


def test_required_properties_are_in_the_schema(cast: Cast) -> None:
    schema = cast.owner.call("GET", "/v2/schemas/image").json()
    assert schema["properties"]["os_distro"] == {**DISTRO, "is_base": False}
    assert schema["required"] == ["os_distro"]
    assert schema["additionalProperties"] == {"type": "string"}
    assert cast.owner.call("GET", "/v2/schemas/images").json()["properties"]["images"]["items"] == schema


def test_values_outside_the_schema_are_refused(cast: Cast) -> None:
    assert cast.owner.creates(name="n").status_code == 400
    assert "is a required property" in cast.owner.creates(name="n").text
    assert cast.owner.creates(os_distro="windows").status_code == 400
    image = cast.owner.has_an_image(None, os_distro="debian", colour="blue")
    assert cast.owner.sets(image, "os_distro", "windows").status_code == 400
    assert cast.owner.shows(image).json()["os_distro"] == "debian"
    assert cast.owner.sets(image, "os_distro", "ubuntu").status_code == 200
    assert cast.owner.sets(image, "colour", "red").status_code == 200
