"""Property protections: the operator's file decides who sees and changes which custom properties."""

from collections.abc import Callable
from pathlib import Path

import pytest

from partage import problems
from partage.policies.authority import Authority
from partage.policies.properties import PropertyProtections
from tests.api.conftest import World, cast_of
from tests.api.personas import Cast

FILE = """
[^x_reader_sees]
create = member, admin
read = @
update = MEMBER
delete = admin

[^x_secret]
create = admin
read = admin
update = admin
delete = admin

[^x_]
create = @
read = @
update = !
delete = !

[colour]
create = @
read = @
update = @
delete = @
"""


@pytest.fixture
def cast(another_world: Callable[..., World], everybody: dict[str, tuple[str, str]], tmp_path: Path) -> Cast:
    file = tmp_path / "protections.conf"
    file.write_text(FILE)
    authority = Authority()
    return cast_of(another_world(authority=authority, protections=PropertyProtections(authority, file)), everybody)


def with_secret(cast: Cast) -> str:
    image = cast.owner.has_an_image(None, colour="blue", x_open="1")
    assert cast.admin.patches(image, {"op": "add", "path": "/x_secret", "value": "s"}).status_code == 200
    return image


def test_a_property_that_may_not_be_read_is_not_there(cast: Cast) -> None:
    image = with_secret(cast)
    assert cast.admin.shows(image).json()["x_secret"] == "s"
    assert "x_secret" not in cast.owner.shows(image).json()
    assert all("x_secret" not in each for each in cast.owner.lists("limit=1000"))
    assert cast.owner.lists("colour=blue")
    assert cast.owner.lists("x_secret=s") == []
    assert [each["id"] for each in cast.admin.lists("x_secret=s")] == [image]


def test_changes_by_those_who_do_not_see_it_leave_it_as_it_is(cast: Cast) -> None:
    image = with_secret(cast)
    answer = cast.owner.patches(image, {"op": "replace", "path": "/colour", "value": "red"})
    assert (answer.status_code, answer.json()["colour"]) == (200, "red")
    assert "x_secret" not in answer.json()
    assert cast.admin.shows(image).json()["x_secret"] == "s"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"op": "add", "path": "/x_secret", "value": "t"}, 403),
        ({"op": "replace", "path": "/x_secret", "value": "t"}, 409),
        ({"op": "remove", "path": "/x_secret"}, 409),
        ({"op": "replace", "path": "/x_open", "value": "1"}, 403),
        ({"op": "remove", "path": "/x_open"}, 403),
        ({"op": "add", "path": "/x_new", "value": "1"}, 200),
        ({"op": "add", "path": "/x_reader_sees", "value": "1"}, 200),
        ({"op": "add", "path": "/unmatched", "value": "1"}, 403),
        ({"op": "remove", "path": "/colour"}, 200),
    ],
)
def test_a_change_is_made_or_refused_whole(change: dict[str, str], status: int, cast: Cast) -> None:
    image = with_secret(cast)
    before = cast.admin.shows(image).json()
    answer = cast.owner.patches(image, {"op": "replace", "path": "/name", "value": "new"}, change)
    assert answer.status_code == status
    if status == 403:
        assert f"Attribute '{change['path'][1:]}' is reserved." in answer.text
    if status != 200:
        assert cast.admin.shows(image).json() == before


def test_administrators_are_not_exempt_from_property_protections(cast: Cast) -> None:
    image = with_secret(cast)
    assert cast.admin.patches(image, {"op": "replace", "path": "/x_open", "value": "2"}).status_code == 403
    assert cast.admin.creates(unmatched="1").status_code == 403
    assert cast.owner.creates(x_secret="1").status_code == 403
    assert cast.owner.creates(x_reader_sees="1").status_code == 201


def test_the_services_own_properties_are_outside_of_it(
    another_world: Callable[..., World], everybody: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    file = tmp_path / "protections.conf"
    file.write_text(FILE.replace("[colour]", "[os_glance.*]"))
    authority = Authority()
    world = another_world(authority=authority, protections=PropertyProtections(authority, file))
    owner = cast_of(world, everybody).owner
    image = owner.has_an_image(None)
    owner.stages(image)
    owner.imports(image)
    assert "os_glance_import_task" in owner.shows(image).json()
    world.works()
    assert owner.shows(image).json()["status"] == "active"
    assert owner.patches(image, {"op": "add", "path": "/os_glance_x", "value": "1"}).status_code == 403


def test_policies_may_decide_in_place_of_roles(
    tmp_path: Path, another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]
) -> None:
    policy, file = tmp_path / "policy.yaml", tmp_path / "protections.conf"
    policy.write_text('"painters": "role:admin"')
    file.write_text("[colour]\ncreate = painters\nread = @\nupdate = painters\ndelete = !\n")
    authority = Authority(policy)
    cast = cast_of(another_world(authority=authority, protections=PropertyProtections(authority, file, "policies")), everybody)
    assert cast.owner.creates(colour="blue").status_code == 403
    assert cast.admin.creates(colour="blue").status_code == 201


@pytest.mark.parametrize(
    ("text", "form", "words"),
    [
        ("[a]\ncreate=@\nread=@\nupdate=@\n", "roles", "have no delete in"),
        ("[a(]\ncreate=@\nread=@\nupdate=@\ndelete=@\n", "roles", "is not a regular expression"),
        ("[a]\ncreate=@,!\nread=@\nupdate=@\ndelete=@\n", "roles", "have both @ and !"),
        ("[a]\ncreate=x,y\nread=@\nupdate=@\ndelete=@\n", "policies", "several policies"),
        ("[a]\ncreate=unheard_of\nread=@\nupdate=@\ndelete=@\n", "policies", "does not define"),
        ("create=@", "roles", "cannot be read"),
    ],
)
def test_invalid_property_protections_stop_the_start(text: str, form: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "protections.conf"
    file.write_text(text)
    with pytest.raises(problems.Unavailable, match=words):
        PropertyProtections(Authority(), file, form)  # type: ignore[arg-type]


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(problems.Unavailable, match="cannot be read"):
        PropertyProtections(Authority(), tmp_path / "absent")
