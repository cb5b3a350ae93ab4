"""An endpoint that passes requests on to an image service, and misbehaves when a test says so."""

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

PIECE = 1 << 16
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
VERSIONS = {"versions": [{"id": "v2.17", "status": "CURRENT", "links": [{"rel": "self", "href": "/v2/"}]}]}
"""How a plain Glance answers every path that it does not know, with the status 300. Source: Glance 33."""


@dataclass(frozen=True)
class Fault:
    """What happens to the next request with this method whose path ends so; `times` of them.

    `cut_after`: the connection breaks after so many bytes of the body. `flip_at`: a bit of this byte of the response changes.
    `status`, `document`, `headers`: the response, instead of the service's. `loses_response`: the service gets the request, and the
    connection breaks after it has responded. None of them: the connection is closed without a response.
    """

    method: str
    path_end: str
    times: int = 1
    cut_after: int | None = None
    flip_at: int | None = None
    status: int | None = None
    document: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    loses_response: bool = False


@dataclass
class FaultyEndpoint:
    """The endpoint; `url` is its address. As a proxy it passes a request on to where the request says.

    `has_ranges` false: it ignores Range. `is_plain`: it has no /partage. `requests` has the method, path and Range of each request,
    `sent` the method, path and bytes of each body that was passed on.
    """

    upstream: str
    port: int = 0
    has_ranges: bool = True
    is_plain: bool = False
    scheme: str = "http"
    refused_tokens: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    sent: list[tuple[str, str, int]] = field(default_factory=list)
    intervene: Callable[[str, str], int | None] = lambda _method, _path: None
    """Returns a status to answer with instead of passing on, or None. 0 closes the connection without a response."""

    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    def find_fault(self, method: str, path: str) -> Fault | None:
        """Return the fault for a request, and forget it."""
        with self._lock:
            for index, each in enumerate(self.faults):
                if each.method == method and path.partition("?")[0].endswith(each.path_end):
                    self.faults[index : index + 1] = [] if each.times <= 1 else [Fault(**{**vars(each), "times": each.times - 1})]
                    return each
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    endpoint: FaultyEndpoint

    def handle_any(self) -> None:
        endpoint, token = self.endpoint, self.headers.get("X-Auth-Token", "")
        named = urlsplit(self.path)  # with a host if this is a proxy
        path = named.path + (f"?{named.query}" if named.query else "")
        endpoint.requests.append((self.command, path, self.headers.get("Range")))
        fault = endpoint.find_fault(self.command, path)
        status = endpoint.intervene(self.command, path)
        if status is not None:
            fault = Fault(self.command, "", status=status or None)
        if token in endpoint.refused_tokens:
            self._drain()
            self._reply(401, {"error": {"code": 401, "message": "The request you have made requires authentication."}})
        elif endpoint.is_plain and path.startswith("/partage"):
            self._reply(300, VERSIONS)
        elif fault is not None and fault.status is not None:
            self._drain()
            self._reply(fault.status, fault.document or {"message": "no"}, fault.headers)
        elif fault is not None and fault.cut_after is None and fault.flip_at is None and not fault.loses_response:
            self.close_connection = True
        else:
            self._pass_on(named.netloc or urlsplit(endpoint.upstream).netloc, path, fault)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = handle_any  # noqa: N815 - the names of the server's protocol

    def _drain(self) -> None:
        """Read the body, as a service behind a proxy that buffers does."""
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            left -= len(self.rfile.read(min(PIECE, left)))

    def _reply(self, status: int, document: Any, headers: Mapping[str, str] = NO_HEADERS) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pass_on(self, host: str, path: str, fault: Fault | None) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        dropped = {"host", "connection"} | (set() if self.endpoint.has_ranges else {"range"})
        with closing(http.client.HTTPConnection(host, timeout=60)) as service:
            service.putrequest(self.command, path, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in dropped:
                    service.putheader(name, value)
            service.endheaders()
            limit = fault.cut_after if fault and self.command in ("PUT", "PATCH") else None
            if not self._send_body(service, length, limit):
                self.close_connection = True
                return
            answer = service.getresponse()
            if fault and fault.loses_response:
                answer.read()
                self.close_connection = True
                return
            self._send_back(answer, fault)

    def _send_body(self, service: http.client.HTTPConnection, length: int, limit: int | None) -> bool:
        sent = 0
        try:
            while sent < length:
                piece = self.rfile.read(min(PIECE, length - sent))
                if not piece:
                    return False  # the client has gone: the service sees that as well, and never takes a part for the whole
                service.send(piece)
                sent += len(piece)
                if limit is not None and sent >= limit:
                    return False
            return True
        finally:
            self.endpoint.sent.append((self.command, self.path, sent))

    def _send_back(self, answer: http.client.HTTPResponse, fault: Fault | None) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        body_is_sized = answer.getheader("Content-Length") is not None or answer.status == 204
        if not body_is_sized:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        sent = 0
        while piece := answer.read(PIECE):
            if fault and fault.flip_at is not None and sent <= fault.flip_at < sent + len(piece):
                at = fault.flip_at - sent
                piece = piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]
            if fault and fault.cut_after is not None and sent + len(piece) > fault.cut_after:
                self.wfile.write(piece[: fault.cut_after - sent])
                self.close_connection = True
                return
            self.wfile.write(piece)
            sent += len(piece)

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@contextmanager
def run(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[FaultyEndpoint]:
    """Run an endpoint before an image service; with TLS if it has a certificate for localhost."""
    endpoint = FaultyEndpoint(upstream, scheme="https" if tls else "http")
    handler = type("Handler", (_Handler,), {"endpoint": endpoint})

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # a client may open ten connections at once

        def handle_error(self, _request: Any, _address: Any) -> None:
            """Say nothing: the client has gone, as it should."""

    with Server(("127.0.0.1", 0), handler) as server:
        endpoint.port = server.server_address[1]
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield endpoint
        finally:
            with suppress(OSError):
                server.shutdown()
            thread.join()
