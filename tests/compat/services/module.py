"""Another service's image module in a process of its own, to be called from a test."""

import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.compat.clouds import Cloud

HERE = Path(__file__).parent


class RaisedError(Exception):
    """What the service raised; `name` is its class."""

    def __init__(self, name: str, said: str) -> None:
        super().__init__(f"{name}: {said}")
        self.name = name


@dataclass(frozen=True)
class Module:
    """An image module that does something on behalf of somebody of a cloud."""

    process: subprocess.Popen[str]
    cloud: Cloud

    def __call__(self, who: str, method: str, *, files: Mapping[str, tuple[Path, str]] | None = None, **arguments: Any) -> Any:
        """Call a method as `who`; `files`: arguments that are open files, path and mode.

        Raises:
            RaisedError: the service raised something.
        """
        opened = {name: (str(path), mode) for name, (path, mode) in (files or {}).items()}
        request = {"method": method, "arguments": arguments, "files": opened, "context": caller(self.cloud, who)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "raised" in answer:
            raise RaisedError(answer["raised"], answer["said"])
        return answer["result"]


def caller(cloud: Cloud, who: str) -> dict[str, Any]:
    """Say who asks, as the middleware of every service learns it from the identity service: token, ids, short catalog."""
    session = cloud.sdk(who).session
    access = session.auth.get_access(session)
    catalog = [
        {"type": service["type"], "name": service["name"], "endpoints": _endpoints(service["endpoints"])}
        for service in access.service_catalog.catalog
    ]
    return {"token": access.auth_token, "user": access.user_id, "project": access.project_id, "catalog": catalog}


def _endpoints(endpoints: list[dict[str, Any]]) -> list[dict[str, Any]]:
    regions: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        regions.setdefault(each["region"], {"region": each["region"]})[f"{each['interface']}URL"] = each["url"]
    return list(regions.values())


@contextmanager
def running(python: Path, program: str, cloud: Cloud, configuration: str, folder: Path) -> Iterator[Module]:
    """Run `program` of this folder with a configuration file, and end it afterwards."""
    file = folder / f"{program}.conf"
    file.write_text(configuration)
    command = [python, "-W", "ignore", HERE / program, file]
    with (folder / f"{program}.log").open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    with process:
        yield Module(process, cloud)
        assert process.stdin is not None
        process.stdin.close()


def snapshot(nova: Module, disk: Path | None, who: str = "project-a", **more: Any) -> str:
    """Do what a snapshot of a server does: the API makes the image, the compute node describes it and uploads the disk."""
    server = {"instance_uuid": secrets.token_hex(16), "image_type": "snapshot", "base_image_ref": "", "user_id": "somebody"}
    properties = {**server, "block_device_mapping": [{"device": "vda"}], **more.pop("properties", {})}
    described = {"name": "snapshot", "is_public": False, "min_ram": 64, "min_disk": 1, "properties": properties, **more}
    image = nova(who, "create", image_info=described)
    if disk:
        owner = nova.cloud.projects["project-a"]
        state = {"kernel_id": "", "image_location": "snapshot", "image_state": "available", "owner_id": owner}
        written = {"status": "active", "name": "snapshot", "disk_format": "raw", "container_format": "bare", "properties": state}
        nova(who, "update", id_or_uri=image["id"], image_info=written, files={"data": (disk, "rb")})
    return str(image["id"])


def refusal(call: Module, who: str, method: str, **arguments: Any) -> str:
    """Return the class of what the service raises."""
    with pytest.raises(RaisedError) as raised:
        call(who, method, **arguments)
    return raised.value.name
