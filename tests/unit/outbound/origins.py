"""Servers to fetch from, and one that must never be reached. Real sockets on the loopback network, all of which is the own host."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

from partage.outbound.rules import Rules

ORIGIN_HOST = "127.0.0.2"
"""The tests' public internet: the only network that their rules allow. 127.0.0.1 and ::1 stay forbidden."""

Answer = Callable[[socket.socket, bytes], None]
"""What a server does with a connection once the head of the request is there."""


@dataclass
class Origin:
    """A server that counts its connections and keeps the heads of their requests."""

    port: int
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    def url(self, path: str = "/", *, host: str = ORIGIN_HOST, scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


@contextlib.contextmanager
def serving(answer: Answer, *, host: str = ORIGIN_HOST, tls: ssl.SSLContext | None = None) -> Iterator[Origin]:
    """Run a server; each connection in a thread of its own."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::") as listener:
        origin = Origin(listener.getsockname()[1])
        accepting = threading.Thread(target=_accept, args=(listener, origin, answer, tls), daemon=True)
        accepting.start()
        try:
            yield origin
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(5)


def _accept(listener: socket.socket, origin: Origin, answer: Answer, tls: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            origin.connections += 1
            threading.Thread(target=_serve, args=(connection, origin, answer, tls), daemon=True).start()


def _serve(connection: socket.socket, origin: Origin, answer: Answer, tls: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError), contextlib.ExitStack() as open_sockets:
        open_sockets.callback(connection.close)
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True)
            open_sockets.callback(connection.close)
        head = b""
        while b"\r\n\r\n" not in head and (more := connection.recv(65536)):
            head += more
        origin.requests.append(head)
        answer(connection, head)


def saying(raw: bytes) -> Answer:
    """Answer every request with these bytes and close."""

    def answer(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(raw)

    return answer


def content(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Write a whole answer with a right Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def by_path(answers: Mapping[str, bytes]) -> Answer:
    """Answer each path with its bytes, others with 404."""

    def answer(connection: socket.socket, head: bytes) -> None:
        path = head.split(b" ")[1].decode()
        connection.sendall(answers.get(path, content(b"", status="404 Not Found")))

    return answer


def redirect(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def rules(*ports: int, **others: object) -> Rules:
    """Allow the tests' internet and these ports; little patience."""
    defaults: dict[str, object] = {
        "networks_allowed": (ip_network(f"{ORIGIN_HOST}/32"),),
        "ports": (80, 443, *ports),
        "total_seconds": 10.0,
        "connect_seconds": 0.7,
        "silence_seconds": 2.0,
        "slowest_bytes_per_second": 0,
    }
    return Rules(**(defaults | others))  # type: ignore[arg-type]


class Names:
    """A name service under the test's control: each look-up of a name takes its next answer, the last one stays."""

    def __init__(self, answers: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._answers = {name: list(each) for name, each in answers.items()}
        self.asked: list[str] = []

    def __call__(self, name: str, _port: int) -> Sequence[str]:
        self.asked.append(name)
        answers = self._answers.get(name)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]
