"""An HTTP proxy in front of an object store that makes its faults: each takes the requests that it is for, as often as it is set.

A fault is a function of the handler and the request. It answers, or passes the request on and changes what comes back.
"""

import http.client
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Request:
    """One request, read whole."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class Response:
    """One response, read whole. `length` is its Content-Length, which a fault may keep while it cuts the body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    length: int


Fault = Callable[["Handler", Request], Response | None]
"""Returns the response, or None if it has ended the connection."""


@dataclass
class FaultProxy:
    """A running proxy: `url` for the store, and the faults that are left."""

    url: str
    upstream: str
    requests: list[str] = field(default_factory=list)
    _faults: list[tuple[Callable[[Request], bool], Fault]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault, methods: str = "GET HEAD PUT DELETE", *, times: int = 1, path: str = "") -> None:
        """Let `times` requests with one of the methods, and with `path` in their path, meet the fault."""
        self._faults += [(lambda request: request.method in methods.split() and path in request.path, fault)] * times

    def take(self, request: Request) -> Fault:
        """Return the next fault for a request, or what passes it on."""
        with self._lock:
            self.requests.append(f"{request.method} {request.path}")
            for number, (is_for, fault) in enumerate(self._faults):
                if is_for(request):
                    del self._faults[number]
                    return fault
        return pass_on

    @property
    def left(self) -> int:
        """How many faults no request has met yet."""
        return len(self._faults)


@contextmanager
def before(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[FaultProxy]:
    """Run a proxy in front of a server; with `tls` it has https."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        proxy = FaultProxy(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", upstream)
        Handler.proxies[server.server_port] = proxy
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
            del Handler.proxies[server.server_port]


class Handler(BaseHTTPRequestHandler):
    """Serves one connection."""

    protocol_version = "HTTP/1.1"
    proxies: dict[int, FaultProxy] = {}  # noqa: RUF012 - shared on purpose: by the port of the server

    @property
    def proxy(self) -> FaultProxy:
        return self.proxies[self.server.server_address[1]]

    def serve(self) -> None:
        """Let the request meet its fault, and send the response."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, list(self.headers.items()), body)
        response = self.proxy.take(request)(self, request)
        if response is None:
            self.close_connection = True
            return
        self.send_response_only(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(response.length))
        self.end_headers()
        if request.method != "HEAD":
            self.wfile.write(response.body)
            self.close_connection = self.close_connection or len(response.body) != response.length

    do_GET = do_HEAD = do_PUT = do_DELETE = serve  # noqa: N815 - the library's names

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    def handle(self) -> None:
        """Serve the connection until the store ends it, in whatever way."""
        try:
            super().handle()
        except OSError:
            self.close_connection = True


def pass_on(handler: Handler, request: Request) -> Response:
    """Do nothing wrong."""
    upstream = urlsplit(handler.proxy.upstream)
    connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=30)
    try:
        connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers:
            if name.lower() != "expect":
                connection.putheader(name, value)
        connection.endheaders(request.body)
        answered = connection.getresponse()
        body = answered.read()
        headers = [(name, value) for name, value in answered.getheaders() if name.lower() not in _HOP]
        length = int(answered.getheader("Content-Length") or 0) if request.method == "HEAD" else len(body)
        return Response(answered.status, headers, body, length)
    finally:
        connection.close()


def reset(handler: Handler, _request: Request) -> None:
    """Reset the connection before the store gets the request."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def lose_response(handler: Handler, request: Request) -> None:
    """Pass the request on, and reset the connection instead of a response."""
    pass_on(handler, request)
    reset(handler, request)


def hang(handler: Handler, request: Request) -> Response:
    """Respond after the time-out of the client."""
    time.sleep(HANG_SECONDS)
    return pass_on(handler, request)


def answer(status: int, code: str = "", **headers: str) -> Fault:
    """Respond with an error of the server's."""

    def fault(_handler: Handler, _request: Request) -> Response:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>planted</Message></Error>".encode() if code else b"<html>"
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return Response(status, [("Content-Type", "application/xml"), *named], body, len(body))

    return fault


def truncate(handler: Handler, request: Request) -> Response:
    """Send the first half of the body, and close the connection."""
    whole = pass_on(handler, request)
    return Response(whole.status, whole.headers, whole.body[: whole.length // 2], whole.length)


def shorten(handler: Handler, request: Request) -> Response:
    """Send the first half of the body as if it were the whole."""
    whole = pass_on(handler, request)
    half = whole.body[: whole.length // 2]
    return Response(whole.status, whole.headers, half, len(half))


def damage_response(handler: Handler, request: Request) -> Response:
    """Flip one bit in the middle of the response's body."""
    whole = pass_on(handler, request)
    return Response(whole.status, whole.headers, flip(whole.body), whole.length)


def damage_request(handler: Handler, request: Request) -> Response:
    """Flip one bit in the middle of the request's body."""
    return pass_on(handler, Request(request.method, request.path, request.headers, flip(request.body)))


def cut_request(handler: Handler, request: Request) -> Response:
    """Pass half of the request's body on, with its length."""
    half = request.body[: len(request.body) // 2]
    headers = [(name, str(len(half)) if name.lower() == "content-length" else value) for name, value in request.headers]
    return pass_on(handler, Request(request.method, request.path, headers, half))


def ignore_range(handler: Handler, request: Request) -> Response:
    """Send more than the range that was asked for, as a server does that knows no ranges."""
    found = pass_on(handler, request)
    headers = [(name, value) for name, value in found.headers if name.lower() != "content-range"]
    return Response(200, headers, b"more" + found.body, found.length + 4)


def accept_always(handler: Handler, request: Request) -> Response:
    """Say that an object was stored, although it exists, as a server does that knows no conditions."""
    found = pass_on(handler, request)
    return Response(200, [], b"", 0) if found.status == _PRECONDITION_FAILED else found


def flip(body: bytes) -> bytes:
    """Return the body with one bit changed."""
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :] if body else body


HANG_SECONDS = 2.0
_PRECONDITION_FAILED = 412
_HOP = frozenset({"content-length", "transfer-encoding", "connection"})
