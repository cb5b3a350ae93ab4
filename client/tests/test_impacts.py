"""Impact: what Partage knows, and what is put together from Nova, Cinder and Glance where the image service is plain."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import faulty_endpoint
import nova_and_cinder
import partageclient
from nova_and_cinder import Services
from partageclient import connections, errors, impacts
from partageclient.connections import Cloud
from places import Place

PROFILES = ("project-a", "project-b", "admin")


@pytest.fixture
def services() -> Iterator[Services]:
    with nova_and_cinder.run() as running:
        yield running


@pytest.fixture
def plain_cloud(place: Place, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Give a cloud without the sharing API, whose clouds.yaml has a, b and an administrator, but not c."""
    with faulty_endpoint.run(place.cloud("project-a").image_url) as endpoint:
        endpoint.is_plain = True
        clouds = yaml.safe_load(place.clouds_file.read_text())["clouds"]
        kept = {}
        for name in PROFILES:
            project_id = place.cloud(name).project_id
            kept[name] = {
                **clouds[name],
                "image_endpoint_override": endpoint.url,
                "compute_endpoint_override": services.url("compute", project_id),
                "block_storage_endpoint_override": services.url("volume", project_id),
            }
        elsewhere = {**kept["project-b"], "auth": {**kept["project-b"]["auth"], "auth_url": "http://keystone.elsewhere.invalid/v3"}}
        file = tmp_path / "clouds.yaml"
        file.write_text(yaml.safe_dump({"clouds": {**kept, "elsewhere": elsewhere}}))
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
        yield connections.connect("project-a")


def make_shared_image(place: Place) -> str:
    """Share an image with b, who accepts, and c."""
    image_id = str(place.create_image("golden")["id"])
    b, c = place.cloud("project-b"), place.cloud("project-c")
    partageclient.share(place.cloud("project-a"), [image_id], [b.project_id, c.project_id], accept_as=[b])
    return image_id


def figures(found: impacts.Impact) -> dict[str, tuple[int | None, int | None, int | None]]:
    return {each.project_id: (each.servers, each.volumes, each.snapshots) for each in found.projects}


def test_uses_are_counted_where_a_profile_sees_them_and_unknown_elsewhere(
    place: Place, plain_cloud: Cloud, services: Services
) -> None:
    image_id = make_shared_image(place)
    a, b, c = (place.cloud(f"project-{letter}") for letter in "abc")
    servers = {services.add_server(b.project_id, image_id) for _ in range(3)}
    services.add_server(b.project_id, "another")
    services.add_server(b.project_id, None)
    volumes = {services.add_volume(b.project_id, image_id) for _ in range(2)}
    services.add_volume(b.project_id, None)
    services.add_volume(c.project_id, image_id)
    snapshot = {"name": "s", "disk_format": "raw", "container_format": "bare", "base_image_ref": image_id}
    b.request("POST", "/v2/images", asked="Create", body=snapshot)
    found = partageclient.impact(plain_cloud, image_id)
    assert figures(found) == {a.project_id: (0, 0, 0), b.project_id: (3, 2, 1), c.project_id: (None, None, None)}
    [row] = [each for each in found.projects if each.project_id == b.project_id]
    assert (set(row.server_ids), set(row.volume_ids), row.role, row.status) == (servers, volumes, "member", "accepted")
    assert found.notes[-1] == "No profile sees what 1 of the projects use"


def test_profile_of_an_administrator_sees_every_project(place: Place, plain_cloud: Cloud, services: Services) -> None:
    image_id = make_shared_image(place)
    c = place.cloud("project-c")
    services.administrators = {place.cloud("admin").project_id}
    services.add_server(c.project_id, image_id)
    found = partageclient.impact(plain_cloud, image_id, action="private")
    assert figures(found) == {place.cloud("project-b").project_id: (0, 0, 0), c.project_id: (1, 0, 0)}
    assert not found.notes


def test_unshare_names_the_one_member(place: Place, plain_cloud: Cloud, services: Services) -> None:
    image_id = make_shared_image(place)
    b = place.cloud("project-b")
    services.add_server(b.project_id, image_id)
    found = partageclient.impact(plain_cloud, "golden", action="unshare", project_id=b.project_id)
    assert figures(found) == {b.project_id: (1, 0, 0)}
    with pytest.raises(errors.NotFound, match="is not shared with project"):
        partageclient.impact(plain_cloud, image_id, action="unshare", project_id="0" * 32)
    with pytest.raises(errors.Invalid, match="unshare needs a project"):
        partageclient.impact(plain_cloud, image_id, action="unshare")


def test_public_image_has_users_that_are_no_members(place: Place, plain_cloud: Cloud, services: Services) -> None:
    image_id = str(place.create_image("open", visibility="community")["id"])
    b = place.cloud("project-b")
    services.add_volume(b.project_id, image_id)
    found = partageclient.impact(plain_cloud, image_id)
    assert found.is_open
    assert figures(found)[b.project_id] == (0, 1, 0)


def test_service_that_fails_makes_numbers_unknown_and_says_so(place: Place, plain_cloud: Cloud, services: Services) -> None:
    image_id = make_shared_image(place)
    services.fails = {"servers"}
    found = partageclient.impact(plain_cloud, image_id)
    [b] = [each for each in found.projects if each.project_id == place.cloud("project-b").project_id]
    assert (b.servers, b.volumes, b.is_known) == (None, 0, False)
    assert any("Servers are unknown to project-b: Unexpected API Error" in each for each in found.notes)


def test_cloud_without_nova_and_cinder_says_so_once(place: Place) -> None:
    image_id = make_shared_image(place)
    with faulty_endpoint.run(place.cloud("project-a").image_url) as endpoint:
        endpoint.is_plain = True
        cloud = Cloud(place.connect("project-a", image_endpoint_override=endpoint.url), "project-a")
        found = partageclient.impact(cloud, image_id)
    assert {(each.servers, each.volumes) for each in found.projects} == {(None, None)}
    said = [each for each in found.notes if "compute" in each]
    assert said == ["Servers are unknown: the catalog has no compute service for this region and interface"]


def test_partage_knows_the_notice_and_recorded_uses(partage: Place) -> None:
    image_id = str(partage.create_image("golden")["id"])
    a, b = partage.cloud("project-a"), partage.cloud("project-b")
    partageclient.share(a, [image_id], accept_as=[b], terms=partageclient.Terms(notice="P30D"))
    partageclient.add_use(b, image_id, "server", "web-1")
    found = partageclient.impact(a, image_id, action="unshare", project_id=b.project_id)
    [row] = found.projects
    assert (found.source, row.project_id, row.ends, row.servers, row.volumes) == ("service", b.project_id, "later", 1, 0)
    assert row.ends_at is not None
