"""The service that is attacked: `partage up` with a worker, two stores and every import method, on SQLite or on PostgreSQL.

And what must hold of it whatever it was sent: no traceback in its log, memory within bounds, and proper answers afterwards.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests import postgresql, standalone
from tests.api import personas
from tests.api.personas import Cast, Persona

MOST_MEBIBYTES = 400
"""What one process may have resident at its worst; an idle one has about a hundred."""

_BAD_WORDS = ("Traceback", "unexpected failure", " critical ")


@dataclass
class Target:
    """A running service. `people` are everybody who may speak to it, `origin` a web server that it may fetch from."""

    live: standalone.LiveService
    people: Cast
    origin: str

    @property
    def endpoint(self) -> str:
        return self.live.image_url

    def mebibytes(self) -> int:
        """Say how much the largest of its processes has had resident."""
        return max(_peak_mebibytes(process) for process in _family(self.live.process.pid))

    def faults(self) -> list[str]:
        """List what is wrong with the service now."""
        found = [line for line in self.live.log.read_text(errors="replace").splitlines() if any(bad in line for bad in _BAD_WORDS)]
        if (size := self.mebibytes()) > MOST_MEBIBYTES:
            found.append(f"a process has had {size} MiB resident, more than {MOST_MEBIBYTES}")
        if self.live.process.poll() is not None:
            found.append("the service has ended")
        return [*found, *(() if found else still_serves(self.people.owner, self.people.outsider))]


def still_serves(owner: Persona, outsider: Persona) -> list[str]:
    """Go through an image's life; list what does not answer as it should."""
    data = os.urandom(100_000)
    image = owner.has_an_image(data, name="afterwards")
    checks = {
        "the owner downloads what was uploaded": owner.downloads(image).content == data,
        "the owner lists images": owner.call("GET", "/v2/images?limit=1000").status_code == 200,
        "the owner lists metadata definitions": owner.call("GET", "/v2/metadefs/namespaces").status_code == 200,
        "an outsider finds nothing": outsider.shows(image).status_code == 404,
        "the owner deletes": owner.deletes(image).status_code == 204,
        "what is deleted is gone": owner.shows(image).status_code == 404,
    }
    return [f"no longer so: {check}" for check, holds in checks.items() if not holds]


@contextmanager
def running(folder: Path, database: str) -> Iterator[Target]:
    """Run the service below `folder` on "sqlite" or "postgresql"."""
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        url = stack.enter_context(postgresql.server()) if database == "postgresql" else ""
        origin = stack.enter_context(answering(_Origin))
        stores = [{"id": name, "path": str(folder / name)} for name in ("local", "second")]
        environment = {
            "PARTAGE_DATABASE_URL": url,
            "PARTAGE_STORES": json.dumps(stores),
            # It is not Keystone that is attacked: on a busy machine it would be what fails.
            "PARTAGE_IDENTITY__CACHE_SECONDS": "300",
            "PARTAGE_IDENTITY__TIMEOUT_SECONDS": "60",
            "PARTAGE_IMPORTS__HTTP_LOCATIONS": "true",
            "PARTAGE_FETCH__NETWORKS_ALLOWED": '["127.0.0.0/8"]',
            "PARTAGE_FETCH__PORTS": json.dumps([80, 443, int(origin.rpartition(":")[2])]),
            "PARTAGE_FETCH__CONNECT_SECONDS": "2",
            "PARTAGE_FETCH__READ_TIMEOUT_SECONDS": "2",
        }
        live = stack.enter_context(standalone.up(folder / "data", **environment))
        people = personas.at(live.image_url, personas.register(live.keystone))
        stack.callback(people.leave)
        _make_known(people)
        yield Target(live, people, origin)


def _make_known(people: Cast) -> None:
    """Let every process of the service ask Keystone about everybody before anything is timed."""
    for who in people.people.values():
        for _ in range(8):
            who.call("GET", "/v2/schemas/image", headers={"Connection": "close"})


class _Origin(BaseHTTPRequestHandler):
    """Gives a few bytes, or what a fetcher must get along with."""

    def do_GET(self) -> None:
        if self.path.startswith("/loop"):
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
            return
        self.send_response(200 if self.path.startswith("/good") else 404)
        self.send_header("Content-Length", "1000" if self.path.startswith("/good") else "0")
        self.end_headers()
        if self.path.startswith("/good"):
            self.wfile.write(b"x" * (10 if self.path.startswith("/good/short") else 1000))

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name that is overridden
        del format, arguments


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer requests on a port of this machine, and give the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _family(pid: int) -> list[int]:
    """List a process and those below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def _peak_mebibytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) // 1024
