"""What uses an image, as Nova and Cinder tell: the same answers from the double and from the real services."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

import faulty_endpoint
import nova_and_cinder
from nova_and_cinder import RealServices, Services
from partageclient import uses_seen
from partageclient.connections import Cloud
from places import Place

ENVIRONMENT = "PARTAGE_COMPAT_SERVICES"


@pytest.fixture(scope="module", params=["double", pytest.param("real", marks=pytest.mark.slow)])
def services(
    request: pytest.FixtureRequest, running_partage: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services | RealServices]:
    """Give Nova and Cinder, as a double and as they are."""
    if request.param == "double":
        with nova_and_cinder.run() as double:
            double.administrators = {running_partage.cloud("admin").project_id}
            yield double
        return
    named = os.environ.get(ENVIRONMENT)
    if not named:
        pytest.skip(f"{ENVIRONMENT} does not say where Nova and Cinder are installed; make client-compat does")
    python = Path(named).absolute() / "bin" / "python"
    with nova_and_cinder.run_real(python, tmp_path_factory.mktemp("services"), running_partage.clouds_file) as real:
        yield real


@pytest.fixture
def image_url(partage: Place) -> Iterator[str]:
    """Give the address of an image service without the sharing API."""
    with faulty_endpoint.run(partage.cloud("project-a").image_url) as endpoint:
        endpoint.is_plain = True
        yield endpoint.url


def connect(partage: Place, profile: str, services: Services | RealServices, image_url: str) -> Cloud:
    project_id = partage.cloud(profile).project_id
    return Cloud(
        partage.connect(
            profile,
            image_endpoint_override=image_url,
            compute_endpoint_override=services.url("compute", project_id),
            block_storage_endpoint_override=services.url("volume", project_id),
        ),
        profile,
    )


def test_member_sees_its_own_servers_and_volumes_on_every_page(
    partage: Place, services: Services | RealServices, image_url: str
) -> None:
    """A page has two rows."""
    image_id, b, c = str(uuid4()), partage.cloud("project-b").project_id, partage.cloud("project-c").project_id
    servers = {services.add_server(b, image_id) for _ in range(5)}
    volumes = {services.add_volume(b, image_id) for _ in range(5)}
    for project_id, other in ((b, str(uuid4())), (b, None), (c, image_id)):
        services.add_server(project_id, other)
        services.add_volume(project_id, other)
    seen = uses_seen.look(connect(partage, "project-b", services, image_url), image_id)
    assert (set(seen.servers or ()), set(seen.volumes or ())) == (servers, volumes)
    assert (seen.project_id, seen.snapshots, seen.notes) == (b, (), ())


def test_administrator_sees_the_servers_and_volumes_of_every_project(
    partage: Place, services: Services | RealServices, image_url: str
) -> None:
    image_id, b, c = str(uuid4()), partage.cloud("project-b").project_id, partage.cloud("project-c").project_id
    made = {each: (services.add_server(each, image_id), services.add_volume(each, image_id)) for each in (b, c)}
    looked = uses_seen.look_everywhere(connect(partage, "admin", services, image_url), image_id, profiles=())
    found = {each.project_id: (each.servers, each.volumes) for each in looked.seen if each.has_uses}
    assert found == {each: ((server,), (volume,)) for each, (server, volume) in made.items()}
    assert (looked.sees_all_projects, looked.notes) == (True, ())


def test_image_that_nobody_uses_has_none(partage: Place, services: Services | RealServices, image_url: str) -> None:
    seen = uses_seen.look(connect(partage, "project-a", services, image_url), str(uuid4()))
    assert (seen.servers, seen.volumes, seen.snapshots, seen.notes) == ((), (), (), ())
