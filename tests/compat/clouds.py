"""A cloud with people of its own: fresh projects and users in the identity service, so that no two runs see each other's images."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from glanceclient import client as glance_client
from openstack import config
from openstack.connection import Connection

PROJECTS = ("project-a", "project-b", "project-c", "project-d")
READERS = (("reader-a", "project-a", "reader"), ("reader-b", "project-b", "reader"))


@dataclass
class Cloud:
    """Clients of one endpoint, as somebody: a name of PROJECTS, `reader-a` or `reader-b` of the first two, or `admin`."""

    clouds_file: Path
    projects: dict[str, str]
    is_glance: bool
    connections: dict[str, Connection] = field(default_factory=dict)

    def sdk(self, who: str) -> Connection:
        """Return openstacksdk's connection, the same one each time."""
        if who not in self.connections:
            self.connections[who] = _connect(self.clouds_file, who)
        return self.connections[who]

    def glance(self, who: str) -> Any:
        """Return python-glanceclient's client."""
        return glance_client.Client("2", session=self.sdk(who).session, region_name="RegionOne", interface="public")

    def token(self, who: str) -> str:
        """Return a token for requests without a client."""
        return str(self.sdk(who).session.get_token())

    def user(self, who: str) -> str:
        """Return the id of somebody's user."""
        return str(self.sdk(who).session.get_user_id())

    @property
    def project_of_the_administrator(self) -> str:
        """The id of the project that `admin` works in."""
        return str(self.sdk("admin").session.get_project_id())

    @property
    def endpoint(self) -> str:
        """Where the image service is, without version and final slash."""
        sdk = self.sdk("project-a")
        address = sdk.config.get_endpoint("image") or sdk.session.get_endpoint(
            service_type="image", region_name="RegionOne", interface="public"
        )
        return str(address).removesuffix("/").removesuffix("/v2")

    @property
    def identity(self) -> str:
        """Where the identity service is, without version."""
        return str(self.sdk("admin").session.auth.auth_url).removesuffix("/v3")


@contextmanager
def people(administrators_file: Path, folder: Path, *, is_glance: bool, image_url: str = "") -> Iterator[Cloud]:
    """Make new projects and users on the cloud whose `admin` is in a clouds.yaml; remove them and their images at the end.

    `image_url`: an image service other than the one in the catalog.
    """
    administrator = yaml.safe_load(administrators_file.read_text())["clouds"]["admin"]
    elsewhere = {"image_endpoint_override": f"{image_url}/v2", "image_api_version": "2"} if image_url else {}
    administrator |= elsewhere
    run = f"compat-{secrets.token_hex(4)}"
    admin = _connect(administrators_file, "admin", **elsewhere)
    projects, users = _register(admin, run)
    clouds_file = folder / f"{run}.yaml"
    clouds_file.write_text(json.dumps({"clouds": {"admin": administrator} | _entries(administrator, run, users)}))  # JSON is YAML
    cloud = Cloud(clouds_file, {name: project.id for name, project in projects.items()}, is_glance)
    cloud.connections["admin"] = admin
    try:
        yield cloud
    finally:
        _leave(cloud, projects, users)


def _connect(clouds_file: Path, who: str, **more: str) -> Connection:
    found = config.OpenStackConfig(config_files=[str(clouds_file)], vendor_files=[], secure_files=[])
    connection = Connection(config=found.get_one(who, **more))
    connection.identity.connect_retries = 3  # a server may close a kept connection at the moment when it is used again
    return connection


def _register(admin: Connection, run: str) -> tuple[dict[str, Any], dict[str, tuple[Any, str]]]:
    roles = {role.name: role for role in admin.identity.roles()}
    projects = {name: admin.identity.create_project(name=f"{run}-{name}", domain_id="default") for name in PROJECTS}
    users = {}
    for name, project, role in [*((each, each, "member") for each in PROJECTS), *READERS]:
        password = secrets.token_urlsafe(12)
        user = admin.identity.create_user(name=f"{run}-{name}", password=password, domain_id="default")
        admin.identity.assign_project_role_to_user(projects[project], user, roles[role])
        users[name] = (user, password)
    return projects, users


def _entries(administrator: dict[str, Any], run: str, users: dict[str, tuple[Any, str]]) -> dict[str, Any]:
    where = {key: value for key, value in administrator.items() if key != "auth"}
    url = administrator["auth"]["auth_url"]
    domains = {"user_domain_id": "default", "project_domain_id": "default"}
    return {
        name: {
            **where,
            "auth": {
                "auth_url": url,
                "username": user.name,
                "password": password,
                "project_name": f"{run}-{name.replace('reader', 'project')}",
                **domains,
            },
        }
        for name, (user, password) in users.items()
    }


def _leave(cloud: Cloud, projects: dict[str, Any], users: dict[str, tuple[Any, str]]) -> None:
    admin = cloud.sdk("admin")
    projects = {name: each for name, each in projects.items() if admin.identity.find_project(each.id)}  # a test may delete one
    for name in projects:
        forget_images(cloud, name)
    for user, _password in users.values():
        admin.identity.delete_user(user)
    for project in projects.values():
        admin.identity.delete_project(project)
    for connection in cloud.connections.values():
        connection.close()


def forget_images(cloud: Cloud, who: str, *, prefix: str = "") -> None:
    """Delete the images that a project owns and whose names start so, whatever their state."""
    images = cloud.sdk(who).image
    mine = str(cloud.sdk(who).session.get_project_id())
    found = [
        image for hidden in (False, True) for image in images.images(owner=mine, visibility="all", is_hidden=hidden, limit=1000)
    ]
    for image in found:
        if (image.name or "").startswith(prefix):
            if image.is_protected:
                images.update_image(image, is_protected=False)
            images.delete_image(image)


@dataclass(frozen=True)
class Disk:
    """One disk image in two formats."""

    raw: Path
    qcow2: Path


def real_disk(folder: Path) -> Disk:
    """Make a small ext4 file system with files in it, as raw and as qcow2, with the system's own programs.

    Source: mke2fs(8), qemu-img(1).
    """
    content = folder / "content"
    content.mkdir()
    for number in range(64):
        (content / f"file-{number:02d}").write_bytes(secrets.token_bytes(16_384) + bytes(16_384))
    raw, qcow2 = folder / "small.raw", folder / "small.qcow2"
    with raw.open("wb") as file:
        file.truncate(48 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", content, raw], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, qcow2], check=True)
    return Disk(raw, qcow2)
