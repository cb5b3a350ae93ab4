"""Images and namespaces in the states that questions want, and the images of the project whose lists are asked for."""

import http.client
import json
import time
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
NAMESPACE: dict[str, Any] = {
    "display_name": "All of it",
    "description": "A namespace with one of each",
    "objects": [
        {
            "name": "box",
            "description": "d",
            "required": ["colour"],
            "properties": {"colour": {"title": "Colour", "type": "string", "enum": ["blue", "red"], "default": "blue"}},
        }
    ],
    "properties": {"size": {"title": "Size", "type": "integer", "minimum": 1, "description": "how big"}},
    "tags": [{"name": "Round"}, {"name": "flat"}],
    "resource_type_associations": [{"name": "OS::Compat::Thing", "prefix": "hw:", "properties_target": "image"}],
}
NAMESPACES: dict[str, dict[str, Any]] = {
    "namespace": {**NAMESPACE, "visibility": "private"},
    "public namespace": {**NAMESPACE, "visibility": "public"},
    "protected namespace": {**NAMESPACE, "visibility": "private", "protected": True},
    "empty namespace": {},
}
"""Name of a state to the document of a namespace of the first project's in it."""
PATIENCE_SECONDS = 60
LEFT_OUT = "left out"
"""The value of a header that is not sent, although one is by default."""


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
    """Send one request exactly as it is written; `nobody` has no token and `stranger` a false one.

    A connection that is broken without an answer is an answer of status 0.
    """
    address = urlsplit(cloud.endpoint)
    token = {} if who == "nobody" else {"X-Auth-Token": "false" if who == "stranger" else cloud.token(who)}
    sent = {"Accept": "application/json", **token, **(headers or {})}
    sent = {name: value for name, value in sent.items() if value is not LEFT_OUT}
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        found: dict[str, list[str]] = {}
        for name, value in answer.getheaders():
            found.setdefault(name.lower(), []).append(value)
        return Answer(answer.status, found, answer.read())
    except http.client.RemoteDisconnected:
        return Answer(0, {}, b"")
    finally:
        connection.close()


def image_in(cloud: Cloud, state: str, name: str) -> str:
    """Make an image of the first project's in a state, and return its id."""
    documents = {"formless": {}, "queued qcow2": {**RAW, "disk_format": "qcow2"}}
    changed = {"private": {"visibility": "private"}, "community": {"visibility": "community"}, "protected": {"protected": True}}
    document = documents.get(state, {**RAW, "tags": ["red"], "mine": "v"}) | changed.get(state, {})
    image = str(_done(cloud, "POST", "/v2/images", {"name": name, **document}).document["id"])
    if state not in _WITHOUT_DATA:
        _done(cloud, "PUT", f"/v2/images/{image}/file", DATA)
    for step in _STEPS.get(state, ()):
        step(cloud, image)
    return image


def settled(cloud: Cloud, image: str) -> list[dict[str, Any]]:
    """Wait until nothing is being done to an image, and return its tasks."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = send(cloud, "admin", "GET", f"/v2/images/{image}/tasks")
        tasks = list(answer.document["tasks"]) if answer.status == 200 else []
        if all(each["status"] in {"success", "failure"} for each in tasks):
            return tasks
        assert time.monotonic() < end, tasks
        time.sleep(0.1)


def namespace_in(cloud: Cloud, state: str, name: str) -> None:
    """Make a namespace of the first project's in a state."""
    document = {"namespace": name, "owner": cloud.projects["project-a"], **NAMESPACES[state]}
    _done(cloud, "POST", "/v2/metadefs/namespaces", document, who="admin")


def forget_namespace(cloud: Cloud, name: str) -> None:
    """Delete a namespace, protected or not; nothing happens when it is not there."""
    at = f"/v2/metadefs/namespaces/{name}"
    if send(cloud, "admin", "DELETE", at).status == 403:
        _done(cloud, "PUT", at, {"namespace": name, "protected": False}, who="admin")
        _done(cloud, "DELETE", at, who="admin")


def _share(cloud: Cloud, image: str) -> None:
    _done(cloud, "POST", f"/v2/images/{image}/members", {"member": cloud.projects["project-b"]})


def _answer(status: str) -> Callable[[Cloud, str], None]:
    def step(cloud: Cloud, image: str) -> None:
        at = f"/v2/images/{image}/members/{cloud.projects['project-b']}"
        _done(cloud, "PUT", at, {"status": status}, who="project-b")

    return step


def _set(name: str, value: Any) -> Callable[[Cloud, str], None]:
    """Let the administrator do it: nobody else may make an image public."""

    def step(cloud: Cloud, image: str) -> None:
        changes = [{"op": "replace", "path": f"/{name}", "value": value}]
        media = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        answer = send(cloud, "admin", "PATCH", f"/v2/images/{image}", body=changes, headers=media)
        assert answer.status == 200, answer

    return step


def _deactivate(cloud: Cloud, image: str) -> None:
    _done(cloud, "POST", f"/v2/images/{image}/actions/deactivate")


def _delete(cloud: Cloud, image: str) -> None:
    _done(cloud, "DELETE", f"/v2/images/{image}")


def _stage(cloud: Cloud, image: str) -> None:
    _done(cloud, "PUT", f"/v2/images/{image}/stage", DATA)


def _import(cloud: Cloud, image: str) -> None:
    _done(cloud, "POST", f"/v2/images/{image}/import", {"method": {"name": "glance-direct"}})
    settled(cloud, image)


_ACCEPTED = (_share, _answer("accepted"))
_STEPS: dict[str, tuple[Callable[[Cloud, str], None], ...]] = {
    "shared": (_share,),
    "deactivated": (_deactivate,),
    "deleted": (_delete,),
    "staged": (_stage,),
    "imported": (_stage, _import),
    "accepted": _ACCEPTED,
    "rejected": (_share, _answer("rejected")),
    "private again": (*_ACCEPTED, _set("visibility", "private")),
    "community, accepted": (*_ACCEPTED, _set("visibility", "community")),
    "public, accepted": (*_ACCEPTED, _set("visibility", "public")),
    "queued, accepted": _ACCEPTED,
    "staged, accepted": (*_ACCEPTED, _stage),
    "hidden, accepted": (*_ACCEPTED, _set("os_hidden", True)),
    "protected, accepted": (*_ACCEPTED, _set("protected", True)),
    "deactivated, accepted": (*_ACCEPTED, _deactivate),
    "deleted, accepted": (*_ACCEPTED, _delete),
}
"""What is done to an image, in order, that brings it into a state."""
_WITHOUT_DATA = {"queued", "queued qcow2", "formless", "staged", "imported", "queued, accepted", "staged, accepted"}


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
