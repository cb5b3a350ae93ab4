"""The unmodified clients of the Image API against one endpoint: Partage, or the Glance that PARTAGE_COMPAT_CLOUDS leads to.

    pytest tests/compat                                             against Partage, started for the run
    PARTAGE_COMPAT_CLOUDS=clouds.yaml pytest tests/compat           against a real Glance; it must pass the same tests
    PARTAGE_COMPAT_CLOUDS=clouds.yaml PARTAGE_GOLDEN=write pytest   records Glance's answers anew

That file needs a cloud `admin` that may create projects and users.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from openstack.connection import Connection
from openstack.image.v2.image import Image

from tests.compat import clouds, commands, worlds

GLANCE = "PARTAGE_COMPAT_CLOUDS"


@dataclass(frozen=True)
class Place:
    """Where the clients are to go, and who administers it."""

    administrators_file: Path
    is_glance: bool


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest) -> Place:
    """Start Partage, unless the environment names a cloud with a Glance."""
    named = os.environ.get(GLANCE)
    if named:
        return Place(Path(named), is_glance=True)
    return Place(request.getfixturevalue("live_service").clouds_file, is_glance=False)


@pytest.fixture(scope="session")
def cloud(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[clouds.Cloud]:
    """Give people of this run's own: see clouds.Cloud."""
    with clouds.people(place.administrators_file, tmp_path_factory.mktemp("cloud"), is_glance=place.is_glance) as made:
        yield made


@pytest.fixture
def empty_cloud(place: Place, tmp_path: Path) -> Iterator[clouds.Cloud]:
    """Give people whom nobody else knows, for a test that reads whole lists."""
    with clouds.people(place.administrators_file, tmp_path, is_glance=place.is_glance) as made:
        yield made


@pytest.fixture(scope="session")
def shell(cloud: clouds.Cloud) -> Iterator[commands.Prepared]:
    """Give the `openstack` client, imported once."""
    with commands.prepared(cloud.clouds_file) as running:
        yield running


@pytest.fixture
def openstack(shell: commands.Prepared, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[commands.OpenStack]:
    """Give the `openstack` command in a folder of the test's own; a test marked runs("image show") has to run that."""
    given = commands.OpenStack(shell, tmp_path)
    yield given
    assert meant(request) <= given.ran


@pytest.fixture
def glance(
    shell: commands.Prepared, cloud: clouds.Cloud, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[commands.Glance]:
    """Give the `glance` command likewise."""
    given = commands.Glance(shell, cloud, tmp_path)
    yield given
    assert meant(request) <= given.ran


def meant(request: pytest.FixtureRequest) -> set[str]:
    """Name the commands that a test is marked to run."""
    return {command for mark in request.node.iter_markers("runs") for command in mark.args}


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> clouds.Disk:
    """Give a real disk image in both usual formats."""
    return clouds.real_disk(tmp_path_factory.mktemp("disk"))


@pytest.fixture
def name(cloud: clouds.Cloud) -> Iterator[str]:
    """Give a name that no other test uses, and delete the owner's images of that name, or one that starts with it, afterwards."""
    chosen = f"image-{uuid4().hex[:12]}"
    yield chosen
    for who in ("project-a", "project-b", "admin"):
        if who in cloud.connections:
            clouds.forget_images(cloud, who, prefix=chosen)


@pytest.fixture
def namespace(cloud: clouds.Cloud) -> Iterator[str]:
    """Give a name of a namespace, and delete the namespace afterwards."""
    chosen = f"Metadef-{uuid4().hex[:12]}"
    yield chosen
    worlds.forget_namespace(cloud, chosen)


@pytest.fixture
def owner(cloud: clouds.Cloud) -> Connection:
    """Give openstacksdk as a member of the first project."""
    return cloud.sdk("project-a")


@pytest.fixture
def member(cloud: clouds.Cloud) -> Connection:
    """Give openstacksdk as a member of the second project."""
    return cloud.sdk("project-b")


@pytest.fixture
def an_image(owner: Connection, name: str) -> Callable[..., Image]:
    """Make an image of the owner's: `data=None` leaves it queued."""

    def make(*, data: bytes | None = b"x" * 10_000, **more: Any) -> Image:
        return owner.image.create_image(more.pop("name", name), data=data, disk_format="raw", allow_duplicates=True, meta=more)

    return make
