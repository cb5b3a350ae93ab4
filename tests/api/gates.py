"""A gate before the real Keystone: it passes everything on, but lets questions about some tokens wait until it is opened."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from partage.identity.keystone import Credentials
from tests.standalone import RunningKeystone

STRANGER = "stranger-"
"""How tokens begin that the gate holds."""

_PASSED_ON = ("content-type", "x-subject-token", "x-openstack-request-id", "vary")


@dataclass
class Gate:
    """Which tokens were asked about, and how many questions wait at the moment."""

    credentials: Credentials
    asked: list[str] = field(default_factory=list)
    waiting: int = 0
    opened: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def before(keystone: RunningKeystone) -> Iterator[Gate]:
    """Stand before Keystone, closed; open at the end of the block at the latest."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_address[1]}"
    gate = Gate(replace(keystone.credentials, url=url, timeout_seconds=60.0))
    server.gate = gate  # type: ignore[attr-defined]
    server.keystone_url = keystone.url  # type: ignore[attr-defined]
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield gate
    finally:
        gate.opened.set()
        server.shutdown()
        server.server_close()
        serving.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def log_message(self, *_words: object) -> None:
        """Say nothing."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        subject = self.headers.get("X-Subject-Token", "")
        if subject:
            self._hold(subject)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")}
        url = self.server.keystone_url + self.path  # type: ignore[attr-defined]
        answer = requests.request(self.command, url, data=body, headers=headers, timeout=60)
        self.send_response(answer.status_code)
        for name in _PASSED_ON:
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def _hold(self, subject: str) -> None:
        gate: Gate = self.server.gate  # type: ignore[attr-defined]
        held = subject.startswith(STRANGER)
        with gate.lock:
            gate.asked.append(subject)
            gate.waiting += held
        if held:
            gate.opened.wait(60)
            with gate.lock:
                gate.waiting -= 1
