"""A double of Nova and Cinder that lists servers and volumes in pages, and fails on demand.

Documents and pages are those of the real services, as `nova.api.openstack.compute.views.servers` at the microversion 2.69 and
`cinder.api.v3.views.volumes` with its extensions build them: the newest first, a page of `most` rows, a marker that has to
exist, and `itemNotFound`. Nova has the servers of a cell that is down on its first page only, without an image.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

Row = dict[str, Any]
CUT = -1
"""Instead of a status: the response ends in the middle of its body."""


@dataclass
class Double:
    """The Nova and the Cinder of one region."""

    port: int = 0
    most: int = 2
    servers: list[Row] = field(default_factory=list)
    volumes: list[Row] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    soft_deleted: set[str] = field(default_factory=set)
    permits: bool = True
    microversions: bool = True
    ignores_markers: bool = False
    requests: list[str] = field(default_factory=list)
    before: Callable[[str], int | None] = lambda _target: None

    @property
    def urls(self) -> dict[str, str]:
        """The URLs that the catalog has for each type of service."""
        url = f"http://127.0.0.1:{self.port}"
        return {"compute": f"{url}/v2.1", "volumev3": f"{url}/v3/$(project_id)s"}

    def reset(self) -> None:
        """Forget everything but the port."""
        vars(self).update(vars(Double(port=self.port)))

    def add_server(self, image_id: str, project_id: str = "B", server_id: str | None = None) -> str:
        """Create a server; an empty image id: it boots from a volume. Return its id."""
        made = server_id or str(uuid4())
        self.servers.insert(0, _build_server(made, project_id, image_id))
        return made

    def add_volume(self, image_id: str | None, project_id: str = "B", volume_id: str | None = None) -> str:
        """Create a volume, of an image or empty; return its id."""
        made = volume_id or str(uuid4())
        self.volumes.insert(0, _build_volume(made, project_id, image_id))
        return made

    def remove(self, use_id: str) -> None:
        """Delete a server or volume."""
        for rows in (self.servers, self.volumes):
            rows[:] = [each for each in rows if each["id"] != use_id]

    def answer(self, path: str, marker: str | None) -> tuple[int, Row]:
        """Answer a request for a path below the version and the project."""
        noun, _, use_id = path.strip("/").partition("/")
        if not self.permits and (noun == "os-services" or (noun == "servers" and use_id == "detail")):
            return 403, {"forbidden": {"code": 403, "message": "Policy doesn't allow this to be performed."}}
        if noun == "os-services":
            return 200, {
                "services": [{"binary": "cinder-scheduler", "host": "c1", "status": "enabled", "state": "up", "zone": "nova"}]
            }
        rows = {"servers": self.servers, "volumes": self.volumes}.get(noun)
        if rows is None:
            return 404, {"itemNotFound": {"code": 404, "message": "The resource could not be found."}}
        if use_id == "detail":
            return self._list(noun, rows, marker)
        for each in rows:
            if each["id"] == use_id:
                return 200, {noun[:-1]: self._show(each)}
        return 404, {"itemNotFound": {"code": 404, "message": f"{noun[:-1].title()} {use_id} could not be found."}}

    def _list(self, noun: str, rows: list[Row], marker: str | None) -> tuple[int, Row]:
        listed = [each for each in rows if each["id"] not in self.down | self.soft_deleted]
        ids = [each["id"] for each in listed]
        if marker is not None and marker not in ids:
            return 400, {"badRequest": {"code": 400, "message": f"marker [{marker}] not found"}}
        start = 0 if marker is None or self.ignores_markers else ids.index(marker) + 1
        page = listed[start : start + self.most]
        links = (
            [{"rel": "next", "href": f"http://behind.example/{noun}/detail?marker={page[-1]['id']}"}]
            if len(page) == self.most
            else []
        )
        unknown = [self._show(each) for each in rows if each["id"] in self.down] if marker is None else []
        document: Row = {noun: [*unknown, *page]}
        return 200, {**document, f"{noun}_links": links} if links else document

    def _show(self, row: Row) -> Row:
        kept = ("id", "tenant_id", "created", "links")
        return {**{name: row[name] for name in kept}, "status": "UNKNOWN"} if row["id"] in self.down else row


@contextmanager
def run() -> Iterator[Double]:
    """Run a region's Nova and Cinder."""
    double = Double()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            target = urlsplit(self.path)
            status = double.before(self.path)
            double.requests.append(self.path)
            is_nova = target.path.startswith("/v2.1/")
            path = target.path.removeprefix("/v2.1") if is_nova else "/" + target.path.split("/", 3)[3]
            marker = parse_qs(target.query).get("marker", [None])[0]
            if not self.headers.get("X-Auth-Token"):
                self._send(401, {"error": {"code": 401, "title": "Unauthorized"}}, is_nova=is_nova)
            elif status == CUT:
                self._send(200, double.answer(path, marker)[1], is_nova=is_nova, cut=True)
            elif status is not None:
                self._send(status, {"computeFault": {"code": status, "message": "Unexpected API Error."}}, is_nova=is_nova)
            else:
                self._send(*double.answer(path, marker), is_nova=is_nova)

        def _send(self, status: int, document: Row, *, is_nova: bool, cut: bool = False) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if is_nova and double.microversions:
                self.send_header("OpenStack-API-Version", self.headers.get("OpenStack-API-Version", "compute 2.1"))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        double.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield double
        finally:
            server.shutdown()
            thread.join()


def _build_server(server_id: str, project_id: str, image_id: str) -> Row:
    bookmark = {"rel": "bookmark", "href": f"http://behind.example/images/{image_id}"}
    return {
        "id": server_id,
        "name": "web",
        "status": "ACTIVE",
        "tenant_id": project_id,
        "user_id": "fake",
        "metadata": {},
        "hostId": "2091634baaccdc4c5a1d57069c833e402921df696b7f970791b12ec6",
        "image": {"id": image_id, "links": [bookmark]} if image_id else "",
        "flavor": {"vcpus": 1, "ram": 512, "disk": 1, "ephemeral": 0, "swap": 0, "original_name": "m1.tiny", "extra_specs": {}},
        "created": "2026-11-24T07:52:17Z",
        "updated": "2026-11-24T07:52:24Z",
        "addresses": {},
        "accessIPv4": "",
        "accessIPv6": "",
        "links": [{"rel": "self", "href": f"http://behind.example/v2.1/servers/{server_id}"}],
        "OS-DCF:diskConfig": "AUTO",
        "progress": 0,
        "OS-EXT-AZ:availability_zone": "nova",
        "config_drive": "",
        "key_name": None,
        "OS-SRV-USG:launched_at": "2026-11-24T07:52:24.000000",
        "OS-SRV-USG:terminated_at": None,
        "OS-EXT-STS:task_state": None,
        "OS-EXT-STS:vm_state": "active",
        "OS-EXT-STS:power_state": 1,
        "os-extended-volumes:volumes_attached": [],
        "locked": False,
        "description": None,
        "tags": [],
        "trusted_image_certificates": None,
    }


def _build_volume(volume_id: str, project_id: str, image_id: str | None) -> Row:
    row: Row = {
        "id": volume_id,
        "status": "available",
        "size": 1,
        "availability_zone": "nova",
        "created_at": "2026-11-24T07:52:17.000000",
        "updated_at": "2026-11-24T07:52:24.000000",
        "name": "root",
        "description": None,
        "volume_type": "lvmdriver-1",
        "snapshot_id": None,
        "source_volid": None,
        "metadata": {},
        "links": [{"rel": "self", "href": f"http://behind.example/v3/volumes/{volume_id}"}],
        "user_id": "fake",
        "bootable": "true",
        "encrypted": False,
        "replication_status": None,
        "consistencygroup_id": None,
        "multiattach": False,
        "attachments": [],
        "migration_status": None,
        "os-vol-tenant-attr:tenant_id": project_id,
        "os-vol-host-attr:host": "c1@lvmdriver-1#lvmdriver-1",
        "os-vol-mig-status-attr:migstat": None,
        "os-vol-mig-status-attr:name_id": None,
    }
    if image_id is not None:
        row["volume_image_metadata"] = {"image_id": image_id, "image_name": "cirros", "disk_format": "raw", "size": "1024"}
    return row
