"""Nova and Cinder of a cloud, as far as lists of servers and volumes go: the real ones on SQLite, and a double.

The real ones are Nova's and Cinder's own wsgi applications, without a hypervisor; test_nova_and_cinder.py compares the double with
them. The double fails on demand. It has each project's lists below an address of its own: the newest first, a page of `most` rows,
a link to the next page.
"""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

Row = dict[str, Any]


@dataclass
class Services:
    """What the projects have. `fails` are nouns whose list is 500. `administrators` are projects whose token lists all projects."""

    port: int = 0
    most: int = 2
    servers: list[Row] = field(default_factory=list)
    volumes: list[Row] = field(default_factory=list)
    fails: set[str] = field(default_factory=set)
    administrators: set[str] = field(default_factory=set)

    def url(self, service: str, project_id: str) -> str:
        """Return the address of a service for the token of a project."""
        version = "v2.1" if service == "compute" else "v3"
        return f"http://127.0.0.1:{self.port}/{service}/{project_id}/{version}"

    def add_server(self, project_id: str, image_id: str | None) -> str:
        """Create a server; without an image it boots from a volume."""
        server_id = str(uuid4())
        image: Any = {"id": image_id, "links": [{"rel": "bookmark", "href": f"http://nova/images/{image_id}"}]} if image_id else ""
        row = {"id": server_id, "name": "web", "status": "ACTIVE", "tenant_id": project_id, "user_id": "u", "image": image,
               "flavor": {"id": "1", "links": []}, "created": "2026-11-24T07:52:17Z", "updated": "2026-11-24T07:52:24Z",
               "addresses": {}, "metadata": {}, "links": [], "os-extended-volumes:volumes_attached": []}  # fmt: skip
        self.servers.insert(0, row)
        return server_id

    def add_volume(self, project_id: str, image_id: str | None) -> str:
        """Create a volume, of an image or empty."""
        volume_id = str(uuid4())
        row: Row = {"id": volume_id, "status": "available", "size": 1, "name": "root", "bootable": "true", "links": [],
                    "metadata": {}, "os-vol-tenant-attr:tenant_id": project_id, "attachments": []}  # fmt: skip
        if image_id is not None:
            row["volume_image_metadata"] = {"image_id": image_id, "image_name": "golden", "disk_format": "raw"}
        self.volumes.insert(0, row)
        return volume_id

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Row]:
        """Answer a request."""
        _, _service, project_id, _version, *rest = path.split("/")
        if rest[1:] != ["detail"] or rest[0] not in ("servers", "volumes"):
            return 404, {"itemNotFound": {"code": 404, "message": "The resource could not be found."}}
        noun = rest[0]
        if noun in self.fails:
            return 500, {"computeFault": {"code": 500, "message": "Unexpected API Error."}}
        is_all = "all_tenants" in query
        if is_all and project_id not in self.administrators:
            return 403, {"forbidden": {"code": 403, "message": "Policy doesn't allow this to be performed."}}
        owner = "tenant_id" if noun == "servers" else "os-vol-tenant-attr:tenant_id"
        rows = [each for each in getattr(self, noun) if is_all or each[owner] == project_id]
        if noun == "servers" and "image" in query:
            rows = [each for each in rows if each["image"] and each["image"]["id"] == query["image"][0]]
        ids = [each["id"] for each in rows]
        marker = query.get("marker", [None])[0]
        start = ids.index(marker) + 1 if marker else 0
        page = rows[start : start + self.most]
        links = [{"rel": "next", "href": f"http://behind/{noun}/detail?marker={page[-1]['id']}"}] if len(page) == self.most else []
        return 200, {noun: page, **({f"{noun}_links": links} if links else {})}


class Process:
    """A real API in an environment of its own; it creates what a line of its standard input asks for, and prints the id."""

    def __init__(self, python: Path, script: str, folder: Path, clouds_file: Path) -> None:
        folder.mkdir()
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        command = [str(python), str(Path(__file__).with_name(script)), str(folder), str(self.port), str(clouds_file)]
        environment = {**os.environ, "OS_NOVA_DISABLE_EVENTLET_PATCHING": "true"}
        with (folder / "errors").open("w") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        self._log = folder / "errors"
        self._expect("ready")

    def create(self, project_id: str, image_id: str | None) -> str:
        """Create a server or volume of a project; return its id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"project": project_id, "image": image_id}) + "\n")
        self._process.stdin.flush()
        return self._expect("-")

    def stop(self) -> None:
        """End it: it reads its input to the end."""
        self._process.communicate(timeout=60)

    def _expect(self, part: str) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert part in line, self._log.read_text()[-3000:]
        return line


@dataclass
class RealServices:
    """Nova and Cinder themselves. Keystone says who is an administrator."""

    nova: Process
    cinder: Process

    def url(self, service: str, project_id: str) -> str:
        """Return the address of a service for the token of a project."""
        is_nova = service == "compute"
        return f"http://127.0.0.1:{self.nova.port}/v2.1" if is_nova else f"http://127.0.0.1:{self.cinder.port}/v3/{project_id}"

    def add_server(self, project_id: str, image_id: str | None) -> str:
        """Create a server; without an image it boots from a volume."""
        return self.nova.create(project_id, image_id)

    def add_volume(self, project_id: str, image_id: str | None) -> str:
        """Create a volume, of an image or empty."""
        return self.cinder.create(project_id, image_id)


@contextmanager
def run_real(python: Path, folder: Path, clouds_file: Path) -> Iterator[RealServices]:
    """Run the real services of an environment that has them, with the Keystone of clouds.yaml."""
    nova = Process(python, "nova_api.py", folder / "nova", clouds_file)
    try:
        cinder = Process(python, "cinder_api.py", folder / "cinder", clouds_file)
        try:
            yield RealServices(nova, cinder)
        finally:
            cinder.stop()
    finally:
        nova.stop()


@contextmanager
def run() -> Iterator[Services]:
    """Run them."""
    services = Services()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            target = urlsplit(self.path)
            status, document = services.answer(target.path, parse_qs(target.query))
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        services.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield services
        finally:
            server.shutdown()
            thread.join()
