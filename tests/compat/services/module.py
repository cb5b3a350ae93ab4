"""Another service's image module in a process of its own, to be called from a test."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
