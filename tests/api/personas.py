"""Who acts in the stories: people of projects in the real Keystone, each with a token and a way to call the running service."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import requests

from tests.standalone import RunningKeystone

PATCH = "application/openstack-images-v2.1-json-patch"
DATA = "application/octet-stream"


@dataclass
class Persona:
    """One user acting on one service. Every method is one request and returns its answer, whatever the status."""

    name: str
    endpoint: str
    project_id: str = ""
    token: str | None = None
    http: requests.Session = field(default_factory=requests.Session)

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send one request as this persona."""
        headers = {"X-Auth-Token": self.token} if self.token is not None else {}
        return self.http.request(method, self.endpoint + path, headers={**headers, **more.pop("headers", {})}, timeout=60, **more)

    def creates(self, /, **document: Any) -> requests.Response:
        """Create an image record."""
        return self.call("POST", "/v2/images", json={"disk_format": "raw", "container_format": "bare", **document})

    def uploads(self, image: str, data: Any = b"x" * 10_000, **headers: str) -> requests.Response:
        """Send image data."""
        return self.call("PUT", f"/v2/images/{image}/file", data=data, headers={"Content-Type": DATA, **headers})

    def stages(self, image: str, data: Any = b"x" * 10_000) -> requests.Response:
        """Send image data that waits for an import."""
        return self.call("PUT", f"/v2/images/{image}/stage", data=data, headers={"Content-Type": DATA})

    def imports(self, image: str, method: str = "glance-direct", **more: Any) -> requests.Response:
        """Ask for an import; names with an underscore before them are fields of the method."""
        fields = {name[1:]: more.pop(name) for name in list(more) if name.startswith("_")}
        return self.call("POST", f"/v2/images/{image}/import", json={"method": {"name": method, **fields}, **more})

    def gives_location(self, image: str, url: str, service: Persona | None = None, **digest: str) -> requests.Response:
        """Say where an image's bytes are; by way of a service of the cloud, which adds its own token."""
        headers = {"X-Service-Token": service.token or ""} if service else {}
        document = {"url": url} | ({"validation_data": digest} if digest else {})
        return self.call("POST", f"/v2/images/{image}/locations", json=document, headers=headers)

    def downloads(self, image: str, **headers: str) -> requests.Response:
        """Fetch image data."""
        return self.call("GET", f"/v2/images/{image}/file", headers=headers)

    def shows(self, image: str) -> requests.Response:
        """Fetch an image's document."""
        return self.call("GET", f"/v2/images/{image}")

    def lists(self, query: str = "") -> list[dict[str, Any]]:
        """Fetch one page of images; the request must succeed."""
        answer = self.call("GET", f"/v2/images?{query}")
        answer.raise_for_status()
        return list(answer.json()["images"])

    def sees_in_list(self, image: str, query: str = "") -> bool:
        """Say whether a list of at most 1,000 shows the image."""
        return any(each["id"] == image for each in self.lists(f"limit=1000{query}"))

    def patches(self, image: str, *changes: dict[str, Any], media_type: str = PATCH) -> requests.Response:
        """Change an image's document."""
        return self.call("PATCH", f"/v2/images/{image}", json=list(changes), headers={"Content-Type": media_type})

    def sets(self, image: str, name: str, value: Any) -> requests.Response:
        """Replace one attribute."""
        return self.patches(image, {"op": "replace", "path": f"/{name}", "value": value})

    def shares_with(self, image: str, project: str) -> requests.Response:
        """Add a member."""
        return self.call("POST", f"/v2/images/{image}/members", json={"member": project})

    def answers(self, image: str, status: str, member: str | None = None) -> requests.Response:
        """Accept, reject or set back an offer: one's own, or another's."""
        return self.call("PUT", f"/v2/images/{image}/members/{member or self.project_id}", json={"status": status})

    def accepts(self, image: str) -> requests.Response:
        """Accept an offer made to one's own project."""
        return self.answers(image, "accepted")

    def removes_member(self, image: str, member: str) -> requests.Response:
        """Remove a member."""
        return self.call("DELETE", f"/v2/images/{image}/members/{member}")

    def does(self, action: str, image: str) -> requests.Response:
        """Deactivate or reactivate."""
        return self.call("POST", f"/v2/images/{image}/actions/{action}")

    def deletes(self, image: str) -> requests.Response:
        """Delete an image."""
        return self.call("DELETE", f"/v2/images/{image}")

    def has_an_image(self, data: bytes | None = b"x" * 10_000, **document: Any) -> str:
        """Make an image, with data unless that is None, and return its id."""
        made = self.creates(**document)
        assert made.status_code == 201, made.text
        image = str(made.json()["id"])
        if data is not None:
            sent = self.uploads(image, data)
            assert sent.status_code == 204, sent.text
        return image


def at_once(who: Persona, *calls: Any) -> list[requests.Response]:
    """Make all calls at the same time, each on a connection of its own; each gets the persona."""
    people = [replace(who, http=requests.Session()) for _ in calls]
    try:
        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(lambda pair: pair[1](pair[0]), zip(people, calls, strict=True)))
    finally:
        for each in people:
            each.http.close()


PEOPLE = {
    "owner": ("alpha", "member"),
    "owner_reader": ("alpha", "reader"),
    "member": ("beta", "member"),
    "member_reader": ("beta", "reader"),
    "pending": ("gamma", "member"),
    "rejected": ("delta", "member"),
    "outsider": ("omega", "member"),
    "outsider_reader": ("omega", "reader"),
}
"""Persona to project and role; `admin`, `anonymous`, `badtoken`, `no_role` and `service` come beside them."""


@dataclass(frozen=True)
class Cast:
    """All personas of one service."""

    people: dict[str, Persona]

    def __getattr__(self, name: str) -> Persona:
        return self.people[name]

    def leave(self) -> None:
        """Close everybody's connections."""
        for each in self.people.values():
            each.http.close()


def at(endpoint: str, everybody: dict[str, tuple[str, str]]) -> Cast:
    """Let everybody who is registered, and some who are not, act on the service at this endpoint."""
    people = {name: Persona(name, endpoint, project_id=project, token=token) for name, (project, token) in everybody.items()}
    people["anonymous"] = Persona("anonymous", endpoint)
    people["badtoken"] = Persona("badtoken", endpoint, token="not-a-token")
    return Cast(people)


def register(keystone: RunningKeystone) -> dict[str, tuple[str, str]]:
    """Create the personas' projects and users in Keystone and return each one's project id and token."""
    keystone.call("POST", "/roles", {"role": {"name": "no-rights"}})
    everybody = {"admin": (keystone.project_id("admin"), keystone.token("admin", "admin"))}
    for name, (project, role) in {**PEOPLE, "service": ("service", "service"), "no_role": ("alpha", "no-rights")}.items():
        user = f"persona-{name}"
        keystone.add_user(user, project, role)
        everybody[name] = (keystone.project_id(project), keystone.token(user, project))
    return everybody
