"""One connection spoken byte by byte, for what a well-behaved client library never sends."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.api.personas import Persona


@dataclass(frozen=True)
class Answer:
    """One response as it came over the wire. Names of headers are lower-case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each == name), None)


class Connection:
    """A socket to a service. Everything that is sent is sent as given."""

    def __init__(self, endpoint: str, *, seconds: float = 20) -> None:
        host, port = endpoint.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=seconds)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def finish(self) -> None:
        """Say that nothing more will be sent; answers can still be read."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def answer(self, *, to: str = "GET") -> Answer:
        """Read one response, an interim one included; `to` is the request's method."""
        head = self._until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.split("\r\n")
        status = int(first.split()[1])
        headers = tuple((name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        found = Answer(status, headers, b"")
        if to == "HEAD" or status < 200 or status in (204, 304):
            return found
        if found.header("transfer-encoding") == "chunked":
            return Answer(status, headers, self._chunks())
        return Answer(status, headers, self._exactly(int(found.header("content-length") or 0)))

    def is_closed(self) -> bool:
        """Wait for the other side to close; False when it still sends."""
        try:
            return not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def is_silent(self, seconds: float) -> bool:
        """Say whether nothing arrives for so long, and the other side does not close either."""
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self._received += self.socket.recv(1)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(before)
        return False

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self._until(b"\r\n"), 16):
            found += self._exactly(size)
            self._exactly(2)
        self._until(b"\r\n")
        return found

    def _until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._more()
        found, _, self._received = self._received.partition(end)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        found, self._received = self._received[:size], self._received[size:]
        return found

    def _more(self) -> None:
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise EOFError(f"closed after {self._received[:200]!r}")
        self._received += piece


def head(who: Persona, method: str, path: str, *lines: str) -> bytes:
    """Write a request's first line and headers, with the persona's token, up to the empty line."""
    token = [f"X-Auth-Token: {who.token}"] if who.token is not None else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: images.example", *token, *lines, "", ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Write one chunk of a chunked body; the last one is of no data."""
    return b"%x\r\n%s\r\n" % (len(data), data)
