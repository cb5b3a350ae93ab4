"""Documents of images: what may be created, changed and deleted, and what comes of it."""

import time
from typing import Any
from uuid import uuid4

import pytest

from tests.api.personas import PATCH, Cast, at_once

PATCH_0 = "application/openstack-images-v2.0-json-patch"
ATTRIBUTES = {
    "id",
    "name",
    "status",
    "visibility",
    "protected",
    "os_hidden",
    "checksum",
    "os_hash_algo",
    "os_hash_value",
    "owner",
    "size",
    "virtual_size",
    "container_format",
    "disk_format",
    "created_at",
    "updated_at",
    "tags",
    "min_ram",
    "min_disk",
    "self",
    "file",
    "schema",
}


def add(name: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": f"/{name}", "value": value}


def remove(name: str) -> dict[str, Any]:
    return {"op": "remove", "path": f"/{name}"}


def put(name: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": f"/{name}", "value": value}


# Create


def test_a_new_image_has_every_attribute_and_waits_for_its_data(cast: Cast) -> None:
    answer = cast.owner.call("POST", "/v2/images", json={})
    document = answer.json()
    assert answer.status_code == 201
    assert set(document) == ATTRIBUTES
    assert document["owner"] == cast.owner.project_id
    assert document["status"] == "queued"
    assert document["visibility"] == "shared"
    assert document["tags"] == []
    assert [document[name] for name in ("protected", "os_hidden", "min_ram", "min_disk")] == [False, False, 0, 0]
    unset = {name for name, value in document.items() if value is None}
    assert unset == {"name", "checksum", "os_hash_algo", "os_hash_value", "size", "virtual_size", "container_format", "disk_format"}
    assert document["self"] == f"/v2/images/{document['id']}"
    assert document["file"] == f"/v2/images/{document['id']}/file"
    assert document["schema"] == "/v2/schemas/image"
    time.strptime(document["created_at"], "%Y-%m-%dT%H:%M:%SZ")


def test_a_new_image_says_where_it_is_and_which_stores_there_are(cast: Cast) -> None:
    answer = cast.owner.creates()
    assert answer.headers["Location"] == f"{cast.owner.endpoint}{answer.json()['self']}"
    assert answer.headers["OpenStack-image-store-ids"] == "local,second"
    assert cast.owner.call("GET", answer.json()["self"]).json() == answer.json()


def test_everything_that_is_given_is_kept(cast: Cast) -> None:
    given = {
        "id": str(uuid4()).upper(),
        "name": "ünïcode — naïve",
        "visibility": "private",
        "protected": True,
        "os_hidden": True,
        "min_ram": 2**31 - 1,
        "min_disk": 7,
        "disk_format": "qcow2",
        "container_format": "bare",
        "tags": ["b", "a", "b"],
        "os_distro": "debian",
        "": "a property without a name",
        "with/slash": "x",
        "long": "x" * 65_535,
    }
    document = cast.owner.creates(**given).json()
    assert {name: document[name] for name in given} == {**given, "tags": ["a", "b"]}
    assert cast.owner.sets(document["id"], "protected", False).status_code == 200


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", None])
def test_the_media_type_of_a_new_image_does_not_matter(media_type: str | None, cast: Cast) -> None:
    answer = cast.owner.call("POST", "/v2/images", data=b'{"name": "n"}', headers={"Content-Type": media_type})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "name",
    [
        "status",
        "checksum",
        "size",
        "virtual_size",
        "created_at",
        "updated_at",
        "file",
        "self",
        "schema",
        "direct_url",
        "stores",
        "location",
        "deleted",
        "deleted_at",
        "locations",
        "os_glance_importing_to_stores",
    ],
)
def test_read_only_attributes_are_refused_on_create(name: str, cast: Cast) -> None:
    value: Any = {"size": 1, "virtual_size": 1, "status": "active", "locations": []}.get(name, "x")
    assert cast.owner.creates(**{name: value}).status_code == 403
    image = cast.owner.has_an_image(None)
    change = add("locations/-", {"url": "http://x", "metadata": {}}) if name == "locations" else add(name, value)
    assert cast.owner.patches(image, change).status_code == 403


def test_digests_that_a_client_names_are_not_believed(cast: Cast) -> None:
    document = cast.owner.creates(os_hash_algo="sha512", os_hash_value="f" * 128).json()
    assert document["os_hash_algo"] is document["os_hash_value"] is None


def test_an_administrator_may_create_for_others_and_for_nobody(cast: Cast) -> None:
    assert cast.admin.creates(owner=cast.owner.project_id).json()["owner"] == cast.owner.project_id
    ownerless = cast.admin.creates(owner=None, visibility="shared").json()
    assert ownerless["owner"] is None
    assert cast.outsider.shows(ownerless["id"]).status_code == 200


def test_an_id_is_never_used_twice(cast: Cast) -> None:
    image = str(uuid4())
    assert cast.owner.creates(id=image).status_code == 201
    for who in (cast.owner, cast.member, cast.admin):
        assert who.creates(id=image).status_code == 409
    assert cast.owner.deletes(image).status_code == 204
    for who in (cast.owner, cast.member, cast.admin):
        assert who.creates(id=image).status_code == 409
    assert cast.owner.shows(image).status_code == 404


def test_of_many_who_create_the_same_id_at_once_one_succeeds(cast: Cast) -> None:
    image = str(uuid4())
    answers = at_once(cast.owner, *[lambda who: who.creates(id=image)] * 8)
    assert sorted(each.status_code for each in answers) == [201] + [409] * 7


# Patch


def test_a_patch_answers_with_the_changed_image(cast: Cast) -> None:
    image = cast.owner.has_an_image(None, colour="blue", shape="round")
    answer = cast.owner.patches(
        image,
        put("name", "n"),
        put("tags", ["z", "a", "a"]),
        add("size_of_box", "7"),
        put("colour", "red"),
        remove("shape"),
        put("min_disk", 3),
        put("os_hidden", True),
        put("visibility", "private"),
    )
    changed = answer.json()
    assert (changed["name"], changed["tags"], changed["min_disk"], changed["os_hidden"]) == ("n", ["a", "z"], 3, True)
    assert (changed["size_of_box"], changed["colour"], changed["visibility"]) == ("7", "red", "private")
    assert "shape" not in changed
    assert cast.owner.shows(image).json() == changed


@pytest.mark.parametrize(
    "refused",
    [
        put("absent", "x"),
        remove("absent"),
        add("os_glance_x", "y"),
        put("status", "active"),
        put("owner", "x"),
        remove("name"),
        put("visibility", "public"),
        put("visibility", "nonsense"),
        put("min_ram", -1),
        put("name", "\U0001f600"),
        add("x", 5),
        {"op": "test", "path": "/name", "value": "n"},
        {"op": "add", "path": "/a/b", "value": "x"},
        add("locations/-", {"url": "file:///etc/passwd", "metadata": {}}),
    ],
    ids=str,
)
def test_a_patch_is_applied_whole_or_not_at_all(refused: dict[str, Any], cast: Cast) -> None:
    image = cast.owner.has_an_image(None, colour="blue", tags=["kept"])
    before = cast.owner.shows(image).json()
    changes = [put("name", "changed"), add("new", "property"), put("tags", []), remove("colour")]
    for patch in ([*changes, refused], [refused, *changes]):
        assert cast.owner.patches(image, *patch).status_code in (400, 403, 409)
        assert cast.owner.shows(image).json() == before


def test_changes_are_applied_in_order(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert cast.owner.patches(image, add("a", "1"), put("a", "2"), remove("a"), add("a", "3")).json()["a"] == "3"
    assert cast.owner.patches(image, remove("a"), put("a", "4")).status_code == 409
    assert cast.owner.patches(image, put("name", "first"), put("name", "last")).json()["name"] == "last"


def test_an_empty_patch_changes_nothing(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    before = cast.owner.shows(image).json()
    assert cast.owner.patches(image).json() == before


def test_a_change_is_dated(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    before = cast.owner.shows(image).json()
    time.sleep(1 - time.time() % 1 + 0.01)  # times are shown in whole seconds: the change falls into the next
    after = cast.owner.sets(image, "name", "n").json()
    assert after["updated_at"] > before["updated_at"]
    assert after["created_at"] == before["created_at"]


def test_names_with_slashes_and_tildes_are_escaped(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    changed = cast.owner.patches(image, add("a~1b~0c", "x")).json()
    assert changed["a/b~c"] == "x"
    assert "a/b~c" not in cast.owner.patches(image, remove("a~1b~0c")).json()


def test_the_two_media_types_differ_in_what_adding_again_means(cast: Cast) -> None:
    image = cast.owner.has_an_image(None, colour="blue")
    assert cast.owner.patches(image, add("colour", "red")).json()["colour"] == "red"
    older: Any = {"add": "/colour", "value": "green"}
    assert cast.owner.patches(image, older, media_type=PATCH_0).status_code == 409
    assert cast.owner.patches(image, {"add": "/name", "value": "n"}, media_type=PATCH_0).status_code == 409
    assert cast.owner.patches(image, {"replace": "/colour", "value": "green"}, media_type=PATCH_0).json()["colour"] == "green"
    assert "colour" not in cast.owner.patches(image, {"remove": "/colour"}, media_type=PATCH_0).json()
    assert cast.owner.patches(image, {"add": "/colour", "value": "x"}, media_type=PATCH_0).json()["colour"] == "x"


@pytest.mark.parametrize("media_type", ["application/json", "application/json-patch+json", "", "text/plain"])
def test_another_media_type_is_refused_with_those_that_are_taken(media_type: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    answer = cast.owner.patches(image, put("name", "n"), media_type=media_type)
    assert answer.status_code == 415
    assert set(answer.headers["Accept-Patch"].split(", ")) == {PATCH, PATCH_0}


def test_a_media_type_may_have_parameters(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert cast.owner.patches(image, put("name", "n"), media_type=f"{PATCH}; charset=utf-8").status_code == 200
    assert cast.owner.patches(image, put("name", "n"), media_type=PATCH.upper()).status_code == 415


def test_an_owner_may_say_who_the_owner_is_and_change_nothing(cast: Cast) -> None:
    """As by Glance: said again with `add`, not with `replace`; but here nobody makes an image nobody's."""
    image = cast.owner.has_an_image(None)
    for op, owner, status in (
        ("add", cast.owner.project_id, 200),
        ("replace", cast.owner.project_id, 403),
        ("add", cast.outsider.project_id, 403),
        ("add", None, 403),
    ):
        assert cast.owner.patches(image, {"op": op, "path": "/owner", "value": owner}).status_code == status
        assert cast.owner.shows(image).json()["owner"] == cast.owner.project_id


@pytest.mark.parametrize("name", ["disk_format", "container_format"])
def test_formats_change_only_before_there_is_data(name: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert cast.owner.sets(image, name, "ami").status_code == 200
    cast.owner.patches(image, put("disk_format", "raw"), put("container_format", "bare"))
    assert cast.owner.uploads(image).status_code == 204
    present = cast.owner.shows(image).json()[name]
    for value in ("ami", present):
        assert cast.owner.sets(image, name, value).status_code == 403


def test_nobody_but_an_administrator_changes_the_owner(cast: Cast) -> None:
    image = cast.owner.has_an_image()
    for value in (cast.owner.project_id, cast.member.project_id):
        assert cast.owner.sets(image, "owner", value).status_code == 403
    moved = cast.admin.sets(image, "owner", cast.rejected.project_id)
    assert moved.json()["owner"] == cast.rejected.project_id
    assert cast.owner.shows(image).status_code == 404
    assert cast.owner.deletes(image).status_code == 404
    assert cast.rejected.downloads(image).content == b"x" * 10_000
    assert cast.rejected.sees_in_list(image)
    assert cast.rejected.deletes(image).status_code == 204


def test_parallel_changes_of_different_properties_are_all_kept(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    names = [f"p{number}" for number in range(12)]
    answers = at_once(cast.owner, *[lambda who, name=name: who.patches(image, add(name, name)) for name in names])
    assert [each.status_code for each in answers] == [200] * 12
    document = cast.owner.shows(image).json()
    assert {name: document.get(name) for name in names} == {name: name for name in names}


# Protected, hidden, visibilities, delete


def test_a_protected_image_is_deleted_only_after_its_protection_ends(cast: Cast) -> None:
    image = cast.owner.has_an_image(protected=True)
    for who in (cast.owner, cast.admin):
        refused = who.deletes(image)
        assert refused.status_code == 403
        assert f"Image {image} is protected and cannot be deleted." in refused.text
    assert cast.owner.sets(image, "protected", False).status_code == 200
    assert cast.owner.deletes(image).status_code == 204


def test_a_hidden_image_is_out_of_the_usual_list_and_nothing_else(cast: Cast) -> None:
    image = cast.owner.has_an_image(os_hidden=True)
    assert not cast.owner.sees_in_list(image)
    assert cast.owner.sees_in_list(image, "&os_hidden=true")
    assert cast.owner.sees_in_list(image, "&os_hidden=TRUE")
    assert cast.owner.shows(image).status_code == cast.owner.downloads(image).status_code == 200
    assert cast.owner.shares_with(image, cast.member.project_id).status_code == 200
    cast.member.accepts(image)
    assert not cast.member.sees_in_list(image)
    assert cast.member.sees_in_list(image, "&os_hidden=true")
    cast.owner.sets(image, "os_hidden", False)
    assert cast.member.sees_in_list(image)


def test_a_community_image_is_found_by_those_who_ask_for_it(cast: Cast) -> None:
    image = cast.owner.has_an_image(visibility="community")
    assert cast.owner.sees_in_list(image)
    for query, seen in (("", False), ("&visibility=community", True), ("&visibility=all", True), ("&member_status=all", False)):
        assert cast.outsider.sees_in_list(image, query) is seen
    assert cast.outsider.downloads(image).status_code == 200
    assert cast.outsider.sets(image, "name", "mine now").status_code == 403


def test_a_public_image_is_in_every_list_and_only_its_owner_changes_it(cast: Cast) -> None:
    image = cast.owner.has_an_image()
    assert cast.admin.sets(image, "visibility", "public").status_code == 200
    assert cast.outsider.sees_in_list(image)
    assert cast.outsider.downloads(image).status_code == 200
    for refused in (
        cast.outsider.sets(image, "name", "mine"),
        cast.outsider.deletes(image),
        cast.outsider.does("deactivate", image),
    ):
        assert refused.status_code == 403
    assert cast.owner.sets(image, "name", "ours").status_code == 200
    assert cast.owner.sets(image, "visibility", "private").status_code == 200
    assert cast.outsider.shows(image).status_code == 404
    assert cast.owner.sets(image, "visibility", "public").status_code == 403


def test_a_deleted_image_is_gone_for_everybody(cast: Cast) -> None:
    image = cast.owner.has_an_image()
    cast.owner.shares_with(image, cast.member.project_id)
    cast.member.accepts(image)
    assert cast.owner.deletes(image).status_code == 204
    for who in (cast.owner, cast.member, cast.admin):
        assert not who.sees_in_list(image, "&visibility=all&member_status=all")
        for answer in (
            who.shows(image),
            who.downloads(image),
            who.deletes(image),
            who.sets(image, "name", "n"),
            who.uploads(image),
            who.does("reactivate", image),
            who.call("GET", f"/v2/images/{image}/members"),
        ):
            assert answer.status_code == 404


# Deactivate, reactivate


def test_a_deactivated_image_keeps_its_document_and_withholds_its_data(cast: Cast) -> None:
    image = cast.owner.has_an_image(b"data")
    cast.owner.shares_with(image, cast.member.project_id)
    assert cast.owner.does("deactivate", image).status_code == 204
    assert cast.owner.does("deactivate", image).status_code == 204
    for who in (cast.owner, cast.member):
        assert who.shows(image).json()["status"] == "deactivated"
        assert "stores" not in who.shows(image).json()
        for more in ({}, {"Range": "bytes=0-0"}, {"If-None-Match": "*"}):
            assert who.downloads(image, **more).status_code == 403
        assert who.call("HEAD", f"/v2/images/{image}/file").status_code == 403
    assert cast.admin.downloads(image).content == b"data"
    assert cast.admin.shows(image).json()["stores"] == "local"
    assert cast.owner.uploads(image).status_code == 409
    assert cast.owner.sets(image, "name", "n").status_code == 200
    assert cast.owner.does("reactivate", image).status_code == 204
    assert cast.owner.does("reactivate", image).status_code == 204
    assert cast.member.downloads(image).content == b"data"


def test_an_image_without_data_is_neither_deactivated_nor_reactivated(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    for action in ("deactivate", "reactivate"):
        answer = cast.owner.does(action, image)
        assert answer.status_code == 403
        assert f"Not allowed to {action} image in status 'queued'" in answer.text
    assert cast.owner.shows(image).json()["status"] == "queued"


def test_a_deactivated_image_can_be_deleted(cast: Cast) -> None:
    image = cast.owner.has_an_image()
    cast.owner.does("deactivate", image)
    assert cast.owner.deletes(image).status_code == 204


@pytest.mark.parametrize("action", ["activate", "delete", "Deactivate", ""])
def test_there_are_no_other_actions(action: str, cast: Cast) -> None:
    assert cast.owner.does(action, cast.owner.has_an_image()).status_code == 404
