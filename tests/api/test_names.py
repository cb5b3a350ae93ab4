"""One reading of the names of properties and tags on every road: what one road keeps, the others find, change and remove."""

import string
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partage import problems
from partage.model import patch
from partage.model.document import ATTRIBUTES, DISALLOWED, DROPPED, KnownFormats, parse_new_image, parse_tag, read_name
from partage.model.ids import ImageID
from partage.model.remote_image import parse_remote_image
from partage.operations.import_plugins import ImportPlugins
from partage.records import images as image_rows
from tests.api.conftest import World
from tests.api.personas import Cast, Persona
from tests.operations.services import Clock

SPACES = " \t\n\u00a0\u2003\u3000"
names = st.text(st.sampled_from(SPACES + string.ascii_letters + "/~_.-%+&=\u00fc\u0130\U0001f600"), max_size=8) | st.sampled_from(
    ["os_distro ", " os_distro", "os_glance_x", " OS_GLANCE_x", "x" * 255 + " ", "x" * 256, "location", " locations2", "deleted "]
)
KNOWN = KnownFormats()
RESERVED = {*ATTRIBUTES, *DISALLOWED, *DROPPED, "locations"}


def pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def kept(road: Callable[[], Any]) -> Any:
    """Give what a road keeps, or the class of its refusal."""
    try:
        return road()
    except problems.Problem as problem:
        return type(problem)


def created(name: str) -> list[str]:
    return sorted(parse_new_image({name: "x"}, KNOWN).properties)


def patched(name: str) -> list[str]:
    image = parse_new_image({}, KNOWN).image(id=ImageID("i"), owner=None, now=Clock()())
    changes = patch.parse([{"op": "add", "path": pointer(name), "value": "x"}], version="2.1", known=KNOWN)
    return sorted(patch.apply(image, changes, now=Clock()()).properties)


@given(names)
def test_property_name_is_normalised_by_every_route(name: str) -> None:
    if read_name(name) in RESERVED:
        return
    by_create, by_patch = kept(lambda: created(name)), kept(lambda: patched(name))
    assert by_create == by_patch
    image = parse_new_image({}, KNOWN).image(id=ImageID("i"), owner=None, now=Clock()())
    injected = sorted(ImportPlugins(inject={name: "x"}).inject_properties(image, []).properties)
    remote = {"status": "active", "size": 1, "disk_format": "raw", "container_format": "bare", name: "x"}
    copied = sorted(parse_remote_image(remote, copied=[""], known=KNOWN).properties)
    expected = by_create if isinstance(by_create, list) else []
    assert injected == copied == expected


@given(names)
def test_tag_name_is_normalised_by_every_route(tag: str) -> None:
    image = parse_new_image({}, KNOWN).image(id=ImageID("i"), owner=None, now=Clock()())

    def by_patch() -> list[str]:
        changes = patch.parse([{"op": "add", "path": "/tags", "value": [tag]}], version="2.1", known=KNOWN)
        return list(patch.apply(image, changes, now=Clock()()).tags)

    roads = [kept(by_patch), kept(lambda: list(parse_new_image({"tags": [tag]}, KNOWN).tags)), kept(lambda: [parse_tag(tag)])]
    assert roads[0] == roads[1] == roads[2]


def test_odd_names_are_found_changed_and_removed(cast: Cast) -> None:
    @settings(max_examples=25, deadline=None)
    @given(name=names, other=names)
    def hold(name: str, other: str) -> None:
        walk(cast.owner, name, other)

    hold()


def walk(owner: Persona, name: str, other: str) -> None:
    """Give an image a property and a tag by these names, find it by them, and take them away again."""
    image = owner.has_an_image(None)
    if read_name(name) not in RESERVED and owner.creates(**{name: "1"}).status_code == 201:
        made = owner.creates(**{name: "1"}).json()["id"]
        assert owner.sees_in_list(made, "&" + urlencode({name: "1"})) or name_is_a_parameter(name)
        assert owner.patches(made, {"op": "replace", "path": pointer(name), "value": "2"}).status_code == 200
        assert owner.shows(made).json()[read_name(name)] == "2"
        assert owner.patches(made, {"op": "remove", "path": pointer(name)}).status_code == 200
        assert read_name(name) not in owner.shows(made).json()
    path = f"/v2/images/{image}/tags/{quote(other, safe='')}"
    if "/" in other or not other or set(other) == {"."}:
        return
    answer = owner.call("PUT", path)
    assert answer.status_code in (204, 400)
    assert (owner.sets(image, "tags", [other]).status_code == 200) == (answer.status_code == 204)
    if answer.status_code == 204:
        assert owner.sees_in_list(image, "&" + urlencode({"tag": other}))
        assert owner.shows(image).json()["tags"] == [read_name(other)]
        assert owner.call("DELETE", path).status_code == 204
        assert owner.shows(image).json()["tags"] == []


def name_is_a_parameter(name: str) -> bool:
    return read_name(name) in ("limit", "marker", "tag", "sort", "sort_key", "sort_dir", "member_status", "visibility", "deleted")


@pytest.mark.parametrize("name", ["os_distro ", " os_distro", "\tos_distro\u00a0"])
def test_property_with_outer_spaces_is_kept_without_them(name: str, cast: Cast) -> None:
    made = cast.owner.creates(**{name: "debian"})
    assert made.json()["os_distro"] == "debian"
    assert cast.owner.sets(made.json()["id"], name, "arch").json()["os_distro"] == "arch"
    twice = cast.owner.creates(**{name: "a", "os_distro": "b"})
    assert (twice.status_code, "occurs twice" in twice.text) == (400, True)


def test_tag_with_a_four_byte_character_is_refused_by_every_route(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    answers = [
        cast.owner.call("PUT", f"/v2/images/{image}/tags/{quote(chr(0x1F600))}"),
        cast.owner.sets(image, "tags", [chr(0x1F600)]),
        cast.owner.creates(tags=[chr(0x1F600)]),
    ]
    assert [each.status_code for each in answers] == [400] * 3
    assert all("4 byte unicode" in each.text for each in answers)


def test_odd_names_from_before_can_be_changed_and_removed(world: World, cast: Cast) -> None:
    owner, image = cast.owner, cast.owner.has_an_image(None)
    smile = chr(0x1F600)
    with world.service.database.write() as tx:
        found = image_rows.find_for_work(tx, ImageID(image))
        assert found is not None
        odd = replace(found, properties={"os_distro ": "a", " os_distro": "b", smile: "c", "": "d"}, tags=(" x ", smile, ""))
        image_rows.save(tx, odd, was=found)
    assert owner.sets(image, "os_distro ", "changed").json()["os_distro "] == "changed"
    assert owner.sets(image, "name", "still usable").status_code == 200
    for name in ("os_distro ", " os_distro", smile, ""):
        assert owner.patches(image, {"op": "remove", "path": pointer(name)}).status_code == 200, name
    assert owner.call("DELETE", f"/v2/images/{image}/tags/{quote(' x ')}").status_code == 204
    assert owner.call("DELETE", f"/v2/images/{image}/tags/{quote(smile)}").status_code == 204
    assert owner.sets(image, "tags", ["y"]).json()["tags"] == ["y"]
    assert not {"os_distro ", " os_distro", smile, ""} & set(owner.shows(image).json())
