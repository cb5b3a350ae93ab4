"""openstacksdk's image proxy, unchanged: staging, imports, tasks, stores, locations, metadata definitions."""

from collections.abc import Callable
from typing import Any

import pytest
from openstack import exceptions
from openstack.connection import Connection
from openstack.image.v2.image import Image

from tests.compat import worlds
from tests.compat.clouds import Cloud

Make = Callable[..., Image]

COLOUR: dict[str, Any] = {"title": "Colour", "type": "string", "enum": ["blue", "red"]}


@pytest.fixture
def admin(cloud: Cloud) -> Connection:
    return cloud.sdk("admin")


def test_staged_image_is_imported_and_its_tasks_listed(an_image: Make, owner: Connection, admin: Connection, cloud: Cloud) -> None:
    image = owner.image.stage_image(owner.image.get_image(an_image(data=None).id), data=b"x" * 5000)
    assert image.status == "uploading"
    assert owner.image.import_image(image, method="glance-direct").status_code == 202
    worlds.settled(cloud, image.id)
    assert owner.image.get_image(image.id).status == "active"
    assert owner.image.download_image(image).content == b"x" * 5000

    [told] = owner.image.image_tasks(image)
    task = admin.image.get_task(told.id)
    assert (task.type, task.status, task.owner_id) == ("api_image_import", "success", cloud.projects["project-a"])
    assert admin.image.wait_for_task(task).id == task.id
    assert task.id in {each.id for each in admin.image.tasks(status="success", sort_key="created_at", limit=1000)}
    with pytest.raises(exceptions.ForbiddenException):
        list(owner.image.tasks())


def test_import_of_what_is_not_staged_is_refused(an_image: Make, owner: Connection) -> None:
    image = owner.image.get_image(an_image(data=None).id)
    for wrong in ({"method": "glance-direct"}, {"method": "web-download", "uri": "file:///etc/passwd"}):
        answer = owner.image.import_image(image, **wrong)
        assert answer.status_code in {400, 409}
    assert owner.image.get_image(image.id).status == "queued"


def test_unknown_task_type_is_refused(admin: Connection) -> None:
    with pytest.raises(exceptions.BadRequestException):
        admin.image.create_task(type="telepathy", input={})


def test_stores_are_listed_with_details_for_administrators(owner: Connection, admin: Connection) -> None:
    [default] = [store.id for store in owner.image.stores() if store.is_default]
    assert default in {store.id for store in admin.image.stores(details=True)}
    with pytest.raises(exceptions.ForbiddenException):
        list(owner.image.stores(details=True))


def test_locations_are_for_services(an_image: Make, owner: Connection) -> None:
    image = an_image(data=None)
    with pytest.raises(exceptions.ForbiddenException):
        list(owner.image.image_locations(image))
    with pytest.raises(exceptions.ForbiddenException):
        owner.image.add_image_location(image, "file:///etc/passwd")


def test_namespace_is_created_and_deleted(admin: Connection, owner: Connection, namespace: str) -> None:
    made = admin.image.create_metadef_namespace(namespace=namespace, visibility="public", display_name="Test")
    assert (made.namespace, made.visibility, made.is_protected) == (namespace, "public", False)
    assert namespace in {each.namespace for each in owner.image.metadef_namespaces(limit=1000)}
    changed = admin.image.update_metadef_namespace(namespace, display_name="Changed", is_protected=True)
    assert (changed.display_name, changed.is_protected) == ("Changed", True)
    with pytest.raises(exceptions.ForbiddenException):
        admin.image.delete_metadef_namespace(namespace)
    admin.image.update_metadef_namespace(namespace, is_protected=False)
    for tag in ("red", "blue"):
        admin.image.add_tag_to_metadef_namespace(namespace, tag)
    admin.image.remove_tag_from_metadef_namespace(namespace, "red")
    assert [each["name"] for each in admin.image.get_metadef_namespace(namespace).tags] == ["blue"]
    admin.image.remove_tags_from_metadef_namespace(namespace)
    # The SDK adds tags to a list that all its namespaces without tags share, so that the service itself is asked.
    assert admin.image.get(f"/metadefs/namespaces/{namespace}/tags").json()["tags"] == []
    admin.image.delete_metadef_namespace(namespace, ignore_missing=False)
    with pytest.raises(exceptions.NotFoundException):
        admin.image.get_metadef_namespace(namespace)


def test_objects_and_properties_are_created_listed_and_deleted(admin: Connection, namespace: str) -> None:
    images = admin.image
    images.create_metadef_namespace(namespace=namespace)
    images.create_metadef_object(namespace, name="box", properties={"colour": COLOUR}, required=["colour"])
    assert images.get_metadef_object("box", namespace).properties["colour"]["enum"] == ["blue", "red"]
    images.update_metadef_object("box", namespace, name="crate", description="made of wood")
    assert [(each.name, each.description) for each in images.metadef_objects(namespace)] == [("crate", "made of wood")]
    images.delete_metadef_object("crate", namespace, ignore_missing=False)
    images.create_metadef_object(namespace, name="bag")
    images.delete_all_metadef_objects(namespace)
    assert list(images.metadef_objects(namespace)) == []

    images.create_metadef_property(namespace, name="colour", **COLOUR)
    images.update_metadef_property("colour", namespace, name="colour", **{**COLOUR, "title": "Hue"})
    assert images.get_metadef_property("colour", namespace).title == "Hue"
    assert [each.name for each in images.metadef_properties(namespace)] == ["colour"]
    images.delete_metadef_property("colour", namespace, ignore_missing=False)
    images.create_metadef_property(namespace, name="shade", **COLOUR)
    images.delete_all_metadef_properties(namespace)
    assert list(images.metadef_properties(namespace)) == []


def test_namespace_is_for_types_of_resources(admin: Connection, namespace: str) -> None:
    images = admin.image
    images.create_metadef_namespace(namespace=namespace)
    made = images.create_metadef_resource_type_association(namespace, name="OS::Compat::Thing", prefix="hw:")
    assert (made.name, made.prefix) == ("OS::Compat::Thing", "hw:")
    assert "OS::Compat::Thing" in {each.name for each in images.metadef_resource_types()}
    assert [each.name for each in images.metadef_resource_type_associations(namespace)] == ["OS::Compat::Thing"]
    images.delete_metadef_resource_type_association("OS::Compat::Thing", namespace, ignore_missing=False)
    assert list(images.metadef_resource_type_associations(namespace)) == []


@pytest.mark.parametrize(
    "kind",
    [
        *("task", "tasks", "metadef_namespace", "metadef_namespaces", "metadef_resource_type", "metadef_resource_types"),
        *("metadef_object", "metadef_objects", "metadef_property", "metadef_properties", "metadef_tag", "metadef_tags"),
    ],
)
def test_schemas_are_served(owner: Connection, kind: str) -> None:
    schema = getattr(owner.image, f"get_{kind}_schema")()
    assert schema.name
    assert schema.properties or schema.definitions
