"""python-glanceclient, unchanged: the library that uploads in chunks without a length, and its old `glance` command."""

import hashlib
import io
import os
from collections.abc import Callable
from typing import Any

import pytest
from glanceclient import exc
from openstack.image.v2.image import Image

from tests.compat.clouds import Cloud

Make = Callable[..., Image]


@pytest.fixture
def as_owner(cloud: Cloud) -> Any:
    return cloud.glance("project-a")


@pytest.fixture
def as_member(cloud: Cloud) -> Any:
    return cloud.glance("project-b")


def test_image_is_created_uploaded_in_chunks_and_read_back(as_owner: Any, cloud: Cloud, name: str) -> None:
    # uWSGI, under which Glance runs, takes 1 MiB in chunks at most unless configured otherwise, and Glance then answers 500.
    sent = os.urandom(900_001 if cloud.is_glance else 5_000_001)
    image = as_owner.images.create(
        name=name, disk_format="raw", container_format="bare", visibility="private", os_distro="debian", tags=["t"]
    )
    assert (image.status, image.os_distro, image.tags) == ("queued", "debian", ["t"])

    as_owner.images.upload(image.id, io.BytesIO(sent))

    shown = as_owner.images.get(image.id)
    assert (shown.status, shown.size, shown.virtual_size) == ("active", len(sent), len(sent))
    assert shown.os_hash_value == hashlib.sha512(sent).hexdigest()
    body = as_owner.images.data(image.id)
    assert len(body) == len(sent)
    assert b"".join(body) == sent


def test_size_mismatch_is_refused(as_owner: Any, an_image: Make) -> None:
    right, wrong = an_image(data=None), an_image(data=None)
    as_owner.images.upload(right.id, io.BytesIO(b"x" * 1000), image_size=1000)
    with pytest.raises(exc.HTTPBadRequest):
        as_owner.images.upload(wrong.id, io.BytesIO(b"x" * 1000), image_size=999)
    assert as_owner.images.get(right.id).status == "active"
    assert as_owner.images.get(wrong.id).status == "queued"
    as_owner.images.upload(wrong.id, io.BytesIO(b"x" * 999), image_size=999)
    assert as_owner.images.get(wrong.id).status == "active"


def test_image_without_data_has_none(as_owner: Any, an_image: Make) -> None:
    assert as_owner.images.data(an_image(data=None).id).wrapped is None


def test_list_walks_pages_and_stops_at_the_limit(as_owner: Any, an_image: Make, name: str) -> None:
    made = [an_image(data=None, name=f"{name}-{number}", tags=[name]).id for number in range(5)]

    def listed(**more: Any) -> list[str]:
        return [image.id for image in as_owner.images.list(filters={"tag": [name]}, **more)]

    assert {*listed()} == {*made}
    assert listed(page_size=2, sort="name:asc") == made
    assert listed(page_size=2, limit=3, sort_key="name", sort_dir="desc") == made[:1:-1]
    assert listed(sort_key=["status", "name"], sort_dir=["asc", "asc"]) == made
    assert listed(sort="name:asc", marker=made[2]) == made[3:]


def test_list_filters_on_the_service(as_owner: Any, an_image: Make, name: str) -> None:
    red = an_image(data=None, name=f"{name}-red", tags=[name, "red"], colour="red", visibility="private")
    community = an_image(name=f"{name}-community", tags=[name], visibility="community")
    hidden = an_image(name=f"{name}-hidden", tags=[name], is_hidden=True)

    def found(*tags: str, **filters: Any) -> set[str]:
        return {image.id for image in as_owner.images.list(filters={"tag": [name, *tags], **filters})}

    assert found() == {red.id, community.id}
    assert found("red") == {red.id}
    assert found("red", "blue") == set()
    assert found(colour="red") == {red.id}
    assert found(visibility="community") == {community.id}
    assert found(os_hidden=True) == {hidden.id}
    assert found(status="queued") == {red.id}
    assert found(name=red.name) == {red.id}
    assert found(owner=red.owner_id, visibility="private") == {red.id}


def test_update_changes_adds_and_removes(as_owner: Any, an_image: Make, name: str) -> None:
    """The library checks values against the service's schema before it sends them."""
    image = an_image(colour="red", gone="soon")
    changed = as_owner.images.update(
        image.id,
        remove_props=["gone"],
        name=f"{name}-new",
        min_disk=4,
        protected=True,
        os_hidden=True,
        colour="blue",
        shape="round",
    )
    assert (changed.name, changed.min_disk, changed.protected, changed.os_hidden) == (f"{name}-new", 4, True, True)
    assert (changed.colour, changed.shape) == ("blue", "round")
    assert "gone" not in as_owner.images.get(image.id)
    with pytest.raises(exc.HTTPForbidden):
        as_owner.images.delete(image.id)
    as_owner.images.update(image.id, protected=False)
    as_owner.images.delete(image.id)
    with pytest.raises(exc.HTTPNotFound):
        as_owner.images.get(image.id)


def test_image_is_shared_through_its_states(as_owner: Any, as_member: Any, cloud: Cloud, an_image: Make, name: str) -> None:
    image, b = an_image(tags=[name]).id, cloud.projects["project-b"]
    made = as_owner.image_members.create(image, b)
    assert (made.member_id, made.image_id, made.status) == (b, image, "pending")
    assert [each.member_id for each in as_owner.image_members.list(image)] == [b]
    assert as_owner.image_members.get(image, b).status == "pending"

    def accepted() -> list[str]:
        return [each.id for each in as_member.images.list(filters={"tag": [name], "visibility": "shared"})]

    assert accepted() == []
    assert as_member.image_members.update(image, b, "accepted").status == "accepted"
    assert accepted() == [image]
    assert b"".join(as_member.images.data(image)) == b"x" * 10_000
    with pytest.raises(exc.HTTPForbidden):
        as_owner.image_members.update(image, b, "pending")
    with pytest.raises(exc.HTTPBadRequest):
        as_member.image_members.update(image, b, "perhaps")
    as_owner.image_members.delete(image, b)
    with pytest.raises(exc.HTTPNotFound):
        as_member.images.get(image)


def test_tags_are_added_and_removed(as_owner: Any, an_image: Make) -> None:
    image = an_image().id
    as_owner.image_tags.update(image, "one")
    as_owner.image_tags.update(image, "two words")
    assert {*as_owner.images.get(image).tags} == {"one", "two words"}
    as_owner.image_tags.delete(image, "one")
    assert as_owner.images.get(image).tags == ["two words"]
    with pytest.raises(exc.HTTPNotFound):
        as_owner.image_tags.delete(image, "one")


def test_deactivated_image_gives_no_data(as_owner: Any, an_image: Make) -> None:
    image = an_image().id
    as_owner.images.deactivate(image)
    with pytest.raises(exc.HTTPForbidden):
        as_owner.images.data(image)
    as_owner.images.reactivate(image)
    assert b"".join(as_owner.images.data(image)) == b"x" * 10_000


@pytest.mark.parametrize("kind", ["image", "images", "member", "members"])
def test_schemas_describe_what_is_served(as_owner: Any, kind: str) -> None:
    schema = as_owner.schemas.get(kind)
    assert schema.name == kind
    assert schema.properties


def test_stores_and_import_methods_are_listed(as_owner: Any, an_image: Make) -> None:
    assert as_owner.images.get_import_info()["import-methods"]["type"] == "array"
    assert [store for store in as_owner.images.get_stores_info()["stores"] if store.get("default")]
    assert as_owner.info.get_usage() is not None
    assert as_owner.images.get_associated_image_tasks(an_image().id)["tasks"] == []
