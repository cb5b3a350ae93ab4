"""A receiver of webhooks: a real HTTP server on the address that the tests' fetch rules allow."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.unit.outbound.origins import ORIGIN_HOST


@dataclass
class Message:
    """One request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The body as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """Keeps what came, and answers with a status: `answer` decides, by the number of the request from 1 on."""

    port: int = 0
    messages: list[Message] = field(default_factory=list)
    answer: Callable[[int], int] = lambda _number: 204
    before_answer: Callable[[], None] = lambda: None
    headers: dict[str, str] = field(default_factory=dict)

    def url(self, path: str = "/hook") -> str:
        """Name a URL of the receiver."""
        return f"http://{ORIGIN_HOST}:{self.port}{path}"

    @property
    def types(self) -> list[str]:
        """The types of the events that came."""
        return [each.event["type"] for each in self.messages]


@contextmanager
def receive() -> Iterator[Receiver]:
    """Run a receiver."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if len(body) < int(self.headers["Content-Length"]):
                return  # the sender was killed on the way
            receiver.messages.append(Message(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status = receiver.answer(len(receiver.messages))
            receiver.before_answer()
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((ORIGIN_HOST, 0), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
