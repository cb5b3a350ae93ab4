"""The clients' commands and calls for a cache, unchanged: a `partage up` that has one, or a Glance that caches what is read."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from openstack.connection import Connection
from openstack.image.v2.image import Image

from tests import standalone
from tests.compat import clouds, commands
from tests.compat.clouds import Cloud
from tests.compat.commands import Glance, OpenStack
from tests.compat.conftest import GLANCE

Make = Callable[..., Image]

SECONDS = 20.0
SIZE = 500_000


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Give people of this module's own, on a service with a cache."""
    folder, named = tmp_path_factory.mktemp("caching"), os.environ.get(GLANCE)
    with ExitStack() as stack:
        if named:
            file = Path(named)
        else:
            service = standalone.up(folder / "data", PARTAGE_CACHE__DIRECTORY=str(folder / "near"))
            file = stack.enter_context(service).clouds_file
        yield stack.enter_context(clouds.people(file, folder, is_glance=bool(named)))


@pytest.fixture(scope="module")
def shell(cloud: Cloud) -> Iterator[commands.Prepared]:
    with commands.prepared(cloud.clouds_file) as running:
        yield running


@pytest.fixture(scope="module")
def of_reading(cloud: Cloud) -> None:
    """Skip where nothing but a command brings an image near: Glance whose pipeline is without `cache`."""
    owner = cloud.sdk("project-a").image
    made = owner.create_image("read once", data=os.urandom(SIZE), disk_format="raw")
    owner.download_image(made.id, output=os.devnull)
    try:
        standalone.wait_for(lambda: made.id in near(cloud), seconds=SECONDS)
    except AssertionError:
        if not cloud.is_glance:
            raise
        pytest.skip("This Glance does not cache what is read; its paste flavor has to be keystone+cachemanagement")


@pytest.fixture
def admin(cloud: Cloud) -> Iterator[Connection]:
    """Give the administrator, and a cache that is empty."""
    connection = cloud.sdk("admin")
    connection.image.clear_cache()
    return connection


@pytest.fixture
def image(an_image: Make) -> str:
    return str(an_image(data=os.urandom(SIZE)).id)


def near(cloud: Cloud) -> dict[str, Any]:
    return {each["image_id"]: each for each in cloud.sdk("admin").image.get_image_cache().cached_images}


def port_of(url: str) -> int | None:
    """Read what tells two nodes on one machine apart: the operator says by which name a node is known."""
    return urlsplit(url).port


def listed(openstack: OpenStack) -> dict[str, str]:
    return {row["ID"]: row["State"] for row in openstack("admin", "cached", "image", "list")}


def listed_by_glance(glance: Glance) -> dict[str, str]:
    return {row["ID"]: row["State"] for row in glance.rows("admin", "cache-list")}


@pytest.mark.usefixtures("admin")
@pytest.mark.runs("cached image queue", "cached image list", "cached image delete")
def test_an_image_is_queued_listed_and_deleted(openstack: OpenStack, image: str) -> None:
    assert listed(openstack) == {}
    assert openstack.says("admin", "cached", "image", "queue", image) == ""
    standalone.wait_for(lambda: listed(openstack) == {image: "cached"}, seconds=SECONDS)
    [row] = openstack("admin", "cached", "image", "list")
    assert (row["Size"], row["Hits"]) == (SIZE, 0)
    assert row["Last Accessed (UTC)"] == row["Last Modified (UTC)"]
    assert openstack.says("admin", "cached", "image", "delete", image) == ""
    assert listed(openstack) == {}


@pytest.mark.usefixtures("admin", "of_reading")
def test_download_of_a_cached_image_is_counted(openstack: OpenStack, image: str) -> None:
    openstack("project-a", "image", "save", "--file", "first", image)
    standalone.wait_for(lambda: listed(openstack) == {image: "cached"}, seconds=SECONDS)
    openstack("project-a", "image", "save", "--file", "second", image)
    standalone.wait_for(lambda: openstack("admin", "cached", "image", "list")[0]["Hits"] == 1, seconds=SECONDS)
    assert (openstack.folder / "first").read_bytes() == (openstack.folder / "second").read_bytes()


@pytest.mark.usefixtures("of_reading")
@pytest.mark.runs("cached image clear")
@pytest.mark.parametrize("option", ["--cache", None])
def test_the_cache_is_cleared(openstack: OpenStack, admin: Connection, image: str, cloud: Cloud, option: str | None) -> None:
    cloud.sdk("project-a").image.download_image(image)
    standalone.wait_for(lambda: listed(openstack) == {image: "cached"}, seconds=SECONDS)
    openstack.says("admin", "cached", "image", "clear", "--queue")
    assert listed(openstack) == {image: "cached"}
    openstack.says("admin", "cached", "image", "clear", *([option] if option else []))
    assert listed(openstack) == {}
    assert admin.image.get_image_cache().queued_images == []


@pytest.mark.usefixtures("admin")
def test_impossible_requests_are_explained(openstack: OpenStack, an_image: Make) -> None:
    waiting = an_image(data=None).id
    assert "Only images with status active" in openstack.fails("admin", "cached", "image", "queue", waiting)
    assert "No Image found" in openstack.fails("admin", "cached", "image", "queue", "none")
    assert "403" in openstack.fails("project-a", "cached", "image", "list")
    assert "Failed to clear image cache" in openstack.fails("project-a", "cached", "image", "clear")


def test_the_sdk_knows_the_newer_calls(admin: Connection, cloud: Cloud, image: str) -> None:
    admin.image.queue_image(image)
    standalone.wait_for(lambda: len(admin.image.cached_image_nodes(image)) == 1, seconds=SECONDS)
    assert [port_of(node) for node in admin.image.cached_image_nodes(image)] == [port_of(cloud.endpoint)]
    [cached] = admin.image.get_image_cache().cached_images
    assert cached["image_id"] == image
    admin.image.clean_cache()
    assert admin.image.prune_cache() == {"total_files_pruned": 0, "total_bytes_pruned": 0}
    assert len(admin.image.cached_image_nodes(image)) == 1


@pytest.mark.usefixtures("admin")
def test_glanceclient_finds_the_versions_it_asks_for(cloud: Cloud, image: str) -> None:
    """It looks into the list of versions before each of these calls."""
    client = cloud.glance("admin")
    client.cache.clear("both")
    client.cache.queue(image)
    standalone.wait_for(lambda: [each["image_id"] for each in client.cache.list()["cached_images"]] == [image], seconds=SECONDS)
    assert len(client.cache.list_cached_nodes(image)) == 1
    client.cache.clean()
    assert client.cache.prune() == {"total_files_pruned": 0, "total_bytes_pruned": 0}
    client.cache.delete(image)
    left = client.cache.list()
    assert (left["cached_images"], left["queued_images"]) == ([], [])


@pytest.mark.usefixtures("admin")
@pytest.mark.runs("cache-queue", "cache-list", "cache-nodes-list", "cache-delete")
def test_the_glance_command_queues_lists_and_deletes(glance: Glance, cloud: Cloud, image: str) -> None:
    assert listed_by_glance(glance) == {}
    assert glance("admin", "cache-queue", image) == ""
    standalone.wait_for(lambda: listed_by_glance(glance) == {image: "cached"}, seconds=SECONDS)
    [row] = glance.rows("admin", "cache-list")
    assert (row["Size"], row["Hits"]) == (str(SIZE), "0")
    [node] = glance.rows("admin", "cache-nodes-list", image)
    assert port_of(node["Node Reference URL"]) == port_of(cloud.endpoint)
    assert glance("admin", "cache-delete", image) == ""
    assert listed_by_glance(glance) == {}


@pytest.mark.usefixtures("admin")
@pytest.mark.runs("cache-clean", "cache-prune", "cache-clear", "cache-queue")
def test_the_glance_command_cleans_prunes_and_clears(glance: Glance, image: str) -> None:
    glance("admin", "cache-queue", image)
    standalone.wait_for(lambda: listed_by_glance(glance) == {image: "cached"}, seconds=SECONDS)
    assert glance("admin", "cache-clean") == ""
    assert glance("admin", "cache-prune").strip() == "Pruned 0 file(s), 0 byte(s)."
    assert glance("admin", "cache-clear", "--target", "queue") == ""
    assert listed_by_glance(glance) == {image: "cached"}
    assert glance("admin", "cache-clear", "--target", "cache") == ""
    assert listed_by_glance(glance) == {}
    assert glance("admin", "cache-clear") == ""


@pytest.mark.usefixtures("admin")
def test_glance_command_prints_the_reason_of_a_refusal(glance: Glance, an_image: Make) -> None:
    """The client prints what was refused, and ends with 0 all the same."""
    waiting = an_image(data=None).id
    assert "Only images with status active" in glance("admin", "cache-queue", waiting)
    assert "404" in glance("admin", "cache-delete", "00000000-0000-4000-8000-000000000000")
    assert f"You are not permitted to queue the image '{waiting}'" in glance("project-a", "cache-queue", waiting)
    assert "You are not permitted to delete image(s) from cache" in glance("project-a", "cache-clear")
    assert "You are not permitted to prune the image cache" in glance("project-a", "cache-prune")
    assert "403" in glance.fails("project-a", "cache-list")
