"""A connection with limits on every read: total time, read timeout, slowest rate, and bytes.

HTTP libraries limit only the time between two bytes, so an origin that sends a byte now and then keeps them reading for ever.
`LimitedSocket` replaces the socket below urllib3, which reads the header lines and chunk sizes of a response without a bound of its
own. Knows nothing of HTTP.
"""

import io
import socket
import time

from partage.content.digest import Buffer


class LimitedSocket(io.RawIOBase):
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

    def set_limits(self, *, until: float, silence_seconds: float, slowest_bytes_per_second: int) -> None:
        """Replace the time limits. `until` is a time of time.monotonic()."""
        self._until = until
        self._silence_seconds = silence_seconds
        self._slowest_bytes_per_second = slowest_bytes_per_second

    def allow(self, allowed_bytes: int) -> None:
        """Allow this many more bytes: content, framing and headers together."""
        self._allowed_bytes = allowed_bytes

    def readable(self) -> bool:
        """Return True, as io.RawIOBase requires."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # what BufferedReader passes
        """Wait for bytes and read them.

        Raises:
            TimeoutError: the time is over, no byte came within the read timeout, or the rate is too slow.
            OSError: more bytes came than allowed, or the connection broke.
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
        """Count only the time spent waiting for the origin, not the time that our own store takes."""
        self._waited_bytes += count
        self._waited_seconds += seconds
        if self._waited_seconds < self._silence_seconds:
            return
        if self._waited_bytes < self._waited_seconds * self._slowest_bytes_per_second:
            raise TimeoutError("slower than allowed")
        self._waited_bytes, self._waited_seconds = 0, 0.0


class HTTPClientSocket:
    """The socket that http.client uses: sends directly, reads through a `LimitedSocket`."""

    def __init__(self, connected: socket.socket, limited: LimitedSocket) -> None:
        self._socket = connected
        self._limited = limited

    def sendall(self, data: Buffer) -> None:
        """Send all bytes, within the timeout last set on the socket."""
        self._socket.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 -- http.client names the mode, there is only one
        """Return the file that a response reads from."""
        return io.BufferedReader(self._limited)

    def settimeout(self, seconds: float | None) -> None:
        """Ignore the timeout of the library: `LimitedSocket` has its own."""

    def close(self) -> None:
        """Close nothing: http.client closes its socket while the response is still being read."""


def seconds_left(until: float, at_most: float = float("inf")) -> float:
    """Return the seconds left until a time of time.monotonic(), but at most `at_most`.

    Raises:
        TimeoutError: none are left.
    """
    seconds = min(until - time.monotonic(), at_most)
    if seconds <= 0:
        raise TimeoutError("no time left")
    return seconds
