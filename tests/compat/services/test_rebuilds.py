"""Nova boots, rebuilds and snapshots for project B with its own image module, while A ends the share in every way.

Nova asks for the image by its id, with the token of a user of B and its own service token. `make compat` runs this.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import standalone
from tests.compat import clouds
from tests.compat.clouds import Cloud
from tests.compat.services import accounts
from tests.compat.services.module import Module, refusal, snapshot

pytestmark = pytest.mark.slow

DATA = b"golden" * 100_000
ABSENT = "00000000-0000-4000-8000-000000000000"
SHORT_SECONDS = 20  # long enough for a rebuild on a busy machine


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[standalone.LiveService]:
    """Run `partage up` with its defaults."""
    with standalone.up(tmp_path_factory.mktemp("rebuilds") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def running_nova(python: Path, service: standalone.LiveService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Module]:
    with (
        clouds.people(service.clouds_file, tmp_path_factory.mktemp("nova-people"), is_glance=False) as cloud,
        accounts.made(cloud) as account,
        accounts.running_nova(python, cloud, account, tmp_path_factory.mktemp("nova")) as nova,
    ):
        yield nova


@pytest.fixture
def cloud(service: standalone.LiveService, tmp_path: Path) -> Iterator[Cloud]:
    """Give each test people of its own, because one of them loses its project."""
    with clouds.people(service.clouds_file, tmp_path, is_glance=False) as made:
        yield made


@pytest.fixture
def nova(running_nova: Module, cloud: Cloud) -> Module:
    return replace(running_nova, cloud=cloud)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    file = tmp_path / "disk.raw"
    file.write_bytes(DATA)
    return file


def call(cloud: Cloud, who: str, method: str, path: str, **document: Any) -> requests.Response:
    """Send a request of the sharing API or the Image API."""
    headers = {"X-Auth-Token": cloud.token(who)}
    return requests.request(method, f"{cloud.endpoint}{path}", json=document or None, headers=headers, timeout=60)


def share(cloud: Cloud, image: str, notice: str) -> None:
    """A offers the image, B accepts it."""
    b = cloud.projects["project-b"]
    offer = {"image_ids": [image], "projects": [b], "terms": {"notice": notice}, "make_shared": True}
    assert call(cloud, "project-a", "POST", "/partage/v1/shares", **offer).json()["results"][0]["problem"] is None
    assert call(cloud, "project-b", "POST", f"/partage/v1/shares/{image}/{b}/accept").status_code == 200


def close_project(service: standalone.LiveService, cloud: Cloud, _image: str) -> None:
    """The operator deletes A's project in Keystone, and closes it here."""
    project = cloud.projects["project-a"]
    cloud.sdk("admin").identity.delete_project(project)
    command = [standalone.PARTAGE, "manage", "close-project", project, "--data", service.directory]
    account = service.keystone.credentials
    identity = {"URL": account.url, "USERNAME": account.username, "PASSWORD": account.password, "PROJECT_NAME": "service"}
    environment = {**os.environ, **{f"PARTAGE_IDENTITY__{name}": value for name, value in identity.items()}}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


End = Callable[[standalone.LiveService, Cloud, str], object]
END: dict[str, End] = {
    "removed": lambda _service, cloud, image: cloud.sdk("project-a").image.remove_member(cloud.projects["project-b"], image),
    "deleted": lambda _service, cloud, image: cloud.sdk("project-a").image.delete_image(image),
    "private": lambda _service, cloud, image: cloud.sdk("project-a").image.update_image(image, visibility="private"),
    "deactivated": lambda _service, cloud, image: cloud.sdk("project-a").image.deactivate_image(image),
    "project-closed": close_project,
}


def rebuild(nova: Module, image: str, there: Path) -> None:
    """Do what a rebuild does: the API shows the image, the compute node downloads it."""
    shown = nova("project-b", "get", id_or_uri=image)
    assert (shown["status"], shown["size"]) == ("active", len(DATA))
    nova("project-b", "download", id_or_uri=image, dest_path=str(there), trusted_certs=None)
    assert there.read_bytes() == DATA
    there.unlink()


@pytest.mark.parametrize("reason", END)
def test_nova_rebuilds_servers_of_a_member_who_has_notice(
    service: standalone.LiveService, nova: Module, disk: Path, tmp_path: Path, reason: str
) -> None:
    cloud, image = nova.cloud, snapshot(nova, disk)
    share(cloud, image, "forever")
    rebuild(nova, image, tmp_path / "boot")
    END[reason](service, cloud, image)
    rebuild(nova, image, tmp_path / "rebuilt")
    taken = snapshot(nova, disk, "project-b")
    assert nova("project-b", "get", id_or_uri=taken)["status"] == "active"
    absent = call(cloud, "project-c", "GET", f"/v2/images/{ABSENT}")
    for path in (image, ABSENT):
        found = call(cloud, "project-c", "GET", f"/v2/images/{path}")
        assert (found.status_code, found.content.replace(path.encode(), ABSENT.encode())) == (404, absent.content)
    assert refusal(nova, "project-c", "get", id_or_uri=image) == "ImageNotFound"


@pytest.mark.parametrize("reason", ["removed", "deleted", "private", "project-closed"])
def test_nova_finds_no_image_when_the_notice_has_run_out(
    service: standalone.LiveService, nova: Module, disk: Path, tmp_path: Path, reason: str
) -> None:
    cloud, image = nova.cloud, snapshot(nova, disk)
    share(cloud, image, f"PT{SHORT_SECONDS}S")
    END[reason](service, cloud, image)
    rebuild(nova, image, tmp_path / "rebuilt")
    ends_at = call(cloud, "project-b", "GET", f"/partage/v1/shares/{image}/{cloud.projects['project-b']}").json()["ending"][
        "ends_at"
    ]
    while time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) <= ends_at:
        time.sleep(0.2)
    assert refusal(nova, "project-b", "get", id_or_uri=image) == "ImageNotFound"


@pytest.mark.parametrize("reason", ["removed", "deleted", "private"])
def test_nova_finds_no_image_without_notice_as_on_glance(
    service: standalone.LiveService, nova: Module, disk: Path, reason: str
) -> None:
    cloud, image = nova.cloud, snapshot(nova, disk)
    share(cloud, image, "P0D")
    END[reason](service, cloud, image)
    assert refusal(nova, "project-b", "get", id_or_uri=image) == "ImageNotFound"
