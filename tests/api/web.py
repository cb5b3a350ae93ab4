"""A web server for stories about locations: what lies there can be changed, and it can be told to misbehave."""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

from partage.outbound.rules import Rules

HOST = "127.0.0.2"
"""The stories' public internet. The other addresses of this machine stay forbidden."""


@dataclass
class Web:
    """What lies at each path, and the heads of the requests that came.

    `mute` paths do not say their size, `plain` ones do not know ranges, `short` ones break off after half, `gone` ones answer 404.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    mute: set[str] = field(default_factory=set)
    plain: set[str] = field(default_factory=set)
    short: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    def puts(self, path: str, content: bytes) -> str:
        """Put something at a path; return its URL."""
        self.files[path] = content
        return self.url + path

    @property
    def rules(self) -> Rules:
        """Let the service fetch from here, and be told quickly of failures."""
        return Rules(
            ports=(80, 443, int(self.url.rpartition(":")[2])),
            networks_allowed=(ip_network(f"{HOST}/32"),),
            connect_seconds=0.5,
            silence_seconds=2.0,
        )


@contextmanager
def serving() -> Iterator[Web]:
    """Run a web server on a free port."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            web.asked.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
            web.heads.append(str(self.headers))
            content = web.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self._send(content, with_body=with_body)

        def _send(self, content: bytes, *, with_body: bool) -> None:
            asked, size = self.headers.get("Range"), len(content)
            if asked and self.path not in web.plain:
                first, last = (int(each) for each in asked.removeprefix("bytes=").split("-"))
                content = content[first : last + 1]
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            else:
                self.send_response(200)
            if self.path not in web.mute:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if with_body:
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(content[: len(content) // 2] if self.path in web.short else content)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    web.url = f"http://{HOST}:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
