"""Images in the states that questions want, and the images of the project whose lists are asked for."""

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.compat.clouds import Cloud

RAW = {"disk_format": "raw", "container_format": "bare"}
DATA = b"0123456789" * 10
LISTED: tuple[dict[str, Any], ...] = (
    {"name": "alpha", **RAW, "visibility": "private", "tags": ["red"], "colour": "red", "data": b"x" * 10},
    {"name": "beta", **RAW, "visibility": "shared", "tags": ["red", "round"], "colour": "blue", "data": b"x" * 20},
    {"name": "gamma", **RAW, "visibility": "community", "tags": ["red", "round"], "colour": "red", "min_ram": 4},
    {"name": "hidden", **RAW, "os_hidden": True},
    {"name": "protected", "disk_format": "qcow2", "container_format": "bare", "protected": True},
    {"name": "with,comma", "visibility": "private"},
    {"name": "with:colon"},
)


@dataclass(frozen=True)
class Answer:
    """What came back, as it was sent."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as a JSON document."""
        return json.loads(self.body)


def send(cloud: Cloud, who: str, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """Send one request exactly as it is written; `nobody` has no token and `stranger` a false one."""
    address = urlsplit(cloud.endpoint)
    token = {} if who == "nobody" else {"X-Auth-Token": "false" if who == "stranger" else cloud.token(who)}
    sent = {"Accept": "application/json", **token, **(headers or {})}
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        found: dict[str, list[str]] = {}
        for name, value in answer.getheaders():
            found.setdefault(name.lower(), []).append(value)
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


def image_in(cloud: Cloud, state: str, name: str) -> str:
    """Make an image of the first project's in a state, and return its id."""
    documents = {"formless": {}, "queued qcow2": {**RAW, "disk_format": "qcow2"}}
    changed = {"private": {"visibility": "private"}, "community": {"visibility": "community"}, "protected": {"protected": True}}
    document = documents.get(state, {**RAW, "tags": ["red"], "mine": "v"}) | changed.get(state, {})
    image = str(_done(cloud, "POST", "/v2/images", {"name": name, **document}).document["id"])
    if "queued" not in state and state != "formless":
        _done(cloud, "PUT", f"/v2/images/{image}/file", DATA)
    finish = _FINISH.get(state)
    if finish:
        finish(cloud, image)
    return image


def _share(cloud: Cloud, image: str) -> None:
    _done(cloud, "POST", f"/v2/images/{image}/members", {"member": cloud.projects["project-b"]})


def _deactivate(cloud: Cloud, image: str) -> None:
    _done(cloud, "POST", f"/v2/images/{image}/actions/deactivate")


def _delete(cloud: Cloud, image: str) -> None:
    _done(cloud, "DELETE", f"/v2/images/{image}")


_FINISH: dict[str, Callable[[Cloud, str], None]] = {"shared": _share, "deactivated": _deactivate, "deleted": _delete}


def list_of_images(cloud: Cloud) -> dict[str, str]:
    """Make the images of LISTED for project-d and return the name of each id."""
    made = {}
    for each in LISTED:
        document = {name: value for name, value in each.items() if name != "data"}
        image = str(_done(cloud, "POST", "/v2/images", document, who="project-d").document["id"])
        made[image] = str(each["name"])
        if "data" in each:
            _done(cloud, "PUT", f"/v2/images/{image}/file", each["data"], who="project-d")
    return made


def _done(cloud: Cloud, method: str, path: str, body: Any = None, *, who: str = "project-a") -> Answer:
    headers = {"Content-Type": "application/octet-stream"} if isinstance(body, bytes) else None
    answer = send(cloud, who, method, path, body=body, headers=headers)
    assert answer.status < 300, (method, path, answer)
    return answer
