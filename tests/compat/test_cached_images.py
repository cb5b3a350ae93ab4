"""`openstack cached image ...` and the SDK's calls for a cache, unchanged, against a `partage up` that has one."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack as sdk
import pytest
from glanceclient import client as glance_client
from openstack.connection import Connection

from tests import standalone
from tests.compat import commands
from tests.compat.commands import OpenStack
from tests.compat.conftest import meant

SECONDS = 20.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[standalone.LiveService]:
    folder = tmp_path_factory.mktemp("caching")
    with standalone.up(folder / "data", PARTAGE_CACHE__DIRECTORY=str(folder / "near")) as running:
        yield running


@pytest.fixture(scope="module")
def shell(service: standalone.LiveService) -> Iterator[commands.Prepared]:
    with commands.prepared(service.clouds_file) as running:
        yield running


@pytest.fixture
def openstack(shell: commands.Prepared, admin: Connection, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[OpenStack]:
    admin.image.clear_cache()
    given = OpenStack(shell, tmp_path)
    yield given
    assert meant(request) <= given.ran


@pytest.fixture(scope="module")
def people(service: standalone.LiveService) -> Iterator[dict[str, Connection]]:
    config = sdk.config.OpenStackConfig(config_files=[str(service.clouds_file)], vendor_files=[], secure_files=[])
    connections = {name: Connection(config=config.get_one(name)) for name in ("admin", "project-a")}
    yield connections
    for each in connections.values():
        each.close()


@pytest.fixture
def admin(people: dict[str, Connection]) -> Connection:
    return people["admin"]


@pytest.fixture
def image(people: dict[str, Connection]) -> Any:
    made = people["project-a"].image.create_image(f"near-{os.urandom(4).hex()}", data=os.urandom(500_000), disk_format="raw")
    return people["project-a"].image.get_image(made.id)


def listed(openstack: OpenStack) -> dict[str, str]:
    return {row["ID"]: row["State"] for row in openstack("admin", "cached", "image", "list")}


@pytest.mark.runs("cached image queue", "cached image list", "cached image delete")
def test_an_image_is_queued_listed_and_deleted(openstack: OpenStack, image: Any) -> None:
    assert listed(openstack) == {}
    assert openstack.says("admin", "cached", "image", "queue", image.id) == ""
    standalone.wait_for(lambda: listed(openstack) == {image.id: "cached"}, seconds=SECONDS)
    [row] = openstack("admin", "cached", "image", "list")
    assert (row["Size"], row["Hits"]) == (500_000, 0)
    assert row["Last Accessed (UTC)"] == row["Last Modified (UTC)"]

    openstack("project-a", "image", "save", "--file", "saved", image.id)
    standalone.wait_for(lambda: openstack("admin", "cached", "image", "list")[0]["Hits"] == 1, seconds=SECONDS)

    assert openstack.says("admin", "cached", "image", "delete", image.id) == ""
    assert listed(openstack) == {}


@pytest.mark.runs("cached image clear")
@pytest.mark.parametrize("option", ["--cache", None])
def test_the_cache_is_cleared(openstack: OpenStack, image: Any, people: dict[str, Connection], option: str | None) -> None:
    people["project-a"].image.download_image(image)
    standalone.wait_for(lambda: listed(openstack) == {image.id: "cached"}, seconds=SECONDS)
    openstack.says("admin", "cached", "image", "clear", "--queue")
    assert listed(openstack) == {image.id: "cached"}
    openstack.says("admin", "cached", "image", "clear", *([option] if option else []))
    assert listed(openstack) == {}


def test_what_cannot_be_is_said(openstack: OpenStack, people: dict[str, Connection]) -> None:
    waiting = people["project-a"].image.create_image(f"near-{os.urandom(4).hex()}", disk_format="raw", container_format="bare")
    assert "Only images with status active" in openstack.fails("admin", "cached", "image", "queue", waiting.id)
    assert "No Image found" in openstack.fails("admin", "cached", "image", "queue", "none")
    assert "403" in openstack.fails("project-a", "cached", "image", "list")
    assert "Failed to clear image cache" in openstack.fails("project-a", "cached", "image", "clear")


def test_the_sdk_knows_the_newer_calls(service: standalone.LiveService, admin: Connection, image: Any) -> None:
    admin.image.clear_cache()
    admin.image.queue_image(image.id)
    standalone.wait_for(lambda: len(admin.image.cached_image_nodes(image.id)) == 1, seconds=SECONDS)
    [node] = admin.image.cached_image_nodes(image.id)
    assert node.endswith(f":{service.port}")
    [cached] = admin.image.get_image_cache().cached_images
    assert cached["image_id"] == image.id
    admin.image.clean_cache()
    assert admin.image.prune_cache() == {"total_files_pruned": 0, "total_bytes_pruned": 0}
    assert len(admin.image.cached_image_nodes(image.id)) == 1


def test_glanceclient_finds_the_versions_it_asks_for(admin: Connection, image: Any) -> None:
    """It looks into the list of versions before each of these calls."""
    client = glance_client.Client("2", session=admin.session, region_name="RegionOne", interface="public")
    client.cache.clear("both")
    client.cache.queue(image.id)
    standalone.wait_for(lambda: [each["image_id"] for each in client.cache.list()["cached_images"]] == [image.id], seconds=SECONDS)
    assert len(client.cache.list_cached_nodes(image.id)) == 1
    client.cache.clean()
    assert client.cache.prune() == {"total_files_pruned": 0, "total_bytes_pruned": 0}
    client.cache.delete(image.id)
    left = client.cache.list()
    assert (left["cached_images"], left["queued_images"]) == ([], [])
