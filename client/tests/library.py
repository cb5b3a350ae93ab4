"""A Glance with many shared images: a double for what would take an hour to make."""

import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from faulty_endpoint import VERSIONS


class Library(ThreadingHTTPServer):
    """A Glance with many shared images, each with one member. Only lists: a double for what would take an hour to make."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, count: int, owner: str, member: str) -> None:
        super().__init__(("127.0.0.1", 0), _Librarian)
        self.count, self.owner, self.member, self.requests = count, owner, member, 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Librarian(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Library

    def do_GET(self) -> None:
        """Answer a list: pages of 1,000 images, all of them accepted; one member for each image."""
        self.server.requests += 1
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        if parts.path == "/v2/images":
            status, document = 200, self._list_images(query)
        elif parts.path.endswith("/members"):
            member = {"member_id": self.server.member, "status": "accepted", "image_id": parts.path.split("/")[3]}
            status, document = 200, {"members": [member]}
        else:
            status, document = 300, VERSIONS
        body = json.dumps(document).encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _list_images(self, query: dict[str, str]) -> dict[str, Any]:
        if query.get("os_hidden") == "true" or query.get("member_status", "accepted") != "accepted":
            return {"images": []}
        start = int(query.get("marker", 0))
        numbers = range(start, min(start + 1000, self.server.count))
        images = [{"id": f"{number:08x}-0000-4000-8000-000000000000", "name": f"disk-{number}", "owner": self.server.owner,
                   "visibility": "shared", "status": "active", "size": 1} for number in numbers]  # fmt: skip
        more = {"next": f"/v2/images?{urllib.parse.urlencode({**query, 'marker': numbers.stop})}"}
        return {"images": images, **(more if numbers.stop < self.server.count else {})}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the library's name
        """Log nothing."""


@contextmanager
def run(count: int, owner: str, member: str) -> Iterator[Library]:
    """Run a Glance with so many shared images."""
    with Library(count, owner, member) as library:
        thread = threading.Thread(target=library.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield library
        finally:
            library.shutdown()
            thread.join()
