"""The timeout for clients that do not read. The kernel reports how much a client has acknowledged.

The transport's `write` buffers without a limit, and its `close` waits without a timeout for the client to read the rest. So each
connection is polled, whatever is sent on it: documents, errors, image data.
"""

import asyncio
import contextlib
import fcntl
import logging
import socket
import struct
import termios
from typing import Any

_LOG = logging.getLogger(__name__)
_POLLS = 8
"""How often a connection is polled within `stall_seconds`."""

_TCP_INFO_BYTES = 192
_BYTES_ACKED_AT = 120
"""Source: tcpi_bytes_acked of struct tcp_info, linux/tcp.h."""


class SendTimeout:
    """Resets a connection when its client reads nothing of the unsent data for `stall_seconds`.

    Each byte that the client reads restarts the timeout.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, stall_seconds: float) -> None:
        """Poll the connection until `stop`."""
        self._transport = transport
        self._loop = loop
        self._stall_seconds = stall_seconds
        self._acknowledged = 0
        self._since = loop.time()
        self._next = loop.call_later(stall_seconds / _POLLS, self._poll)

    def stop(self) -> None:
        """Cancel the timeout."""
        self._next.cancel()

    def _poll(self) -> None:
        now = self._loop.time()
        waiting_bytes = self._transport.get_write_buffer_size()
        if not waiting_bytes:
            self._since = now
        else:
            acknowledged = count_acknowledged(self._transport.get_extra_info("socket"), waiting_bytes)
            if acknowledged != self._acknowledged:
                self._acknowledged, self._since = acknowledged, now
            if now - self._since >= self._stall_seconds:
                _LOG.info(
                    "disconnected client %s: it read nothing of a response for %g s (setting stall_seconds)",
                    self._transport.get_extra_info("peername"),
                    self._stall_seconds,
                )
                reset_on_close(self._transport.get_extra_info("socket"))
                self._transport.abort()
                return
        self._next = self._loop.call_later(self._stall_seconds / _POLLS, self._poll)


def count_acknowledged(connection: Any, waiting_bytes: int = 0) -> int:
    """Return a number that grows when the peer acknowledges data; `waiting_bytes` are not yet in the kernel.

    On sockets other than TCP the number also falls when something is sent.
    """
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        return int(struct.unpack_from("=Q", info, _BYTES_ACKED_AT)[0])
    except (OSError, AttributeError, struct.error):  # no TCP, or a kernel that does not count
        return -(waiting_bytes + _count_queued(connection))


def reset_on_close(connection: Any) -> None:
    """Make `close` reset the connection, so that the kernel discards unsent data instead of retransmitting it for minutes."""
    with contextlib.suppress(OSError, AttributeError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _count_queued(connection: Any) -> int:
    """Count the bytes in the kernel's send queue. Source: SIOCOUTQ in tcp(7) and unix(7)."""
    try:
        found = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, AttributeError):
        return 0
    return int(struct.unpack("i", found)[0])
