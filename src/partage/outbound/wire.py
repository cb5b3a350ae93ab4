"""One connection that keeps its limits on every single read: how long, how silent, how slow, how much.

Libraries limit the silence between two bytes, so an origin that sends a byte now and then keeps them for ever. `Wire` stands in for
the socket below urllib3, which reads the head of an answer line by line and its chunk sizes without a bound of its own. Knows
nothing of HTTP.
"""

import io
import socket
import time

from partage.content.digest import Buffer


class Wire(io.RawIOBase):
    """A connected socket with limits. Its creator closes it; responses that read it are closed on their own."""

    def __init__(self, connected: socket.socket, *, until: float, allowed_bytes: int) -> None:
        super().__init__()
        self._socket = connected
        self._until = until
        self._allowed_bytes = allowed_bytes
        self._silence_seconds = float("inf")
        self._slowest_bytes_per_second = 0
        self._waited_seconds = 0.0
        self._waited_bytes = 0

    def be_patient(self, *, until: float, silence_seconds: float, slowest_bytes_per_second: int) -> None:
        """Set other limits from now on. `until` is a time of time.monotonic()."""
        self._until = until
        self._silence_seconds = silence_seconds
        self._slowest_bytes_per_second = slowest_bytes_per_second

    def allow(self, allowed_bytes: int) -> None:
        """Let this many more bytes through, whatever they are: content, framing, headers."""
        self._allowed_bytes = allowed_bytes

    def readable(self) -> bool:
        """Keep the promise of io.RawIOBase."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # what BufferedReader passes
        """Wait for bytes and take them.

        Raises:
            TimeoutError: no time is left, nothing came for too long, or too little did.
            OSError: more came than was allowed, or the connection broke.
        """
        if self._allowed_bytes <= 0:
            raise OSError("more bytes than allowed")
        view = memoryview(buffer)[: self._allowed_bytes]
        before = time.monotonic()
        self._socket.settimeout(seconds_left(self._until, self._silence_seconds))
        count = self._socket.recv_into(view)
        self._allowed_bytes -= count
        self._check_pace(count, time.monotonic() - before)
        return count

    def _check_pace(self, count: int, seconds: float) -> None:
        """Count only the time spent waiting for the origin: a slow store of ours is not its fault."""
        self._waited_bytes += count
        self._waited_seconds += seconds
        if self._waited_seconds < self._silence_seconds:
            return
        if self._waited_bytes < self._waited_seconds * self._slowest_bytes_per_second:
            raise TimeoutError("slower than allowed")
        self._waited_bytes, self._waited_seconds = 0, 0.0


class Line:
    """What urllib3 takes for its socket: sends at once, reads through a `Wire`."""

    def __init__(self, connected: socket.socket, wire: Wire) -> None:
        self._socket = connected
        self._wire = wire

    def sendall(self, data: Buffer) -> None:
        """Send all of it, within the time limit that the socket was last given."""
        self._socket.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 -- http.client names the mode, there is only one
        """Give what a response reads from."""
        return io.BufferedReader(self._wire)

    def settimeout(self, seconds: float | None) -> None:
        """Ignore the library's limit: the wire has its own."""

    def close(self) -> None:
        """Close nothing: http.client closes its socket while the response goes on reading."""


def seconds_left(until: float, at_most: float = float("inf")) -> float:
    """Give the seconds left until a time of time.monotonic(), `at_most` so many.

    Raises:
        TimeoutError: none are left.
    """
    seconds = min(until - time.monotonic(), at_most)
    if seconds <= 0:
        raise TimeoutError("no time left")
    return seconds
