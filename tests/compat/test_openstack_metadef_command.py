"""`openstack image metadef ...`, staging, imports and tasks, unchanged; and that no command for images is left without a run."""

import json
from collections.abc import Callable

import pytest
from openstack.image.v2.image import Image

from tests.compat import offered, test_cached_images, test_openstack_command, worlds
from tests.compat.clouds import Cloud
from tests.compat.commands import OpenStack

Make = Callable[..., Image]

SIZE = {"minimum": 1, "description": "how big"}


def test_every_command_for_images_has_a_run() -> None:
    run = offered.run_by(globals(), vars(test_openstack_command), vars(test_cached_images))
    assert offered.of_openstack() - run == set()


@pytest.mark.runs("image stage", "image import", "image task list", "image task show")
def test_staged_image_is_imported_and_its_task_shown(openstack: OpenStack, cloud: Cloud, an_image: Make, name: str) -> None:
    """`image create` would take standard input for data, so that the SDK makes the image."""
    (openstack.folder / "data").write_bytes(b"x" * 5000)
    image = an_image(data=None).id
    openstack.says("project-a", "image", "stage", "--file", "data", name)
    staged = openstack("project-a", "image", "show", image)
    imported = openstack("project-a", "image", "import", "--method", "glance-direct", "--wait", name)
    worlds.settled(cloud, image)
    assert staged["status"] == "uploading"
    assert imported["id"] == image
    shown = openstack("project-a", "image", "show", image)
    assert (shown["status"], shown["size"]) == ("active", 5000)

    [task] = worlds.settled(cloud, image)
    told = openstack("admin", "image", "task", "show", task["id"])
    assert (told["status"], told["type"], told["owner_id"]) == ("success", "api_image_import", cloud.projects["project-a"])
    listed = openstack("admin", "image", "task", "list", "--status", "success", "--sort-key", "status", "--sort-dir", "desc")
    assert task["id"] in {each["ID"] for each in listed}
    assert openstack.fails("project-a", "image", "task", "list")


def test_import_of_what_is_not_staged_is_refused(openstack: OpenStack, an_image: Make, name: str) -> None:
    an_image(data=None)
    assert "status 'uploading'" in openstack.fails("project-a", "image", "import", "--method", "glance-direct", name)


def test_import_from_a_url_that_is_refused_leaves_the_image_as_it_is(openstack: OpenStack, an_image: Make, name: str) -> None:
    """The client leaves the service's refusal out of account, and shows the image as it was."""
    image = an_image(data=None).id
    openstack("project-a", "image", "import", "--method", "web-download", "--uri", "http://127.0.0.1:1/x", name)
    assert openstack("project-a", "image", "show", image)["status"] == "queued"


@pytest.mark.runs(
    *(f"image metadef namespace {verb}" for verb in ("create", "delete", "list", "set", "show", "unset")),
)
def test_namespace_is_created_listed_changed_and_deleted(openstack: OpenStack, namespace: str) -> None:
    made = openstack(
        *("admin", "image", "metadef", "namespace", "create", "--display-name", "Test", "--description", "Of a test"),
        *("--public", "--unprotected", namespace),
    )
    assert (made["namespace"], made["display_name"], made["visibility"], made["protected"]) == (namespace, "Test", "public", False)
    listed = openstack("project-b", "image", "metadef", "namespace", "list", "--visibility", "public")
    assert namespace in {each["namespace"] for each in listed}

    openstack.says(
        *("admin", "image", "metadef", "namespace", "set", "--display-name", "Changed", "--private", "--protected"),
        *("--tag", "red", "--tag", "blue", namespace),
    )
    shown = openstack("admin", "image", "metadef", "namespace", "show", namespace)
    assert (shown["display_name"], shown["visibility"], shown["protected"]) == ("Changed", "private", True)
    assert sorted(each["name"] for each in shown["tags"]) == ["blue", "red"]
    assert openstack.fails("project-b", "image", "metadef", "namespace", "show", namespace)
    assert openstack.fails("admin", "image", "metadef", "namespace", "delete", namespace)

    openstack.says("admin", "image", "metadef", "namespace", "set", "--unprotected", "--display-name", "Changed", namespace)
    openstack.says("admin", "image", "metadef", "namespace", "unset", "--tag", "red", namespace)
    assert [each["name"] for each in openstack("admin", "image", "metadef", "namespace", "show", namespace)["tags"]] == ["blue"]
    openstack.says("admin", "image", "metadef", "namespace", "unset", "--all-tags", namespace)
    assert not openstack("admin", "image", "metadef", "namespace", "show", namespace).get("tags")

    openstack.says("admin", "image", "metadef", "namespace", "delete", namespace)
    assert openstack.fails("admin", "image", "metadef", "namespace", "show", namespace)
    assert openstack.fails("project-a", "image", "metadef", "namespace", "create", namespace)


@pytest.mark.runs(
    *(f"image metadef object {verb}" for verb in ("create", "delete", "list", "property show", "show", "update")),
)
def test_objects_are_created_and_deleted(openstack: OpenStack, cloud: Cloud, namespace: str) -> None:
    openstack("admin", "image", "metadef", "namespace", "create", namespace)
    made = openstack("admin", "image", "metadef", "object", "create", "--namespace", namespace, "box")
    assert made["name"] == "box"
    assert [each["name"] for each in openstack("admin", "image", "metadef", "object", "list", namespace)] == ["box"]
    openstack.says("admin", "image", "metadef", "object", "update", "--name", "crate", namespace, "box")
    assert openstack("admin", "image", "metadef", "object", "show", namespace, "crate")["name"] == "crate"
    assert openstack.fails("admin", "image", "metadef", "object", "show", namespace, "box")

    admin = cloud.sdk("admin").image
    admin.create_metadef_object(namespace, name="bag", properties={"size": {"title": "Size", "type": "integer", **SIZE}})
    shown = openstack("admin", "image", "metadef", "object", "property", "show", namespace, "bag", "size")
    assert (shown["name"], shown["title"], shown["type"]) == ("size", "Size", "integer")

    openstack.says("admin", "image", "metadef", "object", "delete", namespace, "bag")
    assert [each["name"] for each in openstack("admin", "image", "metadef", "object", "list", namespace)] == ["crate"]
    openstack.says("admin", "image", "metadef", "object", "delete", namespace)
    assert openstack("admin", "image", "metadef", "object", "list", namespace) == []


@pytest.mark.runs(*(f"image metadef property {verb}" for verb in ("create", "delete", "list", "set", "show")))
def test_properties_are_created_and_deleted(openstack: OpenStack, namespace: str) -> None:
    openstack("admin", "image", "metadef", "namespace", "create", namespace)
    for name in ("size", "weight"):
        made = openstack(
            *("admin", "image", "metadef", "property", "create", "--name", name, "--title", "Size", "--type", "integer"),
            *("--schema", json.dumps(SIZE), namespace),
        )
        assert (made["name"], made["title"], made["type"], made["minimum"]) == (name, "Size", "integer", 1)
    listed = openstack("admin", "image", "metadef", "property", "list", namespace)
    assert sorted((each["name"], each["title"], each["type"]) for each in listed) == [
        ("size", "Size", "integer"),
        ("weight", "Size", "integer"),
    ]
    openstack.says(
        "admin", "image", "metadef", "property", "set", "--title", "Extent", "--schema", '{"minimum": 2}', namespace, "size"
    )
    shown = openstack("admin", "image", "metadef", "property", "show", namespace, "size")
    assert (shown["title"], shown["minimum"], shown["description"]) == ("Extent", 2, "how big")
    openstack.says("admin", "image", "metadef", "property", "delete", namespace, "size")
    assert [each["name"] for each in openstack("admin", "image", "metadef", "property", "list", namespace)] == ["weight"]
    assert openstack.fails("admin", "image", "metadef", "property", "delete", namespace, "size")
    openstack.says("admin", "image", "metadef", "property", "delete", namespace)
    assert openstack("admin", "image", "metadef", "property", "list", namespace) == []


@pytest.mark.runs(
    *(f"image metadef resource type association {verb}" for verb in ("create", "delete", "list")),
    "image metadef resource type list",
)
def test_namespace_is_for_types_of_resources(openstack: OpenStack, namespace: str) -> None:
    openstack("admin", "image", "metadef", "namespace", "create", "--protected", namespace)
    at = ("image", "metadef", "resource", "type")
    made = openstack("admin", *at, "association", "create", "--properties-target", "image", namespace, "OS::Compat::Thing")
    assert (made["name"], made["properties_target"]) == ("OS::Compat::Thing", "image")
    assert "OS::Compat::Thing" in {each["Name"] for each in openstack("admin", *at, "list")}
    assert [each["Name"] for each in openstack("admin", *at, "association", "list", namespace)] == ["OS::Compat::Thing"]
    assert openstack.fails("admin", *at, "association", "delete", namespace, "OS::Compat::Thing")
    openstack.says("admin", *at, "association", "delete", "--force", namespace, "OS::Compat::Thing")
    assert openstack("admin", *at, "association", "list", namespace) == []
