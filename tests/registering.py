"""Unified limits of the image service in the real Keystone, made by its administrator for one test and taken away after it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.standalone import RunningKeystone


@dataclass
class Registry:
    """Limits of one service; `sets` makes or changes a project's own."""

    keystone: RunningKeystone
    service_id: str
    own: dict[tuple[str, str], str] = field(default_factory=dict)

    def sets(self, project_id: str, name: str, value: int) -> None:
        """Give a project a limit of its own."""
        known = self.own.get((project_id, name))
        if known is not None:
            self.keystone.call("PATCH", f"/limits/{known}", {"limit": {"resource_limit": value}})
            return
        limit = {
            "service_id": self.service_id,
            "region_id": "RegionOne",
            "project_id": project_id,
            "resource_name": name,
            "resource_limit": value,
        }
        self.own[project_id, name] = self.keystone.call("POST", "/limits", {"limits": [limit]})["limits"][0]["id"]


@contextmanager
def registry(keystone: RunningKeystone, defaults: Mapping[str, int]) -> Iterator[Registry]:
    """Register limits, and forget them when the block ends."""
    service_id = keystone.call("GET", "/services?type=image")["services"][0]["id"]
    wanted = [
        {"service_id": service_id, "region_id": "RegionOne", "resource_name": name, "default_limit": value}
        for name, value in defaults.items()
    ]
    made = keystone.call("POST", "/registered_limits", {"registered_limits": wanted})["registered_limits"]
    registered = Registry(keystone, service_id)
    try:
        yield registered
    finally:
        for own in registered.own.values():
            keystone.call("DELETE", f"/limits/{own}")
        for each in made:
            if each["resource_name"] in defaults:
                keystone.call("DELETE", f"/registered_limits/{each['id']}")


@contextmanager
def region(keystone: RunningKeystone, name: str, urls: Mapping[str, str]) -> Iterator[str]:
    """Let a region have an image service of its own, at a URL for each interface, until the block ends."""
    service_id = keystone.call("GET", "/services?type=image")["services"][0]["id"]
    keystone.call("POST", "/regions", {"region": {"id": name}})
    made = [
        keystone.call(
            "POST",
            "/endpoints",
            {"endpoint": {"service_id": service_id, "interface": interface, "url": url, "region_id": name}},
        )
        for interface, url in urls.items()
    ]
    try:
        yield name
    finally:
        for each in made:
            keystone.call("DELETE", f"/endpoints/{each['endpoint']['id']}")
        keystone.call("DELETE", f"/regions/{name}")


@contextmanager
def cloud(keystone: RunningKeystone, regions: Mapping[str, Mapping[str, str]], *, interface: str = "public") -> Iterator[None]:
    """Register a URL for each region and type of service, until the block ends."""
    types = sorted({each for urls in regions.values() for each in urls})
    services = {
        each: keystone.call("POST", "/services", {"service": {"type": each, "name": each}})["service"]["id"] for each in types
    }
    known = {each["id"] for each in keystone.call("GET", "/regions")["regions"]}
    made = [each for each in regions if each not in known]
    for each in made:
        keystone.call("POST", "/regions", {"region": {"id": each}})
    for name, urls in regions.items():
        for service_type, url in urls.items():
            endpoint = {"service_id": services[service_type], "interface": interface, "url": url, "region_id": name}
            keystone.call("POST", "/endpoints", {"endpoint": endpoint})
    try:
        yield
    finally:
        for service_id in services.values():
            keystone.call("DELETE", f"/services/{service_id}")  # with its endpoints
        for each in made:
            keystone.call("DELETE", f"/regions/{each}")
