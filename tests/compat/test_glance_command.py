"""The old `glance` command, unchanged: each of its commands has a run here. One test is one story."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openstack.connection import Connection
from openstack.image.v2.image import Image

from tests.compat import offered, test_cached_images, worlds
from tests.compat.clouds import Cloud
from tests.compat.commands import WIDE, Glance

Make = Callable[..., Image]

RAW = ("--disk-format", "raw", "--container-format", "bare")
COLOUR = {"title": "Colour", "type": "string", "enum": ["blue", "red"]}


def test_every_command_has_a_run() -> None:
    assert offered.of_glance() - offered.run_by(globals(), vars(test_cached_images)) == set()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "data"
    file.write_bytes(b"z" * 70_000)
    return file


@pytest.mark.runs("image-create", "image-list", "image-show", "image-update", "image-download", "image-delete")
def test_image_is_created_changed_listed_downloaded_and_deleted(glance: Glance, data: Path, name: str) -> None:
    image = glance.document("project-a", "image-create", "--name", name, *RAW, "--property", "colour=red", "--file", str(data))[
        "id"
    ]
    changed = glance.document(
        "project-a", "image-update", "--min-disk", "3", "--property", "shape=round", "--remove-property", "colour", image
    )
    assert (changed["status"], changed["min_disk"], changed["shape"]) == ("active", "3", "round")
    assert "colour" not in glance.document("project-a", "image-show", image)
    assert [row["ID"] for row in glance.rows("project-a", "image-list", "--property-filter", f"name={name}")] == [image]
    glance("project-a", "image-download", "--file", "back", image)
    assert (glance.folder / "back").read_bytes() == data.read_bytes()
    glance("project-a", "image-delete", image)
    assert "404" in glance.fails("project-a", "image-show", image)


def test_the_installed_program_does_the_same(glance: Glance, an_image: Make) -> None:
    """The other stories fork a process that has imported the client; here it is the program from nothing."""
    image = an_image().id
    program = Path(sys.executable).with_name("glance")
    environment = {**os.environ, **WIDE, **glance.told("project-a")}
    shown = subprocess.run([program, "image-show", image], env=environment, text=True, capture_output=True, check=True).stdout
    assert shown == glance("project-a", "image-show", image)


@pytest.mark.runs("image-upload")
def test_data_is_uploaded_afterwards(glance: Glance, an_image: Make, data: Path) -> None:
    """`image-create` would take standard input for data, so that the SDK makes the image."""
    image = an_image(data=None).id
    glance("project-a", "image-upload", "--file", str(data), "--size", "70000", image)
    assert glance.document("project-a", "image-show", image)["size"] == "70000"


@pytest.mark.runs("image-stage", "image-import", "image-tasks", "image-create-via-import", "import-info", "task-list", "task-show")
def test_staged_image_is_imported_and_its_task_shown(glance: Glance, cloud: Cloud, an_image: Make, data: Path, name: str) -> None:
    assert "import-methods" in glance("project-a", "import-info")
    image = an_image(data=None).id
    glance("project-a", "image-stage", "--file", str(data), "--size", "70000", image)
    assert glance.document("project-a", "image-show", image)["status"] == "uploading"
    glance("project-a", "image-import", "--import-method", "glance-direct", image)
    [task] = worlds.settled(cloud, image)
    assert glance.document("project-a", "image-show", image)["status"] == "active"

    assert [row["Status"] for row in glance.rows("project-a", "image-tasks", image)] == ["success"]
    told = glance.document("admin", "task-show", task["id"])
    assert (told["type"], told["status"], told["owner"]) == ("api_image_import", "success", cloud.projects["project-a"])
    listed = glance.rows("admin", "task-list", "--status", "success", "--sort-key", "status", "--page-size", "100")
    assert task["id"] in {row["ID"] for row in listed}
    assert "Invalid type value" in glance.fails("admin", "task-list", "--type", "api_image_import")
    assert "403" in glance.fails("project-a", "task-list")

    other = glance.document("project-a", "image-create-via-import", "--name", name, *RAW, data=data)["id"]
    worlds.settled(cloud, other)
    assert glance.document("project-a", "image-show", other)["status"] == "active"


@pytest.mark.runs("task-create")
def test_administrator_creates_a_task(glance: Glance, cloud: Cloud, name: str) -> None:
    """What it is to fetch is not there: that the task is told of is all."""
    given = {"import_from": "http://127.0.0.1:1/", "import_from_format": "raw", "image_properties": {"name": name}}
    answer = worlds.send(cloud, "admin", "POST", "/v2/tasks", body={"type": "import", "input": given})
    if answer.status == 201:
        made = glance.document("admin", "task-create", "--type", "import", "--input", json.dumps(given))
        assert (made["type"], made["owner"]) == ("import", cloud.sdk("admin").current_project_id)
    else:
        assert str(answer.status) in glance.fails("admin", "task-create", "--type", "import", "--input", json.dumps(given))
    assert "'telepathy' is not one of" in glance.fails("admin", "task-create", "--type", "telepathy", "--input", "{}")


@pytest.mark.runs("member-create", "member-get", "member-list", "member-update", "member-delete")
def test_image_is_offered_accepted_and_withdrawn(glance: Glance, cloud: Cloud, an_image: Make) -> None:
    image, b = an_image().id, cloud.projects["project-b"]
    [made] = glance.rows("project-a", "member-create", image, b)
    assert (made["Image ID"], made["Member ID"], made["Status"]) == (image, b, "pending")
    [accepted] = glance.rows("project-b", "member-update", image, b, "accepted")
    assert accepted["Status"] == "accepted"
    assert "403" in glance.fails("project-a", "member-update", image, b, "rejected")
    assert glance.document("project-a", "member-get", image, b)["status"] == "accepted"
    assert [row["Member ID"] for row in glance.rows("project-a", "member-list", "--image-id", image)] == [b]
    glance("project-a", "member-delete", image, b)
    assert glance.rows("project-a", "member-list", "--image-id", image) == []


@pytest.mark.runs("image-tag-update", "image-tag-delete", "image-deactivate", "image-reactivate")
def test_image_is_tagged_and_deactivated(glance: Glance, an_image: Make) -> None:
    image = an_image().id
    glance("project-a", "image-tag-update", image, "red")
    assert "red" in glance.document("project-a", "image-show", image)["tags"]
    glance("project-a", "image-tag-delete", image, "red")
    assert "red" not in glance.document("project-a", "image-show", image)["tags"]
    glance("project-a", "image-deactivate", image)
    assert "403" in glance.fails("project-a", "image-download", "--file", "back", image)
    glance("project-a", "image-reactivate", image)
    glance("project-a", "image-download", "--file", "back", image)


@pytest.mark.runs("location-add", "location-delete", "location-update", "add-location")
def test_locations_are_not_shown_and_not_changed(glance: Glance, an_image: Make) -> None:
    """As the operator has it by default: clients see no locations, and give none but through a store that fetches them."""
    image = an_image(data=None).id
    url = ("--url", "http://127.0.0.1:1/")
    hash_of_it = ("--hash-algo", "sha512", "--hash-value", "0" * 128)
    assert glance.fails("project-a", "location-add", *url, "--checksum", "0" * 32, *hash_of_it, image)
    for changes in (("location-delete",), ("location-update", "--metadata", '{"a": "b"}')):
        assert "disabled API access to image locations" in glance.fails("project-a", *changes, *url, image)
    assert "403" in glance.fails("project-a", "add-location", "--url", "file:///etc/passwd", image)
    assert glance.document("project-a", "image-show", image)["status"] == "queued"


@pytest.mark.runs("stores-info", "stores-delete", "usage", "explain")
def test_stores_and_import_methods_are_shown(glance: Glance, an_image: Make, owner: Connection) -> None:
    assert "default" in glance("project-a", "stores-info")
    assert glance.rows("project-a", "usage") == []
    for model in ("image", "member", "task", "metadefs/namespace"):
        assert glance.rows("project-a", "explain", model)
    [default] = [store.id for store in owner.image.stores() if store.is_default]
    assert "Unable to delete" in glance.fails("admin", "stores-delete", "--store", default, an_image().id)


@pytest.mark.runs(
    *(f"md-namespace-{verb}" for verb in ("create", "import", "list", "show", "update", "delete")),
    *("md-tag-create", "md-tag-create-multiple", "md-tag-list", "md-tag-show", "md-tag-update", "md-tag-delete"),
    "md-namespace-tags-delete",
)
def test_namespace_and_tags_are_created_and_deleted(glance: Glance, namespace: str, tmp_path: Path) -> None:
    made = glance.document("admin", "md-namespace-create", "--visibility", "public", "--display-name", "Test", namespace)
    assert (made["namespace"], made["visibility"], made["display_name"]) == (namespace, "public", "Test")
    assert namespace in {row["namespace"] for row in glance.rows("project-a", "md-namespace-list", "--visibility", "public")}
    changed = glance.document("admin", "md-namespace-update", "--namespace", namespace, "--description", "Of a test", namespace)
    assert (changed["description"], changed["visibility"]) == ("Of a test", "public")

    glance("admin", "md-tag-create", "--name", "red", namespace)
    glance("admin", "md-tag-create-multiple", "--names", "blue,green,red", namespace)
    glance("admin", "md-tag-update", "--name", "grey", namespace, "green")
    assert "grey" in glance("project-a", "md-tag-show", namespace, "grey")
    glance("admin", "md-tag-delete", namespace, "blue")
    assert {row["name"] for row in glance.rows("project-a", "md-tag-list", namespace)} == {"grey", "red"}
    glance("admin", "md-namespace-tags-delete", namespace)
    assert glance.rows("project-a", "md-tag-list", namespace) == []

    glance("admin", "md-namespace-delete", namespace)
    given: dict[str, Any] = {"namespace": namespace, "properties": {"colour": COLOUR}, "tags": [{"name": "red"}]}
    (tmp_path / "namespace.json").write_text(json.dumps(given))
    glance("admin", "md-namespace-import", "--file", "namespace.json")
    shown = glance.document("admin", "md-namespace-show", namespace)
    assert ("colour" in shown["properties"], "red" in shown["tags"]) == (True, True)


@pytest.mark.runs(
    *(f"md-property-{verb}" for verb in ("create", "list", "show", "update", "delete")),
    *(f"md-object-{verb}" for verb in ("create", "list", "show", "property-show", "update", "delete")),
    *("md-namespace-properties-delete", "md-namespace-objects-delete"),
)
def test_properties_and_objects_are_created_and_deleted(glance: Glance, namespace: str) -> None:
    glance("admin", "md-namespace-create", namespace)
    schema = ("--schema", json.dumps({"enum": ["blue", "red"]}))
    for name in ("colour", "shade"):
        glance("admin", "md-property-create", "--name", name, "--title", "Colour", "--type", "string", *schema, namespace)
    whole = ("--schema", json.dumps({**COLOUR, "description": "what it looks like"}))
    glance("admin", "md-property-update", "--name", "colour", "--title", "Hue", *whole, namespace, "colour")
    assert glance.document("admin", "md-property-show", namespace, "colour")["description"] == "what it looks like"
    glance("admin", "md-property-delete", namespace, "shade")
    assert [row["name"] for row in glance.rows("admin", "md-property-list", namespace)] == ["colour"]
    glance("admin", "md-namespace-properties-delete", namespace)
    assert glance.rows("admin", "md-property-list", namespace) == []

    parts = ("--schema", json.dumps({"properties": {"colour": COLOUR}}))
    for name in ("box", "bag"):
        glance("admin", "md-object-create", "--name", name, *parts, namespace)
    glance("admin", "md-object-update", "--name", "crate", *parts, namespace, "box")
    assert glance.document("admin", "md-object-show", namespace, "crate")["name"] == "crate"
    assert glance.document("admin", "md-object-property-show", namespace, "crate", "colour")["title"] == "Colour"
    glance("admin", "md-object-delete", namespace, "bag")
    assert [row["name"] for row in glance.rows("admin", "md-object-list", namespace)] == ["crate"]
    glance("admin", "md-namespace-objects-delete", namespace)
    assert glance.rows("admin", "md-object-list", namespace) == []


@pytest.mark.runs(
    *("md-resource-type-associate", "md-resource-type-deassociate", "md-resource-type-list", "md-namespace-resource-type-list"),
)
def test_namespace_is_for_types_of_resources(glance: Glance, namespace: str) -> None:
    glance("admin", "md-namespace-create", namespace)
    glance("admin", "md-resource-type-associate", "--name", "OS::Compat::Thing", "--prefix", "hw:", namespace)
    assert "OS::Compat::Thing" in {row["name"] for row in glance.rows("admin", "md-resource-type-list")}
    [row] = glance.rows("admin", "md-namespace-resource-type-list", namespace)
    assert (row["name"], row["prefix"]) == ("OS::Compat::Thing", "hw:")
    glance("admin", "md-resource-type-deassociate", namespace, "OS::Compat::Thing")
    assert glance.rows("admin", "md-namespace-resource-type-list", namespace) == []
