"""Clouds to test with: a Partage that this starts, and a real Glance of the scripts in PEER_DIR, each with a real Keystone."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import openstack

import partageclient
from partageclient.connections import Cloud
from partageclient.images import Image

_UP = "Ctrl-C ends everything"
_SECONDS = 180

Run = Callable[..., tuple[int, str, str]]
"""Runs `openstack --os-cloud CLOUD …`; returns its exit status, output and messages."""


@dataclass
class Place:
    """A cloud with projects project-a, -b and -c, and a member user-a, -b and -c in each."""

    clouds_file: Path
    is_glance: bool
    """Whether it has no sharing API."""
    _clouds: dict[str, Cloud] = field(default_factory=dict)

    def cloud(self, profile: str) -> Cloud:
        """Connect, once for all tests: a sign-in costs Keystone half a second of computing."""
        if profile not in self._clouds:
            self._clouds[profile] = Cloud(self.connect(profile), profile)
        return self._clouds[profile]

    def connect(self, profile: str, **settings: object) -> openstack.connection.Connection:
        """Make a new connection, with settings that differ from the profile."""
        config = openstack.config.OpenStackConfig(config_files=[str(self.clouds_file)], load_envvars=False)
        profiles = config.cloud_config["clouds"]
        if "region_name" in settings:  # which the profile need not name
            profiles[profile].pop("region_name", None)
        return openstack.connection.Connection(config=config.get_one(cloud=profile, **settings))

    def create_image(self, name: str, *, owner: str = "project-a", visibility: str = "private", data: bytes = b"disk") -> Image:
        """Create an active image."""
        body = {"name": name, "visibility": visibility, "disk_format": "raw", "container_format": "bare"}
        cloud = self.cloud(owner)
        image: Image = cloud.request("POST", "/v2/images", asked="Create an image", body=body).document
        headers = {"Content-Type": "application/octet-stream"}
        answer = cloud.connection.session.put(f"{cloud.image_url}/v2/images/{image['id']}/file", data=data, headers=headers)
        assert answer.status_code == 204, answer.text
        return image

    def forget_images(self, owner: str = "project-a") -> None:
        """Delete every image of a project."""
        cloud = self.cloud(owner)
        query: dict[str, str | int] = {"owner": cloud.project_id, "limit": 1000}
        for image in cloud.request("GET", "/v2/images", asked="List", query=query).document["images"]:
            cloud.request("DELETE", f"/v2/images/{image['id']}", asked="Delete", also=(404,))

    def forget_shares(self, member: str) -> None:
        """Give up every share that a project has received."""
        cloud = self.cloud(member)
        for share in partageclient.inbox(cloud):
            partageclient.leave(cloud, [share.image_id])


@contextmanager
def run_partage(folder: Path) -> Iterator[Place]:
    """Run `partage up` from PATH_OF_PARTAGE, or beside this Python."""
    program = os.environ.get("PATH_OF_PARTAGE") or str(Path(sys.executable).with_name("partage"))
    log = folder / "partage.out"
    command = [program, "up", "--data", str(folder / "data"), "--port", str(_find_free_port())]
    environment = {
        **os.environ,
        "PARTAGE_DRAIN_SECONDS": "0",
        "PARTAGE_SHARING__LONGEST_NOTICE": "P365D",
        "PARTAGE_IMPORTS__METHODS": '["glance-direct", "web-download", "copy-image", "glance-download"]',
    }
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
    try:
        end = time.monotonic() + _SECONDS
        while _UP not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield Place(folder / "data" / "clouds.yaml", is_glance=False)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def run_glance(scripts: Path) -> Iterator[Place]:
    """Use the Glance that answers already, or run one and stop it afterwards. PEER_ROOT, KS_PORT and GL_PORT say which."""
    root = Path(os.environ.get("PEER_ROOT", Path(tempfile.gettempdir()) / "peer"))
    url = f"http://127.0.0.1:{os.environ.get('GL_PORT', '39292')}/versions"
    was_up = (root / "clouds.yaml").is_file() and _answers(url)
    if not was_up:
        subprocess.run(["bash", str(scripts / "setup.sh")], check=True, stdout=subprocess.DEVNULL)
    try:
        yield Place(root / "clouds.yaml", is_glance=True)
    finally:
        if not was_up:
            subprocess.run(["bash", str(scripts / "stop.sh")], check=True, stdout=subprocess.DEVNULL)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
    return True


def _find_free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
