"""A cloud with everything on: `partage up` with two stores, a second image service on the same data, a web server to fetch from.

Each of the two services has a cache of its own.
"""

import json
import os
import secrets
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from partage.main.process import listening
from partage.model.import_request import ImportMethod
from tests import standalone
from tests.compat import clouds

LIMITS = {"image_size_total": 2000, "image_stage_total": 2000, "image_count_total": 1000, "image_count_uploading": 100}


@dataclass(frozen=True)
class Place:
    """Where all of it is; `web_folder` is served below `web_url`."""

    service: standalone.LiveService
    web_url: str
    web_folder: Path


@contextmanager
def running(folder: Path, *, by_reference: bool = False, **settings: str) -> Iterator[Place]:
    """Run all of it in an empty folder; `settings` are further PARTAGE_* variables.

    `by_reference`: locations are shown, and those on the web kept in a third store, where otherwise they are fetched and kept.
    """
    with ExitStack() as stack:
        web_port = stack.enter_context(_web(folder / "web"))
        environment = {**_settings(folder, web_port, by_reference=by_reference), **settings}
        first = stack.enter_context(standalone.up(folder / "data", **environment))
        second_url = stack.enter_context(_second(first, environment))
        _define(first.directory)
        _register(first.keystone, second_url)
        yield Place(first, f"http://127.0.0.1:{web_port}", folder / "web")


def _settings(folder: Path, web_port: int, *, by_reference: bool) -> dict[str, str]:
    """Two stores, all import methods, locations on the web, this machine's web server within reach, limits of the identity service.

    Tempest changes limits and expects the next request to know; and that one upload of unknown size may exceed them, as in Glance.
    """
    stores = [{"id": name, "path": str(folder / name), "weight": weight} for name, weight in (("fast", 20), ("slow", 10))]
    web = [{"id": "web", "type": "http"}] if by_reference else []
    return {
        "PARTAGE_STORES": json.dumps([*stores, *web]),
        "PARTAGE_SHOW_MULTIPLE_LOCATIONS": json.dumps(by_reference),
        "PARTAGE_SHOW_IMAGE_DIRECT_URL": json.dumps(by_reference),
        "PARTAGE_IMPORTS__METHODS": json.dumps([method.value for method in ImportMethod]),
        "PARTAGE_IMPORTS__TOKEN_KEYS": json.dumps([secrets.token_hex(32)]),  # what one service seals, a worker of the other opens
        "PARTAGE_IMPORTS__HTTP_LOCATIONS": "true",
        "PARTAGE_CACHE__DIRECTORY": str(folder / "near-first"),
        "PARTAGE_FETCH__PORTS": json.dumps([80, 443, web_port]),
        "PARTAGE_FETCH__NETWORKS_ALLOWED": '["127.0.0.1/32"]',
        "PARTAGE_LIMITS__USE_KEYSTONE_LIMITS": "true",
        "PARTAGE_LIMITS__KEYSTONE_CACHE_SECONDS": "0",
        "PARTAGE_LIMITS__ONE_UPLOAD_MAY_EXCEED": "true",
    }


def _define(data: Path) -> None:
    """Load metadata definitions, as an operator of Glance does: Tempest takes the first type of resources that it finds."""
    definitions = data.with_name("metadefs")
    definitions.mkdir()
    namespace = {"namespace": "OS::Compute::Libvirt", "visibility": "public", "protected": True}
    namespace["resource_type_associations"] = [{"name": name} for name in ("OS::Glance::Image", "OS::Nova::Flavor")]
    (definitions / "libvirt.json").write_text(json.dumps(namespace))
    command = [standalone.PARTAGE, "manage", "load-metadefs", "--data", data, "--from", definitions]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _web(folder: Path) -> Iterator[int]:
    """Serve a disk image, and the same in an archive."""
    folder.mkdir()
    disk = clouds.real_disk(folder)
    with tarfile.open(folder / "small.tar.gz", "w:gz") as archive:
        archive.add(disk.qcow2, disk.qcow2.name)
    port = listening.find_free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), str(port)]
    with _program(command, folder.with_name("web.out"), f"http://127.0.0.1:{port}/"):
        yield port


@contextmanager
def _second(first: standalone.LiveService, environment: Mapping[str, str]) -> Iterator[str]:
    """Run `partage serve` on the same database and stores, as the second of two machines: with a cache directory of its own."""
    port = listening.find_free_port()
    near = {"PARTAGE_CACHE__DIRECTORY": str(first.directory.with_name("near-second"))}
    account = first.keystone.credentials
    identity = {"URL": account.url, "USERNAME": account.username, "PASSWORD": account.password, "PROJECT_NAME": "service"}
    given = {**environment, **near, "PARTAGE_DATA": str(first.directory), "PARTAGE_WORKERS": "1", "PARTAGE_PORT": str(port)}
    given |= {f"PARTAGE_IDENTITY__{name}": value for name, value in identity.items()}
    url = f"http://127.0.0.1:{port}"
    with _program([str(standalone.PARTAGE), "serve"], first.directory.with_name("second.out"), url, **given):
        yield url


@contextmanager
def _program(command: list[str], log: Path, url: str, **environment: str) -> Iterator[None]:
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment})
    try:
        standalone.wait_for(lambda: standalone.answers(url) or process.poll() is not None, seconds=60)
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended: {log.read_text()}")
        yield
    finally:
        process.terminate()
        process.wait(60)


def _register(keystone: standalone.RunningKeystone, second_url: str) -> None:
    """Put the second service into the catalog; give limits to fall short of. Tempest looks for them by the name `glance`."""
    services = keystone.call("GET", "/services?type=image")["services"]
    keystone.call("PATCH", f"/services/{services[0]['id']}", {"service": {"name": "glance"}})
    admin = keystone.call("GET", "/users?name=admin")["users"][0]["id"]
    role = keystone.call("GET", "/roles?name=admin")["roles"][0]["id"]
    keystone.call("PUT", f"/system/users/{admin}/roles/{role}")  # registered limits are the system's
    limits = [{"service_id": services[0]["id"], "region_id": "RegionOne", "resource_name": name} for name in LIMITS]
    limits = [{**limit, "default_limit": LIMITS[limit["resource_name"]]} for limit in limits]
    keystone.call("POST", "/registered_limits", {"registered_limits": limits})
    second = keystone.call("POST", "/services", {"service": {"type": "image_remote", "name": "second"}})["service"]["id"]
    for interface in ("public", "internal", "admin"):
        endpoint = {"service_id": second, "interface": interface, "url": second_url, "region_id": "RegionOne"}
        keystone.call("POST", "/endpoints", {"endpoint": endpoint})
