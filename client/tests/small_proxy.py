"""A small HTTP proxy: passes requests with an absolute address on, and tunnels CONNECT. Notes what it was asked for."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PIECE = 1 << 16


@dataclass
class SmallProxy:
    """Where it listens, the targets of its requests (`CONNECT host:port` or `GET host:port`), and the bytes that have passed."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    passed_bytes: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(socketserver.StreamRequestHandler):
    proxy: SmallProxy

    def handle(self) -> None:
        """Serve one connection: one request with an absolute address, or one tunnel."""
        method, target, version = self.rfile.readline().decode().split()
        headers = []
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            if not line.lower().startswith((b"proxy-", b"connection:")):
                headers.append(line)
        named = urlsplit(target if "//" in target else f"//{target}")
        self.proxy.asked.append(f"{method} {named.hostname}:{named.port}")
        with socket.create_connection((named.hostname, named.port)) as service:
            if method == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = f"{named.path or '/'}?{named.query}" if named.query else named.path or "/"
                head = f"{method} {path} {version}\r\n".encode() + b"".join(headers) + b"Connection: close\r\n\r\n"
                service.sendall(head)
            back = threading.Thread(target=self._pump, args=(service.recv, self.wfile.write, self.connection))
            back.start()
            self._pump(self.rfile.read1, service.sendall, service)
            back.join()

    def _pump(self, read: object, write: object, sink: socket.socket) -> None:
        with suppress(OSError, ValueError):
            while piece := read(PIECE):  # type: ignore[operator]
                self.proxy.passed_bytes += len(piece)
                write(piece)  # type: ignore[operator]
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def run() -> Iterator[SmallProxy]:
    """Run a proxy on a free port."""
    proxy = SmallProxy()
    handler = type("Handler", (_Handler,), {"proxy": proxy})

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, _request: object, _address: object) -> None:
            """Say nothing: the client has gone, as it should."""

    with Server(("127.0.0.1", 0), handler) as server:
        proxy.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
