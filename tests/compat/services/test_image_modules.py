"""What Nova and Cinder do with images in a cloud, done by their own image modules, unchanged, with real tokens.

PARTAGE_COMPAT_SERVICES names the virtual environment that has both; `make compat` makes it. A Glance that PARTAGE_COMPAT_CLOUDS
leads to must pass the same tests, but for those that need two stores and a web server.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat import clouds, whole_cloud
from tests.compat.clouds import Cloud
from tests.compat.conftest import GLANCE
from tests.compat.services import accounts, module
from tests.compat.services.module import Module, refusal, snapshot
from tests.compat.whole_cloud import Place

pytestmark = pytest.mark.slow

DATA = b"snapshot" * 100_000  # uWSGI, under which Glance runs, takes no more than 1 MiB in chunks unless configured otherwise


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place | None]:
    """Run Partage with two stores and a web server beside it; None when there is a Glance to go to."""
    if os.environ.get(GLANCE):
        yield None
        return
    with whole_cloud.running(tmp_path_factory.mktemp("whole")) as place:
        yield place


@pytest.fixture
def here(whole: Place | None) -> Place:
    """Give the place to tests that need two stores and a web server."""
    if whole is None:
        pytest.skip("needs stores and a web server that this Glance may not have")
    return whole


@pytest.fixture(scope="module")
def cloud(whole: Place | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Give people of these tests' own."""
    file = whole.service.clouds_file if whole else Path(os.environ[GLANCE])
    with clouds.people(file, tmp_path_factory.mktemp("people"), is_glance=whole is None) as made:
        yield made


@pytest.fixture(scope="module")
def account(cloud: Cloud) -> Iterator[str]:
    with accounts.made(cloud) as lines:
        yield lines


@pytest.fixture(scope="module")
def nova(python: Path, cloud: Cloud, account: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Module]:
    with accounts.running_nova(python, cloud, account, tmp_path_factory.mktemp("nova")) as started:
        yield started


@pytest.fixture(scope="module")
def cinder(python: Path, cloud: Cloud, account: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Module]:
    glance = f"[glance]\nregion_name = RegionOne\n{account}"
    configuration = f"[DEFAULT]\nauth_strategy = keystone\n{glance}[service_user]\nsend_service_user_token = true\n{account}"
    with module.running(python, "cinder_process.py", cloud, configuration, tmp_path_factory.mktemp("cinder")) as started:
        yield started


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    file = tmp_path / "disk.raw"
    file.write_bytes(DATA)
    return file


def share(cloud: Cloud, image: str, who: str) -> None:
    owner = cloud.sdk("project-a").image
    owner.update_image(image, visibility="shared")
    owner.add_member(image, member=cloud.projects[who])
    cloud.sdk(who).image.update_member(cloud.projects[who], image, status="accepted")


def test_nova_takes_a_snapshot_and_shows_it(nova: Module, disk: Path) -> None:
    image = nova("project-a", "get", id_or_uri=snapshot(nova, disk))
    assert (image["status"], image["size"], image["is_public"]) == ("active", len(DATA), False)
    assert (image["min_ram"], image["min_disk"], image["disk_format"], image["container_format"]) == (64, 1, "raw", "bare")
    kept = image["properties"]
    assert (kept["image_type"], kept["image_location"], kept["image_state"]) == ("snapshot", "snapshot", "available")
    assert kept["block_device_mapping"] == [{"device": "vda"}]
    assert "created_at" in image


def test_nova_makes_an_image_without_data_for_a_server_on_volumes(nova: Module) -> None:
    described = {"name": "volumes", "size": 0, "properties": {"bdm_v2": "True", "root_device_name": "/dev/vda"}}
    made = nova("project-a", "create", image_info=described)
    image = nova("project-a", "get", id_or_uri=made["id"])
    assert (image["status"], image["size"], image["disk_format"]) == ("active", 0, "raw")


def test_nova_downloads_to_boot_where_the_image_is_seen(nova: Module, cloud: Cloud, disk: Path, tmp_path: Path) -> None:
    image = snapshot(nova, disk)
    share(cloud, image, "project-b")
    for who in ("project-a", "project-b"):
        there = tmp_path / who
        nova(who, "download", id_or_uri=image, dest_path=str(there), trusted_certs=None)
        assert there.read_bytes() == DATA
    assert refusal(nova, "project-c", "download", id_or_uri=image, dest_path=str(tmp_path / "c")) == "ImageNotFound"
    assert not (tmp_path / "c").exists()


def test_nova_does_not_boot_deactivated_or_queued_images(nova: Module, cloud: Cloud, disk: Path, tmp_path: Path) -> None:
    withheld, empty = snapshot(nova, disk), snapshot(nova, None)
    cloud.sdk("project-a").image.deactivate_image(withheld)
    there = str(tmp_path / "there")
    assert refusal(nova, "project-a", "download", id_or_uri=withheld, dest_path=there) == "ImageNotAuthorized"
    assert refusal(nova, "project-a", "download", id_or_uri=empty, dest_path=there) == "ImageUnacceptable"


def test_nova_shares_the_snapshot_that_an_administrator_takes(nova: Module, cloud: Cloud, disk: Path) -> None:
    owner = {"instance_owner": cloud.projects["project-a"]}
    image = snapshot(nova, disk, "admin", properties=owner, is_public=False, visibility="shared")
    assert nova("project-a", "get", id_or_uri=image)["status"] == "active"
    assert refusal(nova, "project-b", "get", id_or_uri=image) == "ImageNotFound"
    nova("admin", "delete", id_or_uri=image)


def test_nova_lists_in_detail_page_by_page(nova: Module, cloud: Cloud) -> None:
    made = [snapshot(nova, None, "project-d", name=f"listed-{number}") for number in range(5)]
    found = nova("project-d", "get_all", filters={"status": "queued"}, sort_key="name", sort_dir="asc", limit=3)
    assert [image["id"] for image in found] == made[:3]
    after = nova("project-d", "get_all", filters={"name": "listed-4"}, marker=made[2], sort_key="name", sort_dir="asc")
    assert [image["id"] for image in after] == made[4:]
    assert {image["owner"] for image in found} == {cloud.projects["project-d"]}


def test_nova_takes_out_properties_that_it_does_not_name(nova: Module) -> None:
    image = snapshot(nova, None)
    nova("project-a", "update", id_or_uri=image, image_info={"properties": {"image_type": "backup"}}, purge_props=True)
    assert nova("project-a", "get", id_or_uri=image)["properties"] == {"image_type": "backup"}


def test_nova_deletes_once(nova: Module, cloud: Cloud) -> None:
    image, kept = snapshot(nova, None), snapshot(nova, None)
    cloud.sdk("project-a").image.update_image(kept, is_protected=True)
    assert nova("project-a", "delete", id_or_uri=image) is True
    assert refusal(nova, "project-a", "delete", id_or_uri=image) == "ImageNotFound"
    assert refusal(nova, "project-a", "get", id_or_uri=image) == "ImageNotFound"
    assert refusal(nova, "project-a", "delete", id_or_uri=kept) == "ImageNotAuthorized"


@pytest.mark.usefixtures("here")
def test_nova_copies_an_image_to_the_store_beside_it(nova: Module, disk: Path) -> None:
    image = snapshot(nova, disk)
    nova("admin", "copy_image_to_store", image_id=image, store="slow")
    stores = until(lambda: nova("admin", "get", id_or_uri=image)["stores"], "fast,slow")
    assert stores == "fast,slow"
    assert refusal(nova, "admin", "copy_image_to_store", image_id=image, store="slow") == "ImageBadRequest"


def test_cinder_uploads_a_volume_and_reads_it_back(cinder: Module, disk: Path, tmp_path: Path) -> None:
    image = volume_image(cinder, disk)
    shown = cinder("project-a", "show", image_id=image)
    assert (shown["status"], shown["size"], shown["properties"]["signature_verified"]) == ("active", len(DATA), "False")
    there = tmp_path / "there"
    cinder("project-a", "download", image_id=image, files={"data": (there, "wb")})
    assert there.read_bytes() == DATA
    listed = cinder("project-a", "detail", filters={"name": "volume"}, limit=100)
    assert image in [each["id"] for each in listed]
    assert refusal(cinder, "project-c", "download", image_id=image) == "ImageNotFound"
    assert cinder("project-a", "delete", image_id=image) is True
    assert refusal(cinder, "project-a", "show", image_id=image) == "ImageNotFound"


def test_cinder_sees_with_whom_an_image_is_shared(cinder: Module, cloud: Cloud, disk: Path) -> None:
    image = volume_image(cinder, disk)
    share(cloud, image, "project-b")
    members = cinder("project-a", "list_members", image_id=image)
    assert [(each["member_id"], each["status"]) for each in members] == [(cloud.projects["project-b"], "accepted")]
    assert cinder("project-b", "show", image_id=image)["id"] == image


@pytest.mark.usefixtures("here")
def test_cinder_uploads_into_the_store_of_the_volume_type(cinder: Module, cloud: Cloud, disk: Path) -> None:
    stores = cinder("project-a", "get_stores")["stores"]
    assert {store["id"] for store in stores} == {"fast", "slow"}, stores
    image = volume_image(cinder, disk, store_id="slow")
    assert cloud.glance("project-a").images.get(image).stores == "slow"


@pytest.mark.usefixtures("here")
def test_cinder_learns_where_image_data_is_as_a_service(cinder: Module, disk: Path) -> None:
    direct_url, locations = cinder("project-a", "get_location", image_id=volume_image(cinder, disk))
    assert direct_url is None
    assert [location["metadata"] for location in locations] == [{"store": "fast"}]


def test_cinder_adds_the_location_of_a_volume(cinder: Module, here: Place, tmp_path: Path) -> None:
    (here.web_folder / "volume.raw").write_bytes(DATA)
    image = cinder("project-a", "create", image_meta={"name": "volume", "disk_format": "raw", "container_format": "bare"})["id"]
    cinder("project-a", "add_location", image_id=image, url=f"{here.web_url}/volume.raw", metadata={})
    assert until(lambda: cinder("project-a", "show", image_id=image)["status"], "active") == "active"
    (here.web_folder / "volume.raw").unlink()
    cinder("project-a", "download", image_id=image, files={"data": (tmp_path / "there", "wb")})
    assert (tmp_path / "there").read_bytes() == DATA


def volume_image(cinder: Module, disk: Path, **more: Any) -> str:
    """Do what an upload of a volume does: the API makes the image, the volume's host uploads."""
    described = {"name": "volume", "container_format": "bare", "disk_format": "raw", "properties": {"signature_verified": "False"}}
    image = cinder("project-a", "create", image_meta=described)
    cinder("project-a", "update", image_id=image["id"], image_meta={}, purge_props=False, files={"data": (disk, "rb")}, **more)
    return str(image["id"])


def until(ask: Any, wanted: str, seconds: float = 30) -> str:
    """Ask until the answer is the one wanted, or time is up; return the last."""
    end = time.monotonic() + seconds
    while (said := str(ask())) != wanted and time.monotonic() < end:
        time.sleep(0.2)
    return said
